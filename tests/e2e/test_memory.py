# SPDX-License-Identifier: Apache-2.0
"""What the daemon takes of the machine's memory, and gives back."""

import subprocess
import sys
import time

from case import Case, Stage
from test_door import settings
from world.relay import Relay

DOMAINS = []
PORT, TLS = 2650, 2651
MIB = 1 << 20
IDLE = 24 * MIB  # the bar of the whole
ROUNDS, AT_ONCE = 4, 400

# Of its own process: sessions that are all inside TLS at once, then gone at once.
STORM = f"""
import resource, socket, ssl
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

def one(number):
    plain = socket.create_connection(("127.0.0.1", {TLS}), timeout=60, source_address=(f"127.8.{{number // 200}}.{{number % 200 + 1}}", 0))
    lines = plain.makefile("rb", buffering=0)
    for say in (b"", b"EHLO storm.test\\r\\n", b"STARTTLS\\r\\n"):
        plain.sendall(say)
        reply = lines.readline()
        while reply[3:4] == b"-":
            reply = lines.readline()
        assert reply[:1] == b"2", reply
    inside = context.wrap_socket(plain)
    inside.sendall(b"EHLO storm.test\\r\\n")
    assert inside.recv(4096).startswith(b"250")
    return inside

for _ in range({ROUNDS}):
    held = [one(number) for number in range({AT_ONCE})]
    print(len(held), flush=True)
    input()
    for each in held:
        each.close()
"""


class Memory(Case):
    def setUp(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's own memory would be measured")

    def test_what_a_storm_of_handshakes_took_comes_back_and_an_idle_relay_is_small(self):
        own = {"listeners": [{"address": f"127.0.0.1:{PORT}"}, settings(self.world)["listeners"][0] | {"address": f"127.0.0.1:{TLS}"}],
               "log": {"level": "info"}, "limits": {"connections": 1000}}
        with Relay(self.world, Stage.build, own, "storm", PORT) as relay:
            relay.send("a@nowhere.test")  # what every relay needs once: the resolver's modules, the statements
            before = relay.memory()
            self.assertLessEqual(before, IDLE)
            self.assertEqual(relay.memory("THP_enabled"), 0, "the kernel may fill the heap's holes with huge pages at any time")
            with subprocess.Popen([sys.executable, "-c", STORM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as storm:
                most = 0
                for _ in range(ROUNDS):
                    self.assertEqual(storm.stdout.readline(), f"{AT_ONCE}\n")
                    most = max(most, relay.memory())
                    storm.stdin.write("\n")
                    storm.stdin.flush()
            self.assertEqual(storm.returncode, 0)
            self.assertGreater(most - before, 8 * MIB, "that was no storm")
            end = time.monotonic() + 60
            while (now := relay.memory()) > min(before + 4 * MIB, IDLE + 2 * MIB) and time.monotonic() < end:
                time.sleep(0.5)
            print(f"{before / MIB:.1f} MiB idle, {most / MIB:.1f} with {AT_ONCE} TLS sessions, {now / MIB:.1f} after {ROUNDS} such crowds")
            self.assertLessEqual(now, before + 4 * MIB)
            self.assertLessEqual(now, IDLE + 2 * MIB)
