# SPDX-License-Identifier: Apache-2.0
"""DANE: what each kind of DNS answer means for a host, before any certificate is looked at."""

import hashlib
import time

from case import Case, Domain, Host

FAILURES = ("servfail", "refused", "notimp", "formerr", "rcode11", "silent", "truncate", "garbage", "noanswer")
JUNK = hashlib.sha256(b"junk").hexdigest()
UNUSABLE = {
    "short": f"3 1 1 hex:{JUNK[:62]}",  # 31 octets
    "empty": "3 1 1 hex:",
    "usage": "4 1 1",
    "selector": f"3 7 1 hex:{JUNK}",
    "matching": f"3 1 255 hex:{JUNK}",
    "der": f"3 0 0 hex:{JUNK}",
    "twenty": f"3 1 2 hex:{JUNK}",  # the right length for SHA-256, under SHA-512
    "one": "3 1 1 hex:00",
}
STRANGER = {"self_signed": True, "names": ("somebody.else.example",)}

DOMAINS = [
    Domain("d01.test", "alias of a DANE host, secure MX", ("10 alias",), (Host(tlsa=("3 1 1",)),), ("alias CNAME mx",)),
    Domain("d01.lab", "the same host by an insecure MX", ("10 alias.d01.test.",), signed=False),
    Domain("d02x.test", "MX signature expired", hosts=(Host(),), expire=("@ MX",)),
    Domain("d02a.test", "first MX's A bogus", ("10 mx1", "20 mx2"), (Host("mx1"), Host("mx2")), spoil=("mx1 A",)),
    Domain("d02b.test", "both A bogus", ("10 mx1", "20 mx2"), (Host("mx1"), Host("mx2")), spoil=("mx1 A", "mx2 A")),
    Domain("d03.test", "signed, MX in an unsigned zone", ("10 mx.d03host.lab.",)),
    Domain("d03host.lab", "drops TLSA queries", (), (Host(),), signed=False, lies={"_25._tcp.mx TLSA": "silent"}, send=False),
    Domain("d04good.lab", "insecure MX to a DANE host", ("10 good.d04host.test.",), signed=False),
    Domain("d04bad.lab", "insecure MX to a mismatch", ("10 bad.d04host.test.",), signed=False),
    Domain("d04host.test", "", (), (Host("good", ("3 1 1",)), Host("bad", ("3 1 1 wrong",))), send=False),
    Domain("d07.test", "TLSA SERVFAIL, mended later", hosts=(Host(tlsa=("3 1 1",)),), lies={"_25._tcp.mx TLSA": "servfail"}),
    Domain("d08.test", "insecure TLSA that does not match", hosts=(Host(),)),
    Domain("_tcp.mx.d08.test", "", (), signed=False, send=False,
           records=(f"_25 TYPE52 \\# 35 030101{JUNK}",)),
    Domain("d08none.test", "signed denial of TLSA", hosts=(Host(smtp={"starttls": "none"}),)),
    Domain("d09strip.test", "DANE, STARTTLS stripped", hosts=(Host(tlsa=("3 1 1",), smtp={"starttls": "none"}),)),
    Domain("d09refuse.test", "DANE, STARTTLS refused", hosts=(Host(tlsa=("3 1 1",), smtp={"starttls": "454 4.7.0 TLS not available"}),)),
    Domain("d09wrong.test", "DANE, mismatch", hosts=(Host(tlsa=("3 1 1 wrong",)),)),
    Domain("d10.test", "only an unknown matching type", hosts=(Host(tlsa=(f"3 1 9 hex:{JUNK}",), cert=STRANGER),)),
    Domain("d10plain.test", "the same without STARTTLS",
           hosts=(Host(tlsa=(f"3 1 9 hex:{JUNK}",), smtp={"starttls": "none"}),)),
    Domain("d12right.test", "PKIX-EE that matches", hosts=(Host(tlsa=("1 1 1",), cert=STRANGER),)),
    Domain("d12wrong.test", "PKIX-EE that does not match", hosts=(Host(tlsa=("1 1 1 wrong",)),)),
    Domain("d12ta.test", "PKIX-TA", hosts=(Host(tlsa=("0 0 1 wrong",)),)),
    Domain("d13pkix.test", "PKIX-TA beside a wrong DANE-EE", hosts=(Host(tlsa=("0 0 1", "3 1 1 wrong")),)),
    Domain("d34.test", "preference 20 has TLSA, 10 has not", ("10 mx1", "20 mx2"), (Host("mx1"), Host("mx2", ("3 1 1",)))),
    Domain("d35.lab", "mandatory DANE, insecure MX", ("10 good.d04host.test.",), signed=False),
    Domain("d35none.test", "mandatory DANE, no TLSA", hosts=(Host(),)),
    Domain("d35useless.test", "mandatory DANE, unusable TLSA", hosts=(Host(tlsa=("1 1 1",)),)),
    Domain("d35good.test", "mandatory DANE that matches", hosts=(Host(tlsa=("3 1 1",)),)),
    Domain("d36audit.test", "mismatch under audit", hosts=(Host(tlsa=("3 1 1 wrong",)),)),
    Domain("d36off.test", "mismatch, DANE off", hosts=(Host(tlsa=("3 1 1 wrong",)),)),
    Domain("d38.test", "TLSA wrong, mended later", hosts=(Host(tlsa=("3 1 1 wrong",)),), ttl=1),
    Domain("d38break.test", "DANE, the handshake breaks", hosts=(Host(tlsa=("3 1 1",), smtp={"handshake": "close"}),)),
]
DOMAINS += [Domain(f"d06{kind}.test", f"TLSA {kind}", ("10 bad", "20 good"), (Host("bad", ("3 1 1",)), Host("good")),
                   lies={"_25._tcp.bad TLSA": kind}) for kind in FAILURES]
DOMAINS += [Domain("d06bogus.test", "TLSA bogus", ("10 bad", "20 good"), (Host("bad", ("3 1 1",)), Host("good")),
                   spoil=("_25._tcp.bad TLSA",)),
            Domain("d06expired.test", "TLSA signature expired", ("10 bad", "20 good"), (Host("bad", ("3 1 1",)), Host("good")),
                   expire=("_25._tcp.bad TLSA",)),
            Domain("d06denial.test", "denial of TLSA bogus", ("10 bad",), (Host("bad"),), spoil=("* NSEC",)),
            Domain("d06alias.test", "TLSA alias into a failing zone", ("10 bad", "20 good"), (Host("bad"), Host("good")),
                   records=("_25._tcp.bad CNAME _t.d06failing.test.",)),
            Domain("d06failing.test", "", (), lies={"_t TLSA": "servfail"}, tlsa=("_t: 3 1 1 of:bad.d06alias.test",), send=False)]
DOMAINS += [Domain(f"d11{kind}.test", f"unusable TLSA: {kind}", hosts=(Host(tlsa=(spec,), cert=STRANGER),))
            for kind, spec in UNUSABLE.items()]
DOMAINS += [Domain(f"d11{kind}plain.test", f"unusable TLSA and no STARTTLS: {kind}",
                   hosts=(Host(tlsa=(spec,), smtp={"starttls": "none"}),)) for kind, spec in UNUSABLE.items()]

SETTINGS = {
    "delivery": {"retry": {"max": "3s"}},
    "routes": [
        {"match": ["d35.lab", "d35none.test", "d35useless.test", "d35good.test"], "tls": "dane-only"},
        {"match": ["d36audit.test"], "dane": "audit", "note": "their certificate is being changed"},
        {"match": ["d36off.test"], "dane": "off"},
    ],
}


class DaneAnswers(Case):
    def test_DANE_01_insecure_mx_is_never_logged_as_authenticating_the_domain(self):
        secure = self.delivered("d01.test", policy="dane", auth="dane-ee", mx_dnssec="secure", tlsa="3 1 1")
        insecure = self.delivered("d01.lab", policy="dane", auth="dane-ee", mx_dnssec="insecure", mx="alias.d01.test")
        self.assertEqual(secure["sni"], "mx.d01.test")
        self.assertEqual(insecure["sni"], "mx.d01.test")

    def test_DANE_02_bogus_mx_defers_everything_and_bogus_address_skips_one_host(self):
        self.deferred("d02x.test", "dnssec-invalid", "4.7.324")
        self.untouched("mx.d02x.test")
        self.delivered("d02a.test", mx="mx2.d02a.test")
        self.untouched("mx1.d02a.test")
        self.deferred("d02b.test", "dnssec-invalid", "4.7.324")
        self.untouched("mx1.d02b.test")
        self.untouched("mx2.d02b.test")

    def test_DANE_03_insecure_host_address_means_no_tlsa_query_and_a_usable_host(self):
        self.delivered("d03.test", policy="opportunistic", auth="none", tls="TLSv1.3")
        self.assertTrue(self.world.wire.queries(name="mx.d03host.lab", kind="A"))
        self.assertEqual(self.tlsa_queries("mx.d03host.lab"), [])

    def test_DANE_04_host_tlsa_is_enforced_under_an_insecure_mx(self):
        self.delivered("d04good.lab", policy="dane", auth="dane-ee", mx_dnssec="insecure")
        self.deferred("d04bad.lab", "tlsa-invalid", "4.7.323", mx_dnssec="insecure")
        self.no_mail_command("bad.d04host.test")

    def test_DANE_06_DNS_06_any_failed_tlsa_query_skips_the_host_without_a_connection(self):
        for kind in (*FAILURES, "bogus", "expired", "alias"):
            with self.subTest(kind):
                domain = f"d06{kind}.test"
                self.delivered(domain, mx=f"good.{domain}", policy="opportunistic")
                self.untouched(f"bad.{domain}")
                hop = self.relay.wait_log(5, event="hop", domain=domain)
                self.assertEqual((hop["mx"], hop["reason"], hop["action"], hop["level"]),
                                 (f"bad.{domain}", "dnssec-invalid", "next-host", "warn"))

    def test_DANE_06_bogus_denial_of_tlsa_is_a_failure_not_an_absence(self):
        self.deferred("d06denial.test", "dnssec-invalid", "4.7.324")
        self.untouched("bad.d06denial.test")

    def test_DANE_07_DNS_14_all_hosts_failed_defers_and_a_repair_before_expiry_delivers(self):
        self.deferred("d07.test", "dnssec-invalid", "4.7.324")
        self.untouched("mx.d07.test")
        self.world.liar.tell("_25._tcp.mx.d07.test", "TLSA", None)
        line = self.relay.wait_log(25, event="delivered", to="user@d07.test")
        self.assertEqual((line["policy"], line["auth"]), ("dane", "dane-ee"))
        self.assertGreater(int(line["attempt"]), 1)

    def test_DANE_08_DNS_07_insecure_or_denied_tlsa_means_dane_is_not_in_use(self):
        self.delivered("d08.test", policy="opportunistic", auth="none", tls="TLSv1.3")
        self.delivered("d08none.test", policy="opportunistic", auth="none", tls="none")

    def test_DANE_09_usable_tlsa_needs_tls_and_a_match_before_mail(self):
        self.deferred("d09strip.test", "starttls-not-supported", "4.7.321")
        self.deferred("d09refuse.test", "starttls-not-supported", "4.7.321")
        line = self.deferred("d09wrong.test", "tlsa-invalid", "4.7.323")
        self.assertRegex(line["reply"], r"^450 4\.7\.323 tlsa-invalid: mx\.d09wrong\.test\[127\.1\.\d+\.\d+\]: ")
        for host in ("mx.d09strip.test", "mx.d09refuse.test", "mx.d09wrong.test"):
            self.no_mail_command(host)

    def test_DANE_10_only_unusable_records_mean_tls_without_authentication(self):
        self.delivered("d10.test", policy="dane", auth="none", tls="TLSv1.3")
        self.deferred("d10plain.test", "starttls-not-supported", "4.7.321")
        self.no_mail_command("mx.d10plain.test")

    def test_DANE_11_each_kind_of_unusable_record_alone_gives_the_unusable_behaviour(self):
        for kind in UNUSABLE:
            with self.subTest(kind):
                self.delivered(f"d11{kind}.test", policy="dane", auth="none", tls="TLSv1.3")
                self.deferred(f"d11{kind}plain.test", "starttls-not-supported", "4.7.321")
                self.no_mail_command(f"mx.d11{kind}plain.test")

    def test_DANE_12_pkix_usages_are_unusable_and_never_mapped(self):
        for domain in ("d12right.test", "d12wrong.test", "d12ta.test"):
            with self.subTest(domain):
                self.delivered(domain, policy="dane", auth="none", tls="TLSv1.3")

    def test_DANE_13_an_unusable_record_beside_a_usable_one_is_ignored(self):
        self.deferred("d13pkix.test", "tlsa-invalid", "4.7.323")
        self.no_mail_command("mx.d13pkix.test")

    def test_DANE_34_tlsa_does_not_change_the_order_of_preferences(self):
        self.delivered("d34.test", mx="mx1.d34.test", policy="opportunistic")
        self.untouched("mx2.d34.test")

    def test_DANE_35_mandatory_dane_defers_without_secure_usable_tlsa(self):
        self.deferred("d35.lab", "dane-required")
        self.deferred("d35none.test", "dane-required")
        self.deferred("d35useless.test", "tlsa-invalid", "4.7.323")
        self.delivered("d35good.test", policy="dane", auth="dane-ee")
        self.assertEqual(self.arrived("good.d04host.test", "d35.lab"), [])
        for host in ("mx.d35none.test", "mx.d35useless.test"):
            self.no_mail_command(host)

    def test_DANE_36_a_mismatch_is_ignored_only_where_the_operator_named_the_destination(self):
        line = self.delivered("d36audit.test", auth="none", reason="tlsa-invalid")
        self.assertEqual(line["policy"], "dane")
        hop = self.relay.wait_log(5, event="hop", domain="d36audit.test")
        self.assertEqual((hop["action"], hop["reason"], hop["level"]), ("audit", "tlsa-invalid", "warn"))
        self.delivered("d36off.test", policy="opportunistic", auth="none")
        self.deferred("d09wrong.test", "tlsa-invalid")

    def test_DANE_38_DNS_14_each_attempt_decides_anew_from_fresh_data(self):
        self.deferred("d38.test", "tlsa-invalid")
        self.world.domain("d38.test").hosts[0].tlsa = ("3 1 1",)
        self.world.change("d38.test")
        line = self.relay.wait_log(20, event="delivered", to="user@d38.test")
        self.assertEqual((line["policy"], line["auth"]), ("dane", "dane-ee"))

    def test_DANE_38_TLS_10_a_failed_handshake_with_a_dane_host_is_never_retried_in_clear(self):
        line = self.deferred("d38break.test")
        self.assertTrue(line.get("reason"))
        time.sleep(0.3)
        self.no_mail_command("mx.d38break.test")
