# SPDX-License-Identifier: Apache-2.0
"""Who has every right to be served still is while others flood, stall, trickle and guess passwords."""

import contextlib
import http.client
import re
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

CLEAR, LOGIN = 2525, 2526
DOMAINS = [Domain("good.test", "DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False)]
PER_CLIENT = 50


def settings(world):
    hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "x", "correct horse"], capture_output=True, check=True, text=True).stdout.strip()
    users = world.path("users")
    with open(users, "w", encoding="utf-8") as file:
        file.write(f"exchange:{hashed}\n")
    return {"limits": {"connections": 600, "connections_per_client": PER_CLIENT, "min_free_space": "1MiB"}, "http": {"address": "127.0.0.1:9471"}, "listeners": [
        {"address": f"127.0.0.1:{CLEAR}", "allow": ["127.0.0.1"]},
        {"address": f"127.0.0.1:{LOGIN}", "tls": "implicit", "allow": [], "auth": True, "users_file": users}]}


SETTINGS = settings


def connect(source, port=CLEAR):
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


class Attack:
    """A thread that does one thing over and over until the end."""

    def __init__(self, what, times=1):
        self.over = threading.Event()
        self.done = 0
        self.what = what
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(times)]

    def run(self, number):
        while not self.over.is_set():
            try:
                self.what(self, number)
            except OSError:
                pass
            self.done += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(20)


def flood(_, number):
    """Comes and goes as fast as it can."""
    with connect(f"127.6.0.{number + 1}") as one:
        one.recv(100)


def crowd(attack, number):
    """As many sessions as the server lets one client have, which greet and then keep still; more are refused."""
    held = []
    while not attack.over.is_set() and len(held) < PER_CLIENT:
        one = connect(f"127.5.0.{number + 1}")
        one.sendall(b"EHLO crowd.test\r\n")
        held.append(one)
    attack.over.wait(60)
    for one in held:
        one.close()


def trickle(attack, number):
    """An octet at a time: never a whole command."""
    with connect(f"127.4.0.{number + 1}") as one:
        for octet in b"MAIL FROM:<" + b"a" * 500:
            if attack.over.wait(0.05):
                return
            one.sendall(bytes((octet,)))


def half_open(attack, number):
    """Where TLS should begin there comes nothing."""
    held = [connect(f"127.3.0.{number + 1}", LOGIN) for _ in range(20)]
    attack.over.wait(5)
    for one in held:
        one.close()


def guess(_, number):
    """Passwords, one after the other."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connect(f"127.2.0.{number + 1}", LOGIN)) as one:
        one.settimeout(10)
        one.recv(500)
        one.sendall(b"EHLO guess.test\r\n")
        one.recv(500)
        for _ in range(3):
            one.sendall(b"AUTH PLAIN AGV4Y2hhbmdlAGd1ZXNz\r\n")
            if not one.recv(500):
                return


# Of its own process: the receivers of this world use select().
SILENT = f"""
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = [socket.create_connection(("127.0.0.1", {CLEAR}), source_address=(f"127.7.{{n // 200}}.{{n % 200 + 1}}", 0)) for n in range(1200)]
print("ready", flush=True)
sys.stdin.read()
"""


def page(path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", 9471, timeout=20)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


class Crowd(Case):
    def test_SUB_34_strangers_that_say_nothing_take_no_place_from_who_may_relay(self):
        with subprocess.Popen([sys.executable, "-c", SILENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
            self.assertEqual(crowd.stdout.readline(), b"ready\n")
            took = self.served("silent")
            self.assertLess(max(took), 10 if Stage.is_sanitized() else 1)
            self.assertRegex(page("/healthz"), "(?m)^connections: ")
            self.assertRegex(page("/metrics"), r'(?m)^hoplock_problem\{problem="connections"\} 1$')
            self.assertRegex(page("/metrics"), r"(?m)^hoplock_connections_strangers \d{3}$")
            # and they do not keep theirs: Postfix's ten seconds under stress
            end = time.monotonic() + 30
            while int(re.search(r"(?m)^hoplock_connections_strangers (\d+)$", page("/metrics"))[1]) > 400:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.2)
            crowd.stdin.close()

    def test_SUB_34_where_the_system_allows_few_open_files_strangers_do_not_take_the_last(self):
        relay = Relay(self.world, Stage.build, {"listeners": [{"address": "127.0.0.1:2533", "allow": ["127.0.0.1"]}]}, "narrow", 2533)
        relay.open_files = 500
        with relay:
            self.assertRegex(relay.wait_log(10, event="config-warning")["error"],
                             r"the system allows 500 open files, which is enough for 125 connections; raise LimitNOFILE")
            with subprocess.Popen([sys.executable, "-c", SILENT.replace(str(CLEAR), "2533")], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
                self.assertEqual(crowd.stdout.readline(), b"ready\n")
                for number in range(5):
                    began = time.monotonic()
                    relay.send(f"narrow{number}@good.test")
                    self.assertLess(time.monotonic() - began, 10 if Stage.is_sanitized() else 2)
                for number in range(5):
                    self.assertEqual(relay.outcome(f"narrow{number}@good.test")["event"], "delivered")
                crowd.stdin.close()

    def served(self, name, count=25):
        """Seconds of each of these sessions with a message; all of it must arrive."""
        took = []
        for number in range(count):
            began = time.monotonic()
            self.relay.send(f"{name}{number}@good.test")
            took.append(time.monotonic() - began)
            time.sleep(0.05)
        for number in range(count):
            self.delivered(f"{name}{number}@good.test")
        return took

    def test_mail_goes_in_and_out_while_others_flood_stall_trickle_and_guess(self):
        calm = self.served("calm")
        rows = [("nobody else", 0, calm)]
        attacks = (("floods of connections", flood, 8), ("500 sessions that keep still", crowd, 10), ("one octet at a time", trickle, 40),
                   ("handshakes that never begin", half_open, 5), ("guessed passwords", guess, 20))
        for name, what, times in attacks:
            with Attack(what, times) as attack:
                took = self.served(what.__name__)
            rows.append((name, attack.done, took))
        running = [Attack(what, times) for _, what, times in attacks if what is not crowd]
        for attack in running:
            attack.__enter__()
        try:
            took = self.served("all")
        finally:
            for attack in running:
                attack.over.set()
            for attack in running:
                attack.__exit__()
        rows.append(("all but the still ones at once", sum(attack.done for attack in running), took))
        print()
        for name, done, took in rows:
            print(f"  {name:35} {done:6} times; a message takes {statistics.median(took) * 1000:6.1f} ms, at most {max(took) * 1000:6.1f} ms")
        limit = 10 if Stage.is_sanitized() else 1
        for name, _, took in rows:
            self.assertLess(statistics.median(took), limit / 4, name)
            self.assertLess(max(took), limit * 2, name)
        self.assertEqual(self.relay.tool("queue", "list"), (0, []))
