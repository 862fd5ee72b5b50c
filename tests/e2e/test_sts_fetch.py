# SPDX-License-Identifier: Apache-2.0
"""MTA-STS: the policy over HTTPS. Each good policy refuses the domain's only MX, so mail tells whether the policy was taken."""

import calendar
import gzip
import re
import time

from cryptography.x509.oid import ExtendedKeyUsageOID

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay

LIMIT = 65536


def one(name, what, host=None, mx=("nobody",), **sts):
    return Domain(name, what, hosts=(host or Host(),), signed=False, sts=Sts(mx=mx, **sts))


def text(*lines, end="\r\n"):
    return "".join(line + end for line in lines).encode()


def padded(size):
    start = text("version: STSv1", "mode: enforce", "mx: nobody.lab", "max_age: 86400")
    return start + b"x: " + b"a" * (size - len(start) - 5) + b"\r\n"


def policy(**changes):
    """The four lines, some of them changed or (None) left out."""
    fields = {"version": "STSv1", "mode": "enforce", "mx": "nobody.lab", "max_age": "86400"} | changes
    return text(*(f"{key}: {value}" for key, value in fields.items() if value is not None))


def parent(ca, name):
    return ca.leaf(name.split(".", 1)[1])


CERTIFICATES = {  # of the policy host
    "expired": {"expired": True},
    "not-yet": {"not_yet": True},
    "self-signed": {"self_signed": True},
    "stranger": lambda ca, name: ca.leaf(name, issuer=ca.stranger, send="full"),
    "no-chain": {"send": "leaf"},
    "cn-only": lambda ca, name: ca.leaf(cn=name),
    "parent": parent,
    "provider": {"names": ("mta-sts.provider.example",)},
    "partial": lambda ca, name: ca.leaf("mta-*." + name.split(".", 1)[1]),
    "inner": lambda ca, name: ca.leaf("mta-sts.*." + name.rsplit(".", 1)[1]),
    "client": {"eku": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
}
ANSWERS = {  # that are no policy
    "301": {"status": "301 Moved Permanently", "headers": ("Location: https://mta-sts.good.lab/.well-known/mta-sts.txt",)},
    "302": {"status": "302 Found", "headers": ("Location: /.well-known/mta-sts.txt",)},
    "307": {"status": "307 Temporary Redirect", "headers": ("Location: https://mta-sts.a-307.lab/other",)},
    "204": {"status": "204 No Content"},
    "203": {"status": "203 Non-Authoritative Information"},
    "206": {"status": "206 Partial Content"},
    "404": {"status": "404 Not Found"},
    "500": {"status": "500 Internal Server Error"},
    "html": {"content_type": "text/html"},
    "octets": {"content_type": "application/octet-stream"},
    "text": {"content_type": "text"},
    "plainer": {"content_type": "text/plainer"},
    "typeless": {"content_type": ""},
    "gzip": {"compress": True},
    "bomb": {"body": gzip.compress(padded(50 << 20)), "headers": ("Content-Encoding: gzip",)},
    "large": {"body": padded(LIMIT + 1)},
    "large-chunked": {"body": padded(LIMIT + 1), "length": "chunked"},
    "large-unsaid": {"body": padded(LIMIT + 1), "length": "none"},
    "large-claim": {"length": 10**12},
    "long": {"length": 1000},
    "negative": {"length": -1},
    "half": {"drop": "body"},
    "half-unsaid": {"drop": "body", "length": "none"},
    "no-answer": {"drop": "request"},
    "no-end": {"drop": "headers"},
    "cut": {"drop": "connect"},
    "no-tls": {"handshake": "garbage"},
    "old-tls": {"min_tls": "TLSv1_1", "max_tls": "TLSv1_1"},
    "refused": {"down": "refused"},
}
SLOW = {  # that would never end
    "hole": {"down": "black hole"},
    "stall": {"handshake": "stall"},
    "silent": {"drop": "silent"},
    "loris": {"pace": 0.3},
    "headers": {"endless": "headers"},
    "interim": {"endless": "interim"},
    "body": {"endless": "body"},
    "chunks": {"endless": "chunks"},
}
GOOD_ANSWERS = {
    "parameters": {"content_type": "text/plain; charset=utf-8; foo=bar"},
    "capitals": {"content_type": "Text/Plain"},
    "chunked": {"length": "chunked"},
    "unsaid": {"length": "none"},
    "full": {"body": padded(LIMIT)},
    "cached": {"headers": ("Cache-Control: max-age=86400", 'ETag: "x"', "Last-Modified: Mon, 02 Jan 2023 00:00:00 GMT")},
}
GOOD_POLICIES = {
    "lf": text("version: STSv1", "mode: enforce", "mx: nobody.lab", "max_age: 86400", end="\n"),
    "mixed-ends": b"version: STSv1\nmode: enforce\r\nmx: nobody.lab\nmax_age: 86400\r\n",
    "no-end": text("version: STSv1", "mode: enforce", "mx: nobody.lab", "max_age: 86400").rstrip(),
    "any-order": text("max_age: 86400", "mx: nobody.lab", "version: STSv1", "mode: enforce"),
    "blanks": text("version:STSv1  ", "mode: \tenforce\t", "mx:   nobody.lab ", "max_age: 86400 "),
    "unknown": text("version: STSv1", "foo: bar", "mode: enforce", "mx: nobody.lab", "max_age: 86400", "Mode: none"),
    "twice": text("version: STSv1", "mode: enforce", "mode: none", "mx: nobody.lab", "max_age: 86400", "max_age: x"),
    "many-mx": text("version: STSv1", "mode: enforce", *(f"mx: m{i}.nobody.lab" for i in range(500)), "max_age: 86400"),
    "star": policy(mx="*.nobody.lab"),
    "ten-digits": policy(max_age="9999999999"),
    "zero": policy(max_age="0"),
}
BAD_POLICIES = {
    "empty": b"",
    "no-version": policy(version=None),
    "version": policy(version="STSv2"),
    "version-case": policy(version="stsv1"),
    "no-mode": policy(mode=None),
    "mode": policy(mode="report"),
    "mode-case": policy(mode="Enforce"),
    "key-case": text("version: STSv1", "Mode: enforce", "mx: nobody.lab", "max_age: 86400"),
    "no-age": policy(max_age=None),
    "negative-age": policy(max_age="-1"),
    "broken-age": policy(max_age="1.5"),
    "long-age": policy(max_age="00000086400"),
    "word-age": policy(max_age="1d"),
    "no-mx": policy(mx=None),
    "no-mx-testing": policy(mode="testing", mx=None),
    "star": policy(mx="*"),
    "part-star": policy(mx="mx*.nobody.lab"),
    "inner-star": policy(mx="a.*.nobody.lab"),
    "two-stars": policy(mx="*.*.nobody.lab"),
    "u-label": policy(mx="mx.bücher.example"),
    "literal": policy(mx="[192.0.2.1]"),
    "empty-mx": policy(mx=""),
    "html": b"<!DOCTYPE html><html><body>It works!</body></html>",
    "nul": policy(mx="nobody.lab\0.other.lab"),
    "noise": bytes(range(256)) * 20,
    "utf16": policy().decode().encode("utf-16"),
}

DOMAINS = [
    one("good.lab", "all good"),
    one("star.lab", "wildcard certificate on the policy host", cert={"names": ("*.star.lab",)}),
    one("hosted.lab", "policy host is an alias of a provider's", alias="mta-sts.provider.test."),
    Domain("provider.test", "", (), sts=Sts(text=b"not yours", cert={"names": ("mta-sts.provider.test",)}, txt=()), send=False),
    one("hosted-cert.lab", "policy host is an alias, certificate of its end", alias="mta-sts.provider.test.",
        cert={"names": ("mta-sts.provider.test",)}),
    one("none.lab", "mode none without mx", mode="none", mx=()),
    one("nowhere.lab", "a record, but the policy host does not exist", alias="mta-sts.nobody.test."),
    one("six.lab", "the policy host's AAAA is dead, its A alive", aaaa=("2001:db8:6::1",)),
    one("lies.lab", "the policy host's address cannot be looked up"),
    Domain("bogus.test", "the policy host's address is bogus", hosts=(Host(),), sts=Sts(mx=("nobody",)), spoil=("mta-sts A",)),
]
DOMAINS[-2].lies = {"mta-sts A": "servfail", "mta-sts AAAA": "servfail"}
DOMAINS += [one(f"c-{name}.lab", f"policy host's certificate {name}", cert=cert) for name, cert in CERTIFICATES.items()]
DOMAINS += [one(f"a-{name}.lab", f"answer {name}", web=web) for name, web in {**ANSWERS, **SLOW}.items()]
DOMAINS += [one(f"g-{name}.lab", f"answer {name}", web=web) for name, web in GOOD_ANSWERS.items()]
DOMAINS += [one(f"p-{name}.lab", f"policy {name}", text=octets) for name, octets in GOOD_POLICIES.items()]
DOMAINS += [one(f"b-{name}.lab", f"policy {name}", text=octets) for name, octets in BAD_POLICIES.items()]
DOMAINS += [
    one("tls12.lab", "policy host with TLS 1.2 only", web={"max_tls": "TLSv1_2"}),
    one("tls11.lab", "policy host with TLS 1.1 only", web={"min_tls": "TLSv1_1", "max_tls": "TLSv1_1"}),
    one("tls10.lab", "policy host with TLS 1.0 only", web={"min_tls": "TLSv1", "max_tls": "TLSv1"}),
]
INSIDE = {"10": "10.0.0.5", "172": "172.16.3.4", "192": "192.168.7.7", "link": "169.254.4.4", "loop": "127.3.255.1"}
DOMAINS += [Domain(f"i-{name}.lab", f"policy host at {ip}", hosts=(Host(ip=[f"198.51.100.{number}"]),), signed=False, send=False,
                   sts=Sts(mx=("nobody",), ip=[ip])) for number, (name, ip) in enumerate(INSIDE.items(), 1)]
DOMAINS += [
    Domain("i-six.lab", "policy host at fd00:", hosts=(Host(ip=["198.51.100.20"]),), signed=False, send=False,
           sts=Sts(mx=("nobody",), ip=["10.0.0.6"], aaaa=("fd00:7::1",))),
    Domain("i-outside.lab", "policy host at a public address", hosts=(Host(ip=["198.51.100.21"]),), signed=False, send=False,
           sts=Sts(mx=("nobody",), ip=["203.0.113.9"])),
]
SETTINGS = {"security": {"mta_sts": "enforce"}, "mta_sts": {"fetch_timeout": "2s"}, "delivery": {"retry": {"first": "1h"}}}


def moment(stamp):
    """Seconds of an RFC 3339 time in UTC."""
    whole = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", stamp)[1]
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))


class Fetch(Case):
    def taken(self, domain):
        self.deferred(domain, "mx-not-in-policy", "4.4.8", policy="sts")

    def not_taken(self, domain, result):
        """Delivered in the same attempt as if there were no policy, after one try."""
        self.delivered(domain, policy="opportunistic", attempt="1")
        self.policy_failed(domain, result)

    def test_STS_07_the_request_is_exact(self):
        self.taken("good.lab")
        request, = self.requests("good.lab")
        self.assertEqual((request.method, request.target, request.version), ("GET", "/.well-known/mta-sts.txt", "HTTP/1.1"))
        self.assertEqual((request.header("Host"), self.world.site("good.lab").visits[0].sni), ("mta-sts.good.lab",) * 2)
        self.assertRegex(request.header("User-Agent"), r"^hoplock/\d")
        self.assertIn(request.header("Accept-Encoding"), (None, "identity"))
        for name in ("If-None-Match", "If-Modified-Since", "Range", "Cookie", "Authorization", "Referer", "From"):
            self.assertIsNone(request.header(name), name)
        self.assertEqual(request.body, b"")

    def test_STS_07_STS_08_a_hosted_policy_is_asked_for_under_its_own_name(self):
        self.taken("hosted.lab")
        visit, = self.world.site("hosted.lab").visits
        self.assertEqual((visit.sni, visit.requests[0].header("Host")), ("mta-sts.hosted.lab",) * 2)
        self.not_taken("hosted-cert.lab", "sts-webpki-invalid")

    def test_STS_08_each_bad_certificate_of_the_policy_host(self):
        self.taken("star.lab")
        for name in CERTIFICATES:
            with self.subTest(name):
                self.not_taken(f"c-{name}.lab", "sts-webpki-invalid")
                self.assertEqual(self.requests(f"c-{name}.lab"), [], "the request is told to nobody but the right host")

    def test_TLS_01_policy_hosts_are_asked_by_tls_1_2_and_1_3_only(self):
        self.taken("tls12.lab")
        for domain in ("tls11.lab", "tls10.lab"):
            self.not_taken(domain, "sts-policy-fetch-error")

    def test_STS_09_STS_10_STS_11_STS_13_each_answer_that_is_no_policy(self):
        for name in ANSWERS:
            domain = f"a-{name}.lab"
            with self.subTest(name):
                self.not_taken(domain, "sts-policy-fetch-error")
                self.assertEqual(self.world.fetches(domain), 1, "no second try, no redirect followed")
        self.assertEqual(len(self.requests("good.lab")), 1)

    def test_STS_11_STS_13_time_and_memory_are_bounded(self):
        for name in SLOW:
            domain = f"a-{name}.lab"
            with self.subTest(name):
                self.not_taken(domain, "sts-policy-fetch-error")
                self.assertTrue(self.world.site(domain).all_ended())
                for visit in self.world.site(domain).visits:
                    self.assertLess(visit.ended - visit.time, 6)
                    self.assertLess(visit.sent, 16 << 20)
        if not Stage.is_sanitized():
            self.assertLess(self.relay.peak_memory(), 300 << 20)

    def test_STS_10_STS_11_good_answers(self):
        for name in GOOD_ANSWERS:
            with self.subTest(name):
                self.taken(f"g-{name}.lab")

    def test_STS_15_STS_17_STS_19_good_policies(self):
        for name in GOOD_POLICIES:
            with self.subTest(name):
                self.taken(f"p-{name}.lab")

    def test_STS_15_STS_16_STS_18_STS_19_bad_policies(self):
        for name in BAD_POLICIES:
            with self.subTest(name):
                self.not_taken(f"b-{name}.lab", "sts-policy-invalid")
                self.assertEqual(len(self.requests(f"b-{name}.lab")), 1)

    def test_STS_17_a_very_long_max_age_is_cut(self):
        line = self.policy_event("p-ten-digits.lab", "fetched")
        seconds = (moment(line["expires"]) - moment(line["time"])) / 31557600
        self.assertTrue(0.999 < seconds < 1.001, line)

    def test_STS_18_STS_27_mode_none_needs_no_mx(self):
        self.delivered("none.lab", policy="opportunistic")
        self.policy_event("none.lab", "fetched", mode="none")

    def test_STS_13_the_policy_host_cannot_be_found(self):
        for domain in ("nowhere.lab", "lies.lab", "bogus.test"):
            with self.subTest(domain):
                self.not_taken(domain, "sts-policy-fetch-error")
        self.never_fetched("bogus.test")

    def test_STS_11_private_and_local_targets_are_refused(self):
        with Relay(self.world, Stage.build, SETTINGS | {"dns": {"local_targets": "refuse"}}, "refusing", 2600) as refusing:
            for name in (*INSIDE, "six"):
                with self.subTest(name):
                    refusing.send(f"inside@i-{name}.lab")
                    self.assertEqual(refusing.outcome(f"inside@i-{name}.lab")["policy"], "opportunistic")
                    self.assertIn("sts-policy-fetch-error", str(self.policy_event(f"i-{name}.lab", "failed", relay=refusing)))
                    self.never_fetched(f"i-{name}.lab")
            refusing.send("outside@i-outside.lab")
            self.assertEqual(refusing.outcome("outside@i-outside.lab")["reason"], "mx-not-in-policy")

    def test_STS_11_a_dead_address_does_not_hide_a_good_one(self):
        self.taken("six.lab")
