# SPDX-License-Identifier: Apache-2.0
"""`hoplock check --route ADDRESS`: which route an address takes, and on what terms each host would get its mail."""

import re
import shutil
import subprocess

from case import Case, Domain, Host, Stage, Sts

STRANGER = {"self_signed": True}
DOMAINS = [
    Domain("ee.test", "DANE-EE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("bogus.test", "a TLSA answer that fails validation", hosts=(Host(tlsa=("3 1 1",)),), spoil=("_25._tcp.mx TLSA",), send=False),
    Domain("sts.lab", "an enforced policy", hosts=(Host(),), signed=False, sts=Sts(), send=False),
    Domain("open.lab", "nothing", hosts=(Host(cert=STRANGER),), signed=False, send=False),
    Domain("watched.test", "a record that does not resolve, under audit", hosts=(Host(tlsa=("3 1 1",)),), spoil=("_25._tcp.mx TLSA",),
           send=False),
    Domain("own.test", "the hosts of the routes", hosts=(Host(),), send=False),
]


def pair(world):
    return world.path("client.pem")


def settings(world):
    shutil.copy(world.authority.leaf("relay.test").path, pair(world))
    password = world.path("password")
    with open(password, "w", encoding="utf-8") as file:
        file.write("secret\n")
    return {
        "security": {"mta_sts": "enforce"},
        "routes": [
            {"match": ["partner.example"], "hosts": ["mx.own.test:25"], "tls": "none", "until": "2020-01-31"},
            {"match": ["partner.example", "*.partner.example"], "hosts": ["mx.own.test:25", "[127.0.0.9]:2626"], "tls": "verify",
             "verify_names": ["mail.partner.example"], "note": "ticket 4711"},
            {"match": ["*.partner.example"], "hosts": ["[127.0.0.10]:25"], "tls": "none"},
            {"match": ["login.example"], "hosts": ["mx.own.test:587"], "tls": "encrypt", "username": "hop", "password_file": password,
             "client_certificate": pair(world), "client_key": pair(world)},
            {"match": ["watched.test"], "dane": "audit"},
            {"match": ["nowhere.example"], "hosts": ["mx.missing.test:25"]},
        ],
    }


SETTINGS = settings


class Route(Case):
    def ask(self, address, code=0):
        done, data = self.relay.tool("check", "--route", address)
        self.assertEqual(done, code, data)
        return data

    def only(self, data):
        self.assertEqual(len(data["hosts"]), 1, data)
        return data["hosts"][0]

    def test_the_first_route_that_matches_is_shown_and_an_expired_one_is_skipped(self):
        data = self.ask("Ann@partner.example")
        self.assertEqual((data["address"], data["domain"]), ("Ann@partner.example", "partner.example"))
        self.assertEqual(data["route"]["position"], 2)
        self.assertEqual(data["route"]["hosts"], ["mx.own.test:25", "[127.0.0.9]:2626"])
        self.assertEqual(data["route"]["note"], "ticket 4711")
        self.assertEqual([one["until"] for one in data["skipped"]], ["2020-01-31"])
        self.assertEqual(data["destination"], "route:mx.own.test:25,[127.0.0.9]:2626")
        self.assertEqual(data["rule"]["tls"], "verify")
        first, second = data["hosts"]
        self.assertEqual((first["host"], first["port"], first["policy"]), ("mx.own.test", 25, "route"))
        self.assertEqual(first["plan"] | {"sni": None}, {"tls": "must", "dane": None, "pkix": ["mail.partner.example"], "sni": None,
                                                         "on_failure": "next-host", "observed": None})
        self.assertEqual((second["host"], second["port"], second["addresses"]), ("[127.0.0.9]", 2626, ["127.0.0.9"]))
        self.assertIsNone(data["mta_sts"], "a configured host has no policy")
        self.assertEqual(self.ask("x@sub.partner.example")["route"]["position"], 2, "the third matches too, but comes later")

    def test_without_a_route_the_plan_is_what_the_domain_publishes(self):
        data = self.ask("user@ee.test")
        self.assertIsNone(data["route"])
        self.assertEqual(data["rule"], {"tls": None, "verify_names": [], "dane": "enforce", "mta_sts": "enforce",
                                        "default_tls": "opportunistic"})
        host = self.only(data)
        self.assertEqual((host["policy"], host["dnssec"]), ("dane", "secure"))
        self.assertEqual((host["plan"]["tls"], host["plan"]["dane"], host["plan"]["on_failure"]), ("must", ["3 1 1"], "next-host"))
        host = self.only(self.ask("user@sts.lab"))
        self.assertEqual((host["policy"], host["plan"]["pkix"], host["plan"]["on_failure"]), ("sts", ["mx.sts.lab"], "next-host"))
        host = self.only(self.ask("user@open.lab"))
        self.assertEqual((host["policy"], host["plan"]["tls"], host["plan"]["on_failure"]), ("opportunistic", "if-offered", "plaintext"))

    def test_a_host_that_would_be_refused_is_a_no_and_under_audit_it_is_told(self):
        data = self.ask("user@bogus.test", code=1)
        host = self.only(data)
        self.assertEqual((host["plan"], host["reason"]), (None, "dnssec-invalid"))
        host = self.only(self.ask("user@watched.test"))
        self.assertEqual((host["reason"], host["plan"]["on_failure"]), ("dnssec-invalid", "audit"))
        data = self.ask("user@nowhere.example", code=1)
        self.assertIn("mx.missing.test", data["route"]["hosts"][0])
        self.assertEqual(self.only(data)["reason"], "dns-failure")
        self.assertIn("dns.forward", self.only(data)["detail"])

    def test_MX_28_the_check_says_that_a_host_of_a_route_is_not_found_and_what_to_do(self):
        done = subprocess.run([f"{Stage.build}/hoplockd", "--config", self.relay.config, "--check"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        warnings = [line for line in done.stderr.splitlines() if "'mx.missing.test' cannot be reached" in line]
        self.assertEqual(len(warnings), 1, done.stderr)
        self.assertRegex(warnings[0], r"hoplock\.yaml:\d+: ")
        self.assertIn("dns.forward", warnings[0])
        self.assertNotIn("'mx.own.test'", done.stderr)

    def test_a_certificate_that_cannot_be_used_is_in_the_way(self):
        data = self.ask("user@login.example")
        self.assertEqual((data["obstacle"], data["route"]["username"], data["route"]["client_certificate"]), (None, "hop", pair(self.world)))
        with open(pair(self.world), "w", encoding="utf-8") as file:
            file.write("none\n")  # the daemon has it, the next delivery would not
        self.assertIn("client.pem", self.ask("user@login.example", code=1)["obstacle"])
        self.assertIn("In the way: ", self.relay.text("check", "--route", "user@login.example")[1])

    def test_people_read_it_in_words(self):
        code, out, err = self.relay.text("check", "--route", "ann@partner.example")
        self.assertEqual((code, err), (0, ""))
        for words in ("Route: number 2 of 6, the first that matches", "note: ticket 4711", "Skipped, for its `until` has passed (2020-01-31)",
                      "Rule: tls verify, verify_names mail.partner.example"):
            self.assertIn(words, out)
        self.assertRegex(out, r"mx\.own\.test:25 +127\.\S+ +route +must +tls\.ca_file for mail\.partner\.example +next-host")
        code, out, err = self.relay.text("check", "--route", "user@bogus.test")
        self.assertEqual(code, 1)
        self.assertIn("Route: none of 6 matches, MX records rule", out)
        self.assertIn("refused: dnssec-invalid", out)
        self.assertIsNone(re.search(r"[\x00-\x09\x0b-\x1f]", out))

    def test_nobody_is_contacted(self):
        for name in ("mx.ee.test", "mx.sts.lab", "mx.own.test"):
            self.untouched(name)

    def test_what_is_no_address_is_refused(self):
        for words in (("--route", "partner.example"), ("--route", ""), ("--route", "user@[127.0.0.1]"), ("--route",), ("--route", "a@b.example", "c"),
                      ("--no-connect", "--route", "a@b.example")):
            with self.subTest(words=words):
                self.assertEqual(self.relay.text("check", *words)[0], 64)
        own = self.ask("postmaster", code=1)
        self.assertRegex(own["address"], r"^postmaster@")
