# SPDX-License-Identifier: Apache-2.0
"""Port 53 is closed: nobody answers, or everybody refuses. The tool and the daemon say that, in seconds, and not that DNSSEC is to blame."""

import contextlib
import datetime
import json
import os
import signal
import socket
import time

from case import Case, Domain, Host, Stage

from world.relay import Relay
from world.zones import DOMAIN_SERVER

DOMAINS = [Domain(f"d{i}.test", "takes mail", ("10 mx1",), (Host("mx1"),), send=False) for i in range(4)]
DROPS, REFUSES, OPENS = "127.0.0.66", "127.0.0.67", "127.0.0.68"


def hole(address):
    """A name server's port that takes everything and says nothing, as behind a firewall that drops."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.bind((address, 53))
    return ear


def deaf(case, address, port):
    """A port whose queue of connections is full: the kernel drops what else comes, as a firewall does."""
    ear = socket.socket()
    ear.bind((address, port))
    ear.listen(0)
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((address, port))
        case.addCleanup(filler.close)
    case.addCleanup(ear.close)


def with_children(pid):
    pids = [pid]
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in file.read().split():
            pids += with_children(int(child))
    return pids


@contextlib.contextmanager
def frozen(servers):
    """Name servers that say nothing any more, though they run."""
    pids = [pid for server in servers for pid in with_children(server._process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Silence(Case):
    """The relays' patience for a look-up is the default, 20 s."""

    @classmethod
    def setUpClass(cls):
        cls.holes = [hole(DROPS), hole(OPENS)]
        cls.addClassCleanup(lambda: [one.close() for one in cls.holes])

    def settings(self, address, **dns):
        conf = self.world.write(f"silent-{address}.conf", "server:\n    do-not-query-localhost: no\n    do-ip6: no\n")
        hints = self.world.write(f"silent-{address}.hints", f".  3600 NS ns.root.\nns.root.  3600 A {address}\n")
        return {"dns": {"root_hints": hints, "unbound_conf": conf, "timeout": "20s", **dns}, "http": {"address": "127.0.0.1:9471"}}

    def relay_at(self, address, name, port, **dns):
        return Relay(self.world, Stage.build, self.settings(address, **dns), name, port)

    def timed(self, relay, *arguments):
        start = time.monotonic()
        code, out, err = relay.text(*arguments, timeout=60)
        return code, out, err, time.monotonic() - start

    def test_check_says_within_five_seconds_that_nobody_answers_and_what_to_do(self):
        for number, (address, most, words) in enumerate([(DROPS, 5.5, "no answer"), (REFUSES, 2, "Connection refused")]):
            relay = self.relay_at(address, f"check-{number}", 2541 + number)
            with self.subTest(address=address):
                code, out, _, took = self.timed(relay, "check", "example.org")
                self.assertEqual(code, 1, out)
                self.assertLess(took, most)
                self.assertIn("nobody answered on port 53", out)
                self.assertIn(words, out)
                self.assertIn("dns.forward", out)
                self.assertNotIn("DNSSEC validation", out)
                code, out, _, took = self.timed(relay, "--json", "check", "example.org", "--no-connect")
                found = json.loads(out)
                self.assertEqual((code, found["verdict"], found["reason"], found["dnssec"]), (1, "fail", "dns-failure", "failed"))
                self.assertIn("nobody answered on port 53", found["why"])
                code, _, err, took = self.timed(relay, "tlsa", "mx.example.org")
                self.assertEqual(code, 1)
                self.assertIn("nobody answered on port 53", err)
                self.assertLess(took, most)

    def test_forwarders_that_are_silent_are_named(self):
        relay = self.relay_at(OPENS, "forward", 2543, forward=[DROPS])
        code, out, _, took = self.timed(relay, "check", "example.org")
        self.assertEqual(code, 1)
        self.assertIn(f"dns.forward: {DROPS}", out)
        self.assertLess(took, 5.5)

    def test_a_route_to_an_address_needs_no_dns(self):
        settings = {"routes": [{"match": ["*"], "hosts": ["[127.0.0.1]:9"]}]}
        relay = Relay(self.world, Stage.build, {**self.settings(DROPS), **settings}, "routed", 2544)
        code, out, _, took = self.timed(relay, "check", "example.org")
        self.assertEqual(code, 1)
        self.assertNotIn("port 53", out)
        self.assertIn("connect-refused", out)
        self.assertLess(took, 3)

    def test_doctor_takes_ten_seconds_at_most_when_nothing_answers(self):
        hosts = ["[127.0.0.1]:9", "silent.example:25"] + [f"[127.0.7.{i}]:9" for i in range(1, 9)]
        for i in range(1, 9):
            deaf(self, f"127.0.7.{i}", 9)
        routes = [{"match": [f"r{i}.example"], "hosts": [host]} for i, host in enumerate(hosts)]
        relay = Relay(self.world, Stage.build, {**self.settings(DROPS), "routes": routes}, "doctor", 2545)
        code, out, _, took = self.timed(relay, "--json", "doctor")
        found = [(one["about"], one["state"]) for one in json.loads(out)]
        self.assertEqual(code, 1)
        self.assertLess(took, 10)
        self.assertIn(("dns", "bad"), found)
        self.assertNotIn("dnssec", [about for about, _ in found])
        dns = next(one for one in json.loads(out) if one["about"] == "dns")
        self.assertIn("nobody answered on port 53", dns["text"])
        self.assertIn("dns.forward", dns["advice"])
        self.assertEqual(len([1 for about, _ in found if about == "next hop"]), 9)  # the name is not looked up

    def test_doctor_says_what_it_cannot_look_at_where_the_operator_has_zones_of_his_own(self):
        conf = self.world.write("zones.conf", "server:\n    do-not-query-localhost: no\n    do-ip6: no\nstub-zone:\n"
                                f"    name: inner.example\n    stub-addr: {DROPS}\nstub-zone:\n    name: d0.test\n"
                                f"    stub-addr: {DOMAIN_SERVER}\nstub-zone:\n    name: named.example\n    stub-host: ns.example.org\n")
        relay = self.relay_at(DROPS, "zones", 2551, unbound_conf=conf)
        _, out, _, took = self.timed(relay, "--json", "doctor")
        self.assertLess(took, 15)
        notes = [one["text"] for one in json.loads(out) if (one["about"], one["state"]) == ("dns", "note")]
        self.assertTrue(any("not looked at" in text and "dns.unbound_conf" in text for text in notes), out)
        found = {one["text"].split(":")[0]: one for one in json.loads(out) if one["about"] == "dns"}
        self.assertEqual(found["inner.example"]["state"], "bad", out)
        self.assertIn("nobody answered on port 53", found["inner.example"]["text"])
        self.assertIn("dns.unbound_conf", found["inner.example"]["advice"])
        self.assertEqual(found["the servers that dns.unbound_conf has for d0.test answer"]["state"], "ok", out)
        self.assertIn("nobody answered on port 53 (1 root server was asked", "".join(found))
        code, out, _, took = self.timed(relay, "check", "--no-connect", "x.inner.example")
        self.assertEqual(code, 1)
        self.assertIn("inner.example: nobody answered on port 53", out)
        self.assertLess(took, 10)

    def test_the_daemon_says_what_waits_when_nobody_answers(self):
        for number, (host, words) in enumerate([("[127.0.0.1]:9", "take all mail, which goes on"),
                                                ("silent.example:25", "next hops that are names waits")]):
            settings = {**self.settings(DROPS), "routes": [{"match": ["*"], "hosts": [host]}]}
            settings.pop("http")
            with self.subTest(host=host), Relay(self.world, Stage.build, settings, f"waits-{number}", 2554 + number) as relay:
                line = relay.wait_log(15, event="dns-failed")
                self.assertIn(words, line["error"])
                self.assertNotIn("routed by MX", line["error"])

    def test_doctor_calls_silence_no_fault_where_routes_to_addresses_take_all_mail(self):
        for number, (host, state) in enumerate([("[127.0.0.1]:9", "note"), ("silent.example:25", "bad")]):
            routes = [{"match": ["*"], "hosts": [host]}]
            relay = Relay(self.world, Stage.build, {**self.settings(DROPS), "routes": routes}, f"smart-{number}", 2547 + number)
            with self.subTest(host=host):
                _, out, _, _ = self.timed(relay, "--json", "doctor")
                found = {one["about"]: one["state"] for one in json.loads(out)}
                self.assertEqual(found.get("dns"), state, out)

    def test_doctor_calls_a_closed_port_25_no_fault_where_routes_with_hosts_take_all_mail(self):
        for number, (match, state) in enumerate([("*", "note"), ("one.example", "bad")]):
            settings = {"routes": [{"match": [match], "hosts": ["[127.0.0.1]:9"]}]}
            relay = Relay(self.world, Stage.build, settings, f"closed-{number}", 2549 + number)
            with self.subTest(match=match):
                _, out, _, _ = self.timed(relay, "--json", "doctor")
                found = {one["about"]: one["state"] for one in json.loads(out)}
                self.assertEqual((found.get("port 25"), found.get("port 443")), (state, state), out)

    def test_silence_that_begins_later_is_told_and_so_is_its_end(self):
        with open(self.world.path("unbound.conf"), encoding="ascii") as file:  # names its own hints, and then nobody knows whom to ask
            text = "".join(line for line in file if "root-hints" not in line)
        settings = {"dns": {"unbound_conf": self.world.write("later.conf", text)}}
        with Relay(self.world, Stage.build, settings, "later", 2552) as relay:
            relay.wait_log(20, event="dnssec-works")
            with frozen(self.world._servers.values()):
                for i in range(4):
                    relay.send(f"user@d{i}.test")
                line = relay.wait_log(60, event="dns-failed")
                self.assertIn("nobody answered on port 53", line["error"])
                self.assertIn("dns", [one["problem"] for one in relay.tool("status")[1]["problems"]])
            relay.wait_log(60, event="dns-works")
            self.assertNotIn("dns", [one["problem"] for one in relay.tool("status")[1]["problems"]])

    def test_the_daemon_says_so_at_its_start_and_that_it_is_over(self):
        with self.relay_at(OPENS, "start", 2546) as relay:
            line = relay.wait_log(2, event="dns-failed")
            self.assertEqual(line["level"], "error")
            self.assertIn("nobody answered on port 53", line["error"])
            self.assertIn("dns.forward", line["error"])
            begin, end = (datetime.datetime.fromisoformat(one["time"].replace("Z", "+00:00")) for one in (relay.log(event="started")[0], line))
            self.assertLess((end - begin).total_seconds(), 5)
            code, status = relay.tool("status")
            self.assertEqual([one["problem"] for one in status["problems"]], ["dns"], status)
            self.assertEqual(code, 0)
            self.assertEqual(relay.log(event="dnssec-failed"), [])
            relay.settings["dns"] = relay._defaults()["dns"]
            relay.write_config()
            relay.reload()
            relay.wait_log(20, event="dns-works")
            end = time.monotonic() + 60
            while not relay.tool("status")[1]["healthy"]:
                self.assertLess(time.monotonic(), end, relay.tool("status"))
                time.sleep(0.2)
            self.assertEqual(relay.log(event="dnssec-failed"), [])
