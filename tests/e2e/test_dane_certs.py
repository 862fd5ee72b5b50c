# SPDX-License-Identifier: Apache-2.0
"""DANE: which certificates each kind of TLSA record takes, and under which names."""

import time

from case import Case, Domain, Host
from world import hello

WRONG_IN_EVERY_WAY = {"self_signed": True, "expired": True, "names": ("somebody.else.example",)}


def private(**kind):
    """Signed by a root that no trust store holds; the server sends it along."""
    return lambda ca, name: ca.leaf(*kind.pop("names", (name,)), issuer=ca.stranger, send="full", **kind)


def expired_intermediate(ca, name):
    return ca.leaf(name, issuer=ca.sub("Expired Intermediate", issuer=ca.stranger, expired=True), send="full")


def not_issued_by_what_it_sends(ca, name):
    leaf = ca.leaf(name, self_signed=True)
    leaf.chain = [ca.stranger]
    ca.save(leaf)
    return leaf


def below_pathlen_zero(ca, name):
    anchor = ca.sub("Anchor with pathlen 0", issuer=ca.stranger, pathlen=0)
    return ca.leaf(name, issuer=ca.sub("Too deep", issuer=anchor), send="full")


def one(name, what, host, **more):
    return Domain(name, what, hosts=(host,), **more)


MATCHING = ("3 0 0", "3 0 1", "3 0 2", "3 1 0", "3 1 1", "3 1 2")
D21_NAMES = {"base": "h-{0}.d21.test", "nexthop": "a-{0}.d21.test", "expanded": "r-{0}.d21.test", "mxname": "m-{0}.d21.test"}
D22_NAMES = {"base": "j-{0}.d22.test", "original": "i-{0}.d22.test", "third": "k-{0}.d22.test"}

DOMAINS = [
    one("d05.lab", "insecure MX, DANE-TA", Host("unused"), mx=("10 mx.d05host.test.",), signed=False),
    one("d05s.test", "secure MX, DANE-TA", Host("unused"), mx=("10 mxs.d05host.test.",)),
    Domain("d05host.test", "certificates with the recipient domain only", (),
           (Host("mx", ("2 0 1",), {"names": ("d05.lab",)}), Host("mxs", ("2 0 1",), {"names": ("d05s.test",)})), send=False),
    one("d13roll.test", "keys old and new", Host(tlsa=("3 1 1 wrong", "3 1 1"))),
    one("d14ca.test", "DANE-EE of the CA's key", Host(tlsa=("3 1 1 issuer",))),
    one("d14bits.test", "digest of the bare key bits", Host(tlsa=("3 1 1 bits",))),
    one("d15.test", "expired, self-signed, other name, yet DANE-EE", Host(tlsa=("3 1 1",), cert=WRONG_IN_EVERY_WAY)),
    one("d15eku.test", "a client's certificate, yet DANE-EE", Host(tlsa=("3 1 1",), cert={"eku": ()})),
    one("d15rsa.test", "RSA 1024, yet DANE-EE", Host(tlsa=("3 1 1",), cert={"bits": 1024, "self_signed": True})),
    one("d16good.test", "DANE-TA, private root", Host(tlsa=("2 0 1",), cert=private())),
    one("d16mid.test", "DANE-TA of an intermediate", Host(tlsa=("2 1 1",))),
    one("d16leaf.test", "DANE-TA, leaf expired", Host(tlsa=("2 0 1",), cert=private(expired=True))),
    one("d16early.test", "DANE-TA, leaf not yet valid", Host(tlsa=("2 0 1",), cert=private(not_yet=True))),
    one("d16inter.test", "DANE-TA, intermediate expired", Host(tlsa=("2 0 1 chain:1",), cert=expired_intermediate)),
    one("d16forged.test", "DANE-TA, leaf by somebody else", Host(tlsa=("2 0 1",), cert=not_issued_by_what_it_sends)),
    one("d17.test", "DANE-TA of a self-signed leaf", Host(tlsa=("2 1 1 leaf",), cert={"self_signed": True})),
    one("d18.test", "DANE-TA of a root that is installed, not sent", Host(tlsa=("2 0 1 root",))),
    one("d19cert.test", "anchor in DNS only, 2 0 0", Host(tlsa=("2 0 0",), cert={"send": "leaf"})),
    one("d19key.test", "anchor in DNS only, 2 1 0", Host(tlsa=("2 1 0",), cert={"send": "leaf"})),
    one("d20.test", "pathlen of the anchor", Host(tlsa=("2 0 1 chain:1",), cert=below_pathlen_zero)),
    one("d20full.test", "pathlen of the anchor in DNS", Host(tlsa=("2 0 0 chain:1",), cert=below_pathlen_zero)),
    Domain("d21.test", "names for DANE-TA, secure MX", (), tuple(
        Host(f"h-{n}", ("2 0 1",), {"names": (pattern.format(n),)}) for n, pattern in D21_NAMES.items()), tuple(
            record for n in D21_NAMES for record in (f"a-{n} CNAME r-{n}", f"r-{n} MX 10 m-{n}", f"m-{n} CNAME h-{n}")), send=False),
    Domain("d22.test", "names for DANE-TA, implicit MX", (), tuple(
        Host(f"j-{n}", ("2 0 1",), {"names": (pattern.format(n),)}) for n, pattern in D22_NAMES.items()), tuple(
            f"i-{n} CNAME j-{n}" for n in D22_NAMES), send=False),
    one("d24star.test", "wildcard", Host("mx1", ("2 0 1",), {"names": ("*.d24star.test",)}), mx=("10 mx1",)),
    one("d24deep.test", "wildcard over two labels", Host("a.b", ("2 0 1",), {"names": ("*.d24deep.test",)}), mx=("10 a.b",)),
    one("d24part.test", "part of a label", Host("mx1", ("2 0 1",), {"names": ("mx*.d24part.test",)}), mx=("10 mx1",)),
    one("d24cn.test", "CN beside other SANs", Host(tlsa=("2 0 1",), cert={"cn": "mx.d24cn.test", "names": ("other.example",)})),
    one("d24only.test", "CN and no SAN", Host(tlsa=("2 0 1",), cert={"cn": "mx.d24only.test", "names": ()})),
    one("d25strong.test", "wrong SHA-512, right SHA-256", Host(tlsa=("3 1 2 wrong", "3 1 1"))),
    one("d25short.test", "short SHA-512, right SHA-256", Host(tlsa=("3 1 2 hex:00112233", "3 1 1"))),
    one("d25full.test", "wrong SHA-512, right Full", Host(tlsa=("3 1 2 wrong", "3 1 0"))),
    one("d25both.test", "wrong DANE-EE, right DANE-TA", Host(tlsa=("3 1 2 wrong", "2 0 1"))),
    one("d37.test", "DANE-TA only", Host(tlsa=("2 0 1",))),
]
DOMAINS += [one(f"d14m{spec.replace(' ', '')}.test", f"DANE-EE {spec}", Host(tlsa=(spec,))) for spec in MATCHING]

RECIPIENTS = [f"user@a-{n}.d21.test" for n in D21_NAMES] + [f"user@i-{n}.d22.test" for n in D22_NAMES]


class DaneCerts(Case):
    def mismatch(self, domain, reason="tlsa-invalid", dsn="4.7.323", host=None):
        line = self.deferred(domain, reason, dsn, policy="dane")
        self.no_mail_command(host or f"mx.{domain}")
        return line

    def test_DANE_05_under_an_insecure_mx_only_the_base_domain_names_the_host(self):
        self.deferred("d05.lab", "certificate-host-mismatch", "4.7.325")
        self.no_mail_command("mx.d05host.test")
        self.delivered("d05s.test", policy="dane", auth="dane-ta", mx_dnssec="secure")

    def test_DANE_13_one_matching_record_of_several_is_enough(self):
        self.delivered("d13roll.test", policy="dane", auth="dane-ee")

    def test_DANE_14_dane_ee_compares_the_leaf_alone_in_whole_der(self):
        self.mismatch("d14ca.test")
        self.mismatch("d14bits.test")
        for spec in MATCHING:
            with self.subTest(spec):
                host = self.world.host(f"mx.d14m{spec.replace(' ', '')}.test")
                self.delivered(f"d14m{spec.replace(' ', '')}.test", policy="dane", auth="dane-ee", tlsa=spec,
                               cert=host.certificate.key_digest())

    def test_DANE_15_TLS_02_dane_ee_ignores_names_dates_issuers_and_weak_keys(self):
        for domain in ("d15.test", "d15eku.test", "d15rsa.test"):
            with self.subTest(domain):
                self.delivered(domain, policy="dane", auth="dane-ee")

    def test_DANE_16_dane_ta_anchors_a_chain_that_is_checked_as_usual(self):
        self.delivered("d16good.test", policy="dane", auth="dane-ta", tlsa="2 0 1")
        self.delivered("d16mid.test", policy="dane", auth="dane-ta", tlsa="2 1 1")
        self.mismatch("d16leaf.test", "certificate-expired", "4.7.322")
        self.mismatch("d16inter.test", "certificate-expired", "4.7.322")
        self.mismatch("d16forged.test", ("tlsa-invalid", "certificate-not-trusted"), ("4.7.323", "4.7.5"))
        self.deferred("d16early.test")
        self.no_mail_command("mx.d16early.test")

    def test_DANE_17_dane_ta_never_matches_a_leaf(self):
        self.mismatch("d17.test")

    def test_DANE_18_the_chain_is_not_completed_from_the_local_store(self):
        self.mismatch("d18.test")

    def test_DANE_19_an_anchor_given_whole_in_dns_need_not_be_sent(self):
        self.delivered("d19cert.test", policy="dane", auth="dane-ta", tlsa="2 0 0")
        self.delivered("d19key.test", policy="dane", auth="dane-ta", tlsa="2 1 0")

    def test_DANE_20_the_anchors_own_path_length_binds(self):
        for domain in ("d20.test", "d20full.test"):
            with self.subTest(domain):
                self.deferred(domain, policy="dane")
                self.no_mail_command(f"mx.{domain}")

    def test_DANE_21_DANE_32_names_for_dane_ta_are_base_next_hop_and_its_expansion_only(self):
        for name in ("base", "nexthop", "expanded"):
            with self.subTest(name):
                self.delivered(f"a-{name}.d21.test", policy="dane", auth="dane-ta", sni=f"h-{name}.d21.test")
        self.mismatch("a-mxname.d21.test", "certificate-host-mismatch", "4.7.325", host="h-mxname.d21.test")

    def test_DANE_22_DANE_32_without_mx_the_base_and_the_original_name_count(self):
        for name in ("base", "original"):
            with self.subTest(name):
                self.delivered(f"i-{name}.d22.test", policy="dane", auth="dane-ta", sni=f"j-{name}.d22.test")
        self.mismatch("i-third.d22.test", "certificate-host-mismatch", "4.7.325", host="j-third.d22.test")

    def test_DANE_24_names_match_by_dns_id_whole_label_wildcards_and_cn_only_without_any(self):
        self.delivered("d24star.test", auth="dane-ta")
        self.delivered("d24only.test", auth="dane-ta")
        self.mismatch("d24deep.test", "certificate-host-mismatch", "4.7.325", host="a.b.d24deep.test")
        self.mismatch("d24part.test", "certificate-host-mismatch", "4.7.325", host="mx1.d24part.test")
        self.mismatch("d24cn.test", "certificate-host-mismatch", "4.7.325")

    def test_DANE_25_only_the_strongest_digest_of_the_usable_records_counts(self):
        self.mismatch("d25strong.test")
        self.delivered("d25short.test", policy="dane", auth="dane-ee", tlsa="3 1 1")
        self.delivered("d25full.test", policy="dane", auth="dane-ee", tlsa="3 1 0")
        self.delivered("d25both.test", policy="dane", auth="dane-ta", tlsa="2 0 1")

    def test_DANE_37_TLS_02_no_anonymous_suite_and_no_raw_public_key_is_offered(self):
        self.delivered("d37.test", auth="dane-ta")
        greeting = hello.parse(self.sessions("mx.d37.test")[0].client_hello)
        self.assertEqual(hello.ANONYMOUS & set(greeting.ciphers), set())
        self.assertNotIn(hello.SERVER_CERTIFICATE_TYPE, greeting.extensions)

    def test_DANE_07_DANE_38_a_mismatch_is_tried_again_never_bounced_nor_downgraded(self):
        self.mismatch("d14ca.test")
        again = self.relay.wait_log(15, event="deferred", to="user@d14ca.test", attempt="2")
        self.assertEqual(again["reason"], "tlsa-invalid")
        time.sleep(0.1)
        self.no_mail_command("mx.d14ca.test")
