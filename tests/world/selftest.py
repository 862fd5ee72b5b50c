#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Is the private world what it says it is? Asked with unbound-host and smtplib, without hoplock."""

import os
import signal
import smtplib
import ssl
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from world import ns, postfix  # noqa: E402
from world.world import World  # noqa: E402
from world.zones import Domain, Host  # noqa: E402

SECURE, INSECURE, BOGUS, ERROR = "(secure)", "(insecure)", "(BOGUS (security failure))", "(error)"
DOMAINS = [
    Domain("good.test", hosts=(Host(tlsa=("3 1 1", "2 0 1")),)),
    Domain("plain.lab", hosts=(Host(smtp={"starttls": "none"}),), signed=False),
    Domain("spoiled.test", hosts=(Host(),), spoil=("@ MX",)),
    Domain("expired.test", hosts=(Host(),), expire=("mx A",)),
    Domain("denial.test", hosts=(Host(),), spoil=("* NSEC",)),
    Domain("algorithm.test", hosts=(Host(),), ds="algorithm"),
    Domain("wrong.test", hosts=(Host(),), ds="wrong"),
    Domain("covered.optout", hosts=(Host(),), signed=False),
    Domain("iterations.test", hosts=(Host(),), nsec3="-n -t 500"),
    Domain("liar.test", hosts=(Host("mx", ("3 1 1",)), Host("slow", ("3 1 1",))),
           lies={"_25._tcp.mx TLSA": "servfail", "_25._tcp.slow TLSA": "truncate"}),
    Domain("chain.test", (), records=("a CNAME b.chain.lab.", "c TXT end")),
    Domain("chain.lab", (), records=("b CNAME c.chain.test.",), signed=False),
    Domain("inject.test", hosts=(Host(smtp={"inject": b"250 evil\r\n"}),)),
    Domain("garbage.test", hosts=(Host(smtp={"handshake": "garbage"}),)),
    Domain("staple.test", hosts=(Host(smtp={"staple": "good"}),)),
    Domain("hole.test", hosts=(Host(smtp={"down": "black hole"}),)),
    Domain("postfix.test", hosts=(Host(smtp={"down": "elsewhere"}),)),
]


class TheWorld(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = cls.enterClassContext(World(DOMAINS))

    def state(self, name, kind):
        done = subprocess.run(["unbound-host", "-C", self.world.path("unbound-host.conf"), "-f", self.world.path("root.key"), "-v", "-t", kind,
                               name], capture_output=True, text=True, timeout=60, check=False)
        line = done.stdout.strip().splitlines()[0]
        return next(state for state in (SECURE, INSECURE, BOGUS, ERROR) if state in line)

    def client(self, host):
        return smtplib.SMTP(self.world.host(host).ip[0], 25, timeout=10)

    def test_states(self):
        for name, kind, state in (
                ("good.test", "MX", SECURE), ("_25._tcp.mx.good.test", "TLSA", SECURE), ("nothing.good.test", "MX", SECURE),
                ("plain.lab", "MX", INSECURE), ("nothing.lab", "MX", INSECURE), ("spoiled.test", "MX", BOGUS),
                ("mx.spoiled.test", "A", SECURE), ("mx.expired.test", "A", BOGUS), ("nothing.denial.test", "MX", BOGUS),
                ("algorithm.test", "MX", INSECURE), ("wrong.test", "MX", BOGUS), ("covered.optout", "MX", INSECURE),
                ("nothing.optout", "MX", INSECURE), ("nothing.iterations.test", "MX", INSECURE),
                ("iterations.test", "MX", SECURE), ("mx.liar.test", "A", SECURE), ("_25._tcp.mx.liar.test", "TLSA", ERROR),
                ("_25._tcp.slow.liar.test", "TLSA", ERROR), ("a.chain.test", "TXT", INSECURE)):
            with self.subTest(f"{name} {kind}"):
                self.assertEqual(self.state(name, kind), state)

    def test_zones_change_and_queries_are_seen(self):
        self.state("_25._tcp.mx.good.test", "TLSA")
        self.assertTrue(self.world.wire.queries("_25._tcp.mx.good.test", "TLSA", "127.0.0.4"))
        self.assertEqual(self.world.wire.queries("_25._tcp.mx.nobody.test", "TLSA"), [])
        self.world.domain("good.test").spoil = ("_25._tcp.mx TLSA",)
        self.world.change("good.test")
        self.assertEqual(self.state("_25._tcp.mx.good.test", "TLSA"), BOGUS)
        self.world.liar.tell("_25._tcp.mx.liar.test", "TLSA", None)
        self.assertEqual(self.state("_25._tcp.mx.liar.test", "TLSA"), SECURE)

    def test_receivers(self):
        trusting = ssl.create_default_context(cafile=self.world.authority.ca_file)
        for name in ("good", "staple"):
            with self.client(f"mx.{name}.test") as client:
                client._host = f"mx.{name}.test"
                client.starttls(context=trusting)
                client.sendmail("a@b.test", [f"c@{name}.test"], b"Subject: x\r\n\r\n.dot\r\n")
            session = self.world.receiver(f"mx.{name}.test").sessions[-1]
            self.assertEqual((session.sni, session.mails[0].data), (f"mx.{name}.test", b"Subject: x\r\n\r\n.dot\r\n"))
            self.assertEqual(self.world.connections(f"mx.{name}.test"), 1)
        for host in ("mx.inject.test", "mx.garbage.test"):
            with self.assertRaises(OSError):
                self.client(host).starttls(context=trusting)
        with self.client("mx.plain.lab") as client:
            self.assertFalse(client.has_extn("starttls") or client.ehlo()[0] != 250 or client.has_extn("starttls"))
        with self.assertRaises(TimeoutError):
            smtplib.SMTP(self.world.host("mx.hole.test").ip[0], 25, timeout=0.5)

    @unittest.skipUnless(postfix.available(), "Postfix is not installed, or may not become its own user here")
    def test_postfix(self):
        with postfix.Postfix(self.world, "postfix.test", "mx.postfix.test") as real:
            real.send("a@b.test", ["c@postfix.test"], b"Subject: x\r\n\r\nhello\r\n")
            end = time.monotonic() + 10
            while not real.mails() and time.monotonic() < end:
                time.sleep(0.02)
            self.assertIn(b"\n\nhello\n", real.mails()[0])


class NothingStays(unittest.TestCase):
    def test_a_killed_world_takes_everything_with_it(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            reader, writer = os.pipe()
            child = subprocess.Popen([sys.executable, __file__, "--sleep", str(writer)], pass_fds=[writer], stdout=subprocess.DEVNULL)
            os.close(writer)
            with open(reader, "rb") as alive:
                self.assertEqual(alive.read(1), b".")
                child.send_signal(number)
                self.assertNotEqual(child.wait(10), 0)
                self.assertEqual(alive.read(), b"")  # ends when the last process that holds the pipe is gone


def sleep_with(descriptor):
    ns.enter()
    with World(DOMAINS[:2]):
        subprocess.Popen(["sleep", "1000"], pass_fds=[descriptor])
        os.write(descriptor, b".")
        time.sleep(1000)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sleep"]:
        sleep_with(int(sys.argv[2]))
    ns.enter()
    unittest.main()
