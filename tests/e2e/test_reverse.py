# SPDX-License-Identifier: Apache-2.0
"""Our own addresses in the DNS: after the start and in `hoplock doctor`, whether address, PTR record and EHLO name agree."""

import subprocess
import time

from case import Case, Domain, Stage
from world import ns
from world.relay import Relay

SIX = "3fff::8"
SIX_GOOD = "3fff::7"


def nibbles(address_end):
    """The owner below f.f.f.3.ip6.arpa of 3fff::N."""
    return ".".join(f"{int(address_end, 16):028x}"[::-1])


REVERSE = Domain("18.198.in-addr.arpa", "IPv4 addresses", (), send=False, records=(
    "7.0 PTR good.names.test.",
    "9.0 PTR moved.names.test.",
    "10.0 CNAME 10.8/29.0",  # RFC 2317: a customer's few addresses
    "10.8/29.0 PTR small.names.test.",
    "11.0 PTR other.names.test.",
    "12.0 PTR spoilt.names.test."), spoil=("12.0 PTR",))
DOMAINS = [
    Domain("arpa", "the reverse trees", (), send=False),
    REVERSE,
    # the name is there for other types: who asks for less than it wants (RFC 9156) gets past it
    Domain("19.198.in-addr.arpa", "IPv4 addresses whose server fails", (), send=False, records=("1.0 TXT there",), lies={"1.0 PTR": "servfail"}),
    Domain("f.f.f.3.ip6.arpa", "IPv6 addresses", (), send=False, records=(f"{nibbles('7')} PTR good.names.test.",)),
    Domain("names.test", "the names that we say", (), send=False, records=(
        "good A 198.18.0.7", f"good AAAA {SIX_GOOD}", "bare A 198.18.0.8", "moved A 198.18.0.99", "small A 198.18.0.10",
        "own A 198.18.0.11", "other A 198.18.0.11", "spoilt A 198.18.0.12", f"six AAAA {SIX}", "dark A 198.19.0.1",
        "last A 198.19.255.1",
        'good TXT "v=spf1 ip4:198.18.0.7 -all"', 'small TXT "v=spf1 a -all"', 'own TXT "v=spf1 include:names.test -all"')),
]


def source(name, **addresses):
    return {"senders": [f"{name}.example"], "hostname": f"{name}.names.test", **addresses}


SETTINGS = {"sources": [
    source("good", ipv4="198.18.0.7", ipv6=SIX_GOOD),
    source("bare", ipv4="198.18.0.8"),
    source("moved", ipv4="198.18.0.9"),
    source("small", ipv4="198.18.0.10"),
    source("own", ipv4="198.18.0.11"),
    source("spoilt", ipv4="198.18.0.12"),
    source("six", ipv6=SIX),
    source("dark", ipv4="198.19.0.1"),
    {"senders": ["inner.example"], "ipv4": "127.0.0.77"},
    {"senders": ["private.example"], "ipv4": "10.1.2.3"},
    source("last", ipv4="198.19.255.1"),  # no PTR record; addresses are looked at in order, so its line ends the look
]}
WRONG = {"198.18.0.8": "198.18.0.8 has no PTR record",
         "198.18.0.9": "moved.names.test, said in EHLO from 198.18.0.9, leads to 198.18.0.99",
         "198.18.0.11": "the PTR record of 198.18.0.11 names other.names.test, not own.names.test",
         SIX: f"{SIX} has no PTR record",
         "198.19.255.1": "198.19.255.1 has no PTR record"}


class Reverse(Case):
    def looked(self, relay, since=0):
        """What the look that ends with the line of the last address said: {ip: line}."""
        relay.wait_log(30, since, event="reverse-dns", ip="198.19.255.1")
        return {line["ip"]: line for line in relay.log(since, event="reverse-dns")}

    @staticmethod
    def route(what):
        """The way out of this world, and the address that goes with it."""
        subprocess.run(["ip", "route", what, "198.41.0.4/32", "dev", "lo", "src", "198.18.0.7"], check=True,
                       env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})

    def test_the_start_warns_of_each_address_that_disagrees_and_of_no_other(self):
        lines = self.looked(self.relay)
        self.assertCountEqual(lines, WRONG)
        for ip, line in lines.items():
            self.assertTrue(line["level"] == "warn" and line["error"].startswith(WRONG[ip] + "; "), line)
        self.assertEqual(lines["198.18.0.8"]["helo"], "bare.names.test")
        self.assertIn("publish: 8.0.18.198.in-addr.arpa. PTR bare.names.test.", lines["198.18.0.8"]["error"])
        self.assertIn("publish: moved.names.test. A 198.18.0.9", lines["198.18.0.9"]["error"])
        self.assertEqual(len(self.relay.log(event="reverse-dns")), len(lines))

    def test_the_start_does_not_wait_for_it(self):
        self.looked(self.relay)
        events = [line["event"] for line in self.relay.log()]
        self.assertLess(events.index("started"), events.index("reverse-dns"))

    def test_doctor_says_the_same_with_what_to_do(self):
        _, rows = self.relay.tool("doctor", timeout=90)
        rows = [row for row in rows if row["about"].startswith("ptr ")]
        for ip, words in WRONG.items():
            with self.subTest(ip):
                row = next(row for row in rows if row["text"].startswith(words))
                self.assertEqual(row["about"], "ptr ipv6" if ":" in ip else "ptr ipv4")
                self.assertEqual(row["state"], "note" if ip == "198.18.0.11" else "bad")
                self.assertTrue(row["advice"])
        for ip in ("198.18.0.7", "198.18.0.10", SIX_GOOD):
            self.assertIn("ok", [row["state"] for row in rows if row["text"].startswith(f"{ip}, its PTR record")], rows)
        for ip in ("198.18.0.12", "198.19.0.1"):
            self.assertIn("note", [row["state"] for row in rows if row["text"].startswith(f"the PTR record of {ip} cannot be looked up")])
        self.assertEqual([row["state"] for row in rows if "not the address that others see" in row["text"]], ["note", "note"])

    def test_the_address_that_the_system_picks_is_looked_at(self):
        ns.add_address("198.18.0.7/32")
        self.route("add")
        self.addCleanup(self.route, "del")
        with Relay(self.world, Stage.build, {"hostname": "bare.names.test"}, "picked", 2600) as picked:
            line = picked.wait_log(30, event="reverse-dns")
            self.assertEqual((line["ip"], line["helo"]), ("198.18.0.7", "bare.names.test"))
            self.assertIn("names good.names.test", line["error"])
            picked.settings["hostname"] = "good.names.test"
            picked.write_config()
            _, rows = picked.tool("doctor", timeout=90)
            self.assertEqual([(row["about"], row["state"]) for row in rows if row["about"].startswith("ptr")], [("ptr ipv4", "ok")], rows)

    def test_doctor_holds_the_spf_record_of_our_name_against_its_addresses(self):
        for name, state, words in (("good", "bad", f"does not pass {SIX_GOOD}: v=spf1 ip4"), ("small", "ok", "passes its addresses"),
                                   ("own", "note", "needs other names"), ("bare", "note", "no SPF record of its own")):
            with self.subTest(name):
                relay = Relay(self.world, Stage.build, {"hostname": f"{name}.names.test"}, f"spf-{name}", 2601)
                _, rows = relay.tool("doctor", timeout=90)
                (row,) = [row for row in rows if row["about"] == "spf"]
                self.assertEqual(row["state"], state, row)
                self.assertIn(words, row["text"])

    def test_what_was_mended_is_not_told_again_after_a_reload(self):
        self.looked(self.relay)
        REVERSE.records += ("8.0 PTR bare.names.test.",)
        self.world.change("18.198.in-addr.arpa")
        end = time.monotonic() + 60
        while True:  # until the denial is out of the cache
            mark = len(self.relay.lines)
            self.relay.reload()
            lines = self.looked(self.relay, mark)
            if "198.18.0.8" not in lines:
                break
            self.assertLess(time.monotonic(), end, lines)
            time.sleep(0.5)
        self.assertCountEqual(lines, set(WRONG) - {"198.18.0.8"})
