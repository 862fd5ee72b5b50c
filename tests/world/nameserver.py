# SPDX-License-Identifier: Apache-2.0
"""Real authoritative name servers (NSD): one for the root, one for the top-level domains, one for all the rest.

Three processes on three addresses, so that a resolver really iterates, and finds DS records where they belong.
"""

import os
import signal
import subprocess
import time

import dns.message
import dns.query

from . import ns


class NameServer:
    def __init__(self, directory, address, zones):
        """zones: {name: zone file}"""
        self.address = address
        self._directory = directory
        self._zones = zones
        os.makedirs(directory)
        self._config = os.path.join(directory, "nsd.conf")
        with open(self._config, "w", encoding="ascii") as file:
            file.write(self._configuration())
        self._process = None

    def _configuration(self):
        d = self._directory
        lines = ["server:", f'  ip-address: "{self.address}"', "  port: 53", "  server-count: 1", '  username: ""',
                 f'  zonesdir: "{d}"', f'  pidfile: "{d}/pid"', f'  logfile: "{d}/log"', f'  zonelistfile: "{d}/zone.list"',
                 f'  xfrdfile: "{d}/xfrd.state"', f'  xfrdir: "{d}"', '  database: ""', "  hide-version: yes",
                 "  tcp-count: 200", "  rrl-ratelimit: 0", "  rrl-whitelist-ratelimit: 0", "  zonefiles-check: yes",
                 "remote-control:", "  control-enable: no"]
        for name, path in self._zones.items():
            lines += ["zone:", f'  name: "{name}."' if name else '  name: "."', f'  zonefile: "{path}"']
        return "\n".join(lines) + "\n"

    def start(self):
        self._process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", self._config], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=ns.die_with_parent)

    def wait_serial(self, zone, serial, timeout=10):
        """Until the server answers for this zone with this SOA serial."""
        query = dns.message.make_query(f"{zone}.", "SOA")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                answer = dns.query.udp(query, self.address, timeout=0.2)
                if any(rr.serial == serial for rrset in answer.answer for rr in rrset):
                    return
            except (OSError, dns.exception.DNSException):
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        with open(os.path.join(self._directory, "log"), encoding="utf-8", errors="replace") as file:
            raise RuntimeError(f"nsd on {self.address} does not serve {zone} serial {serial}:\n{file.read()[-3000:]}")

    def reload(self):
        self._process.send_signal(signal.SIGHUP)

    def stop(self):
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
