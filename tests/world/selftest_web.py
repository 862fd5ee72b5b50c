#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Are the world's web hosts what they say they are, and the MTA-STS records with them? Asked without hoplock."""

import http.client
import os
import socket
import ssl
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from world import ns  # noqa: E402
from world.sts import Sts  # noqa: E402
from world.web import Web, WebHost  # noqa: E402
from world.world import World  # noqa: E402
from world.zones import Domain, Host  # noqa: E402

PATH = "/.well-known/mta-sts.txt"
DOMAINS = [
    Domain("good.test", hosts=(Host("mx1"), Host("mx2")), mx=("10 mx1", "20 mx2"), sts=Sts(id="a1"), liar=True),
    Domain("other.lab", hosts=(Host(),), signed=False, sts=Sts("testing", ("*", "mx.else.test."), 7, txt=(("v=STSv1; i", 'd="1";'), "x"))),
    Domain("hosted.test", sts=Sts(text=b"nonsense", alias="mta-sts.good.test.", txt=())),
    Domain("wild.test", sts=Sts(cert={"names": ("*.wild.test",)})),
    Domain("stranger.test", sts=Sts(cert={"names": ("wild.test",)})),
    Domain("inside.test", hosts=(Host(ip=["198.51.100.1"]),), sts=Sts(ip=["10.0.0.5"], aaaa=("fd00:3::1",))),
    Domain("down.test", sts=Sts(web={"down": "refused"}), webs=(WebHost("report", web={"status": "201 Created"}, text=b"thanks"),)),
    Domain("strange.test", sts=Sts()),
]


class TheWeb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = cls.enterClassContext(World(DOMAINS))

    def ask(self, domain, method="GET", name=None, address=None, body=None, timeout=5):
        """Status and body of the answer to a client that trusts the world's CA and believes nothing else."""
        site = self.world.site(domain)
        address = address or site.addresses[0]
        context = ssl.create_default_context(cafile=self.world.authority.ca_file)
        plain = socket.create_connection((address, 443), timeout)
        with context.wrap_socket(plain, server_hostname=name or site.name) as connection:
            client = http.client.HTTPSConnection(site.name)
            client.sock = connection
            client.request(method, PATH, body)
            answer = client.getresponse()
            return answer.status, answer.read()

    def txt(self, name):
        """How many TXT records are there, and all that unbound-host says of them."""
        found = subprocess.run(["unbound-host", "-C", self.world.path("unbound-host.conf"), "-f", self.world.path("root.key"), "-v", "-t", "TXT",
                                name], capture_output=True, text=True, timeout=60, check=False).stdout
        return found.count(" has TXT record "), found

    def strange(self, **web):
        """What the client gets of a host that behaves so: the answer, or the kind of exception."""
        site = self.world.site("strange.test")
        site.web = Web(**web)
        try:
            return self.ask("strange.test", timeout=0.5)
        except (OSError, http.client.HTTPException) as error:
            return type(error)

    def test_policies_and_records(self):
        policy = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.good.test\r\nmx: mx2.good.test\r\nmax_age: 86400\r\n"
        self.assertEqual(self.ask("good.test"), (200, policy))
        self.assertEqual(self.ask("other.lab")[1],
                         b"version: STSv1\r\nmode: testing\r\nmx: *.other.lab\r\nmx: mx.else.test\r\nmax_age: 7\r\n")
        for name, texts in (("good.test", ['"v=STSv1; id=a1;"']), ("other.lab", ['"v=STSv1; i" "d=\\"1\\";"', '"x"']), ("hosted.test", [])):
            count, whole = self.txt(f"_mta-sts.{name}")
            self.assertEqual(count, len(texts), whole)
            for text in texts:
                self.assertIn(text, whole)

    def test_sni_tells_sites_apart_that_share_an_address(self):
        address = self.world.site("good.test").addresses[0]
        before = len(self.world.site("good.test").visits)
        self.assertEqual(self.ask("hosted.test", address=address), (200, b"nonsense"))
        self.assertEqual([visit.sni for visit in self.world.site("hosted.test").visits], ["mta-sts.hosted.test"])
        self.assertEqual(len(self.world.site("good.test").visits), before)

    def test_every_visit_is_recorded(self):
        before = self.world.fetches("wild.test")
        self.ask("wild.test", "POST", body=b"12345")
        visit = self.world.site("wild.test").visits[-1]
        request, = visit.requests
        self.assertEqual((visit.sni, visit.tls, request.method, request.target), ("mta-sts.wild.test", "TLSv1.3", "POST", PATH))
        self.assertEqual((request.header("host"), request.header("X-None"), request.body), ("mta-sts.wild.test", None, b"12345"))
        self.assertEqual(self.world.fetches("wild.test"), before + 1)

    def test_certificates(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.ask("stranger.test")
        self.assertTrue(self.world.site("stranger.test").all_ended())
        self.assertTrue(self.world.site("stranger.test").visits[0].error)
        site = self.world.site("stranger.test")
        site.use(self.world.authority.leaf(site.name))
        self.assertEqual(self.ask("stranger.test")[0], 200)

    def test_addresses_beyond_loopback(self):
        self.assertEqual(self.world.host("mx.inside.test").ip, ["198.51.100.1"])
        self.assertEqual(self.world.site("inside.test").addresses, ["10.0.0.5", "fd00:3::1"])
        for address in self.world.site("inside.test").addresses:
            self.assertEqual(self.ask("inside.test", address=address)[0], 200)

    def test_sites_go_down_and_come_back(self):
        site = self.world.site("down.test")
        with self.assertRaises(ConnectionRefusedError):
            self.ask("down.test")
        for _ in range(2):
            site.open()
            self.assertEqual(self.ask("down.test")[0], 200)
            site.block("black hole")
            with self.assertRaises(TimeoutError):
                self.ask("down.test", timeout=0.3)
        self.assertEqual(self.world.fetches("down.test"), 5)
        self.assertEqual(self.ask("report.down.test", "POST", body=b"x"), (201, b"thanks"))

    def test_records_change(self):
        self.world.publish("good.test", id="b2", mx=("mx2",))
        self.assertIn("id=b2;", self.txt("_mta-sts.good.test")[1])
        self.assertNotIn(b"mx1", self.ask("good.test")[1])
        self.world.publish("good.test", txt=("v=STSv1; id=c3", "v=STSv1; id=d4"))
        self.assertEqual(self.txt("_mta-sts.good.test")[0], 2)
        self.world.liar.tell("_mta-sts.good.test", "TXT", "servfail")
        self.assertIn("(error)", self.txt("_mta-sts.good.test")[1])
        self.world.liar.tell("_mta-sts.good.test", "TXT", None)
        self.world.publish("good.test", txt=None, id="a1", mx=None)
        self.assertRaises(KeyError, self.world.publish, "good.test", ttl=4)

    def test_strange_answers(self):
        text = self.world.domain("strange.test").sts.policy(self.world.domain("strange.test"))
        good, cut, late = (200, text), http.client.IncompleteRead, TimeoutError
        for web, wanted in (
                ({}, good), ({"length": "none"}, good), ({"length": "chunked"}, good), ({"length": 12}, (200, text[:12])),
                ({"length": 1000}, cut), ({"drop": "body"}, cut), ({"drop": "request"}, http.client.RemoteDisconnected),
                ({"drop": "connect"}, ssl.SSLError), ({"handshake": "garbage"}, ssl.SSLError), ({"handshake": "stall"}, late),
                ({"handshake": "close"}, ssl.SSLError), ({"drop": "silent"}, late), ({"pace": 0.001}, good),
                ({"endless": "headers"}, http.client.HTTPException), ({"status": "301 Moved Permanently"}, (301, text)),
                ({"status": "204 No Content"}, (204, b"")), ({"body": b"x" * 65537}, (200, b"x" * 65537))):
            with self.subTest(web):
                got = self.strange(**web)
                if isinstance(wanted, type):
                    self.assertTrue(isinstance(got, type) and issubclass(got, (wanted, ConnectionResetError)), got)
                else:
                    self.assertEqual(got, wanted)
        self.assertTrue(self.world.site("strange.test").all_ended())
        visit = self.world.site("strange.test").visits[12]
        self.assertEqual((visit.requests[0].method, visit.sent > 150, visit.ended - visit.time > 0.15), ("GET", True, True))
        self.assertEqual(self.strange(compress=True)[1][:2], b"\x1f\x8b")


if __name__ == "__main__":
    ns.enter()
    unittest.main()
