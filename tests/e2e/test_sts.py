# SPDX-License-Identifier: Apache-2.0
"""MTA-STS: which host gets the mail under a policy, alone and beside DANE."""

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay

TWO = ("10 mx1", "20 mx2")
OTHER = {"names": ("somebody.else.example",)}
SELF_SIGNED = {"self_signed": True}
NO_TLS = {"starttls": "none"}
WRONG = "3 1 1 wrong"


def of(name, **more):
    """Certificates that name something of the zone rather than the host."""
    return {"names": (name,), **more}


def one(name, what, host=None, sts=None, **more):
    """An unsigned domain with one MX host and an enforce policy that names it."""
    return Domain(name, what, hosts=(host or Host(),), signed=False, sts=sts or Sts(), **more)


def signed(name, what, host, sts=None, **more):
    return Domain(name, what, hosts=(host,), sts=sts or Sts(), **more)


def elsewhere(name, what, host, **sts):
    """An unsigned domain whose only MX host lives in another zone."""
    return Domain(name, what, (f"10 {host}.",), signed=False, sts=Sts(**sts))


def stranger(ca, name):
    return ca.leaf(name, issuer=ca.stranger, send="full")


CERTIFICATES = {  # of an MX host, under an enforce policy that names it
    "expired": ({"expired": True}, "certificate-expired", "4.7.322"),
    "not-yet": ({"not_yet": True}, "certificate-not-trusted", "4.7.5"),
    "self-signed": (SELF_SIGNED, "certificate-not-trusted", "4.7.5"),
    "stranger": (stranger, "certificate-not-trusted", "4.7.5"),
    "cn-only": (lambda ca, name: ca.leaf(cn=name), "certificate-host-mismatch", "4.7.325"),
    "parent": (lambda ca, name: ca.leaf(name.split(".", 1)[1]), "certificate-host-mismatch", "4.7.325"),
    "sibling": (lambda ca, name: ca.leaf("other." + name.split(".", 1)[1]), "certificate-host-mismatch", "4.7.325"),
    "partial": (lambda ca, name: ca.leaf("m*." + name.split(".", 1)[1]), "certificate-host-mismatch", "4.7.325"),
}

DOMAINS = [
    one("good.lab", "enforce, all good"),
    Domain("outside.lab", "the first MX is not in the policy", TWO, (Host("mx1"), Host("mx2")), signed=False, sts=Sts(mx=("mx2",))),
    Domain("shared.lab", "the host of good.lab, without a policy", ("10 mx.good.lab.",), signed=False),
    one("nofit.lab", "no MX is in the policy", sts=Sts(mx=("nobody",))),
    Domain("nowhere.lab", "an MX outside the policy that does not exist", ("10 nothing",), signed=False, sts=Sts(mx=("mx",))),
    one("wrongname.lab", "certificate of another name", Host(cert=OTHER)),
    one("strip.lab", "no STARTTLS", Host(smtp=NO_TLS)),
    one("break.lab", "the handshake breaks", Host(smtp={"handshake": "garbage"})),
    one("old.lab", "TLS 1.1 only", Host(smtp={"min_tls": "TLSv1_1", "max_tls": "TLSv1_1"})),
    one("first.lab", "the policy host is slow", sts=Sts(mx=("nobody",), web={"wait": 1})),
    one("test-good.lab", "testing, all good", sts=Sts("testing")),
    one("test-name.lab", "testing, certificate of another name", Host(cert=OTHER), Sts("testing")),
    one("test-clear.lab", "testing, not in the policy, no STARTTLS", Host(smtp=NO_TLS), Sts("testing", ("nobody",))),
    one("none.lab", "mode none", Host(cert=OTHER), Sts("none", ())),
    one("sub.lab", "a policy that its subdomains do not have", sts=Sts(mx=("nobody",)),
        records=("a MX 10 mx", "alias CNAME real.sub.lab.")),
    one("real.sub.lab", "a policy that its aliases do not have", sts=Sts(mx=("nobody",)), send=False),
    Domain("star.lab", "a wildcard in the policy", ("10 a",), (Host("a", cert=of("*.star.lab")),), signed=False, sts=Sts(mx=("*",))),
    Domain("deep.lab", "a host two labels below the wildcard", ("10 a.b",), (Host("a.b"),), signed=False, sts=Sts(mx=("*",))),
    Domain("apex.lab", "the wildcard's own domain as MX", ("10 @",), (Host("@"),), signed=False, sts=Sts(mx=("*",))),
    one("case.lab", "the policy in capitals", sts=Sts(mx=("MX",))),
    Domain("implicit.lab", "no MX, the domain itself in the policy", (), (Host("@"),), signed=False, sts=Sts(mx=("@",))),
    Domain("implicit-out.lab", "no MX, the domain itself not in the policy", (), (Host("@"),), signed=False, sts=Sts(mx=("*",))),
    Domain("alias.lab", "an MX alias in the policy", hosts=(Host("host", cert=of("mx.alias.lab")),), records=("mx CNAME host",),
           signed=False, sts=Sts(mx=("mx",))),
    Domain("alias-end.lab", "the alias's end in the policy", hosts=(Host("host", cert=of("mx.alias-end.lab")),),
           records=("mx CNAME host",), signed=False, sts=Sts(mx=("host",))),
    Domain("alias-cert.lab", "an MX alias, certificate of its end", hosts=(Host("host"),), records=("mx CNAME host",), signed=False,
           sts=Sts(mx=("mx",))),
    Domain("four.lab", "three bad hosts and a good one", ("10 mx1", "20 mx2", "30 mx3", "40 mx4"),
           (Host("mx1"), Host("mx2", smtp=NO_TLS), Host("mx3", cert=OTHER), Host("mx4")), signed=False, sts=Sts(mx=("mx2", "mx3", "mx4"))),
    Domain("three.lab", "three bad hosts", ("10 mx1", "20 mx2", "30 mx3"),
           (Host("mx1"), Host("mx2", smtp=NO_TLS), Host("mx3", cert=OTHER)), signed=False, sts=Sts(mx=("mx2", "mx3"))),
    Domain("many.lab", "forty MX hosts, the last one in the policy", (*(f"{n} no{n}" for n in range(39)), "39 mx"), (Host(),),
           tuple(f"no{n} A 127.66.1.{n}" for n in range(39)), signed=False, sts=Sts(mx=("mx",))),
    Domain("self.lab", "own name second, after a host outside the policy", ("10 bad", "20 relay.test.", "30 good"),
           (Host("bad"), Host("good")), signed=False, sts=Sts(mx=("good",))),
    one("staple.lab", "a stapled revocation", Host(smtp={"staple": "revoked"})),
    signed("mismatch.test", "TLSA mismatch, good STS", Host(tlsa=(WRONG,))),
    signed("servfail.test", "TLSA SERVFAIL, good STS", Host(tlsa=("3 1 1",)), lies={"_25._tcp.mx TLSA": "servfail"}),
    signed("match-cert.test", "TLSA match, a certificate that STS refuses", Host(tlsa=("3 1 1",), cert=SELF_SIGNED)),
    signed("match-name.test", "TLSA match, not in the policy", Host(tlsa=("3 1 1",)), Sts(mx=("nobody",))),
    signed("both.test", "TLSA match, good STS", Host(tlsa=("3 1 1",))),
    signed("unusable.test", "unusable TLSA, good STS", Host(tlsa=("1 1 1",))),
    signed("unusable-cert.test", "unusable TLSA, a certificate that STS refuses", Host(tlsa=("1 1 1",), cert=SELF_SIGNED)),
    signed("signed.test", "signed, no TLSA, certificate of another name", Host(cert=OTHER)),
    Domain("hosts.test", "signed hosts with TLSA", (), (
        Host("good", ("3 1 1",)), Host("own", ("3 1 1",), SELF_SIGNED), Host("bad", (WRONG,)),
        Host("end", ("3 1 1",), of("alias.hosts.test"))), ("alias CNAME end",), send=False),
    elsewhere("in-good.lab", "insecure MX, TLSA match, good STS", "good.hosts.test"),
    elsewhere("in-cert.lab", "insecure MX, TLSA match, a certificate that STS refuses", "own.hosts.test"),
    elsewhere("in-tlsa.lab", "insecure MX, TLSA mismatch, good STS", "bad.hosts.test"),
    elsewhere("in-name.lab", "insecure MX, TLSA match, not in the policy", "good.hosts.test", mx=("mx",)),
    elsewhere("in-alias.lab", "insecure MX, an alias with TLSA at its end, good STS", "alias.hosts.test"),
    one("xn--jxalpdlp.lab", "an A-label"),
    Domain("nullmx.lab", "null MX and a policy", ("0 .",), (Host("@"),), signed=False, sts=Sts(mx=("@",))),
    one("routed.lab", "a route with hosts", sts=Sts(mx=("nobody",))),
    one("routed-tls.lab", "a route with tls", sts=Sts(mx=("nobody",))),
    one("routed-audit.lab", "a route with mta_sts: audit", sts=Sts(mx=("nobody",))),
    one("routed-off.lab", "a route with mta_sts: off", sts=Sts(mx=("nobody",))),
    one("audit-name.lab", "for another relay: certificate of another name", Host(cert=OTHER), send=False),
    one("audit-strip.lab", "for another relay: no STARTTLS", Host(smtp=NO_TLS), send=False),
    one("audit-good.lab", "for another relay: enforce, all good", send=False),
]
DOMAINS += [one(f"c-{name}.lab", f"certificate {name}", Host(cert=cert)) for name, (cert, _, _) in CERTIFICATES.items()]
RECIPIENTS = ["user@a.sub.lab", "user@alias.sub.lab"]
SETTINGS = {
    "security": {"mta_sts": "enforce"},
    "delivery": {"retry": {"max": "2s"}},
    "routes": [
        {"match": ["routed.lab"], "hosts": ["mx.routed.lab:25"]},
        {"match": ["routed-tls.lab"], "tls": "opportunistic"},
        {"match": ["routed-audit.lab"], "mta_sts": "audit"},
        {"match": ["routed-off.lab"], "mta_sts": "off"},
    ],
}


class Sole(Case):
    """Where DANE has nothing to say."""

    def test_STS_23_STS_07_enforce_and_good(self):
        line = self.delivered("good.lab", policy="sts", auth="pkix", tls="TLSv1.3", mx="mx.good.lab", mx_dnssec="insecure")
        self.assertFalse(line.get("reason") or line.get("tlsa"))
        self.assertEqual(len(self.requests("good.lab")), 1)
        event = self.policy_event("good.lab", "fetched", id="1", mode="enforce", max_age="86400")
        self.assertRegex(event["expires"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
        self.assertFalse(event.get("error"))

    def test_STS_23_a_host_outside_the_policy_is_passed_over(self):
        self.delivered("outside.lab", policy="sts", auth="pkix", mx="mx2.outside.lab", attempt="1")
        self.refused_first("outside.lab", "mx-not-in-policy", mx="mx1.outside.lab", policy="sts", dsn="4.4.8")
        self.untouched("mx1.outside.lab")

    def test_MX_29_of_hosts_outside_the_policy_nothing_is_asked(self):
        self.delivered("many.lab", policy="sts", auth="pkix", mx="mx.many.lab", attempt="1")
        asked = {(query.name, query.type) for query in self.world.wire.queries()}
        self.assertIn(("mx.many.lab.", "A"), asked)
        self.assertEqual([one for one in asked if one[0].endswith(".many.lab.") and one[0].startswith("no")], [])
        for n in range(39):
            self.assertEqual(self.world.wire.connections(f"127.66.1.{n}"), [])

    def test_STS_23_STS_28_no_host_fits_until_the_policy_changes(self):
        self.deferred("nofit.lab", "mx-not-in-policy", "4.4.8", policy="sts")
        self.untouched("mx.nofit.lab")
        self.world.publish("nofit.lab", id="2", mx=None)
        self.relay.wait_log(event="delivered", to="user@nofit.lab", policy="sts", auth="pkix")
        self.policy_event("nofit.lab", ("fetched", "refreshed"), id="2")

    def test_STS_23_STS_25_a_host_outside_the_policy_that_does_not_exist_is_no_final_failure(self):
        self.deferred("nowhere.lab", "mx-not-in-policy", "4.4.8", policy="sts")

    def test_STS_21_STS_23_each_defect_of_a_certificate_has_its_reason(self):
        self.deferred("wrongname.lab", "certificate-host-mismatch", "4.7.325", policy="sts", auth="none")
        self.no_mail_command("mx.wrongname.lab")
        for name, (_, reason, dsn) in CERTIFICATES.items():
            with self.subTest(name):
                self.deferred(f"c-{name}.lab", reason, dsn, policy="sts", auth="none")
                self.no_mail_command(f"mx.c-{name}.lab")

    def test_STS_23_TLS_10_no_starttls_or_no_handshake_is_no_delivery(self):
        self.deferred("strip.lab", "starttls-not-supported", "4.7.321", policy="sts")
        self.deferred("break.lab", policy="sts")
        for domain in ("strip.lab", "break.lab"):
            self.no_mail_command(f"mx.{domain}")

    def test_STS_22_tls_1_2_at_least_and_sni_is_the_mx_host(self):
        self.deferred("old.lab", policy="sts")
        self.no_mail_command("mx.old.lab")
        self.delivered("good.lab", sni="mx.good.lab")
        self.assertEqual(self.sessions("mx.good.lab")[0].sni, "mx.good.lab")

    def test_STS_14_the_first_message_is_protected(self):
        self.deferred("first.lab", "mx-not-in-policy", "4.4.8", attempt="1")
        self.untouched("mx.first.lab")

    def test_STS_26_testing_delivers_whatever_fails(self):
        self.delivered("test-good.lab", policy="sts-testing", tls="TLSv1.3")
        self.delivered("test-name.lab", policy="sts-testing", tls="TLSv1.3", auth="none", attempt="1")
        self.delivered("test-clear.lab", policy="sts-testing", tls="none", auth="none", attempt="1")
        self.policy_event("test-clear.lab", "fetched", mode="testing")

    def test_STS_27_mode_none_is_no_policy(self):
        self.delivered("none.lab", policy="opportunistic", auth="none", tls="TLSv1.3")
        self.policy_event("none.lab", "fetched", mode="none")

    def test_STS_01_a_policy_is_not_inherited_and_does_not_follow_aliases(self):
        self.deferred("sub.lab", "mx-not-in-policy")
        self.delivered("user@a.sub.lab", policy="opportunistic", mx="mx.sub.lab")
        self.delivered("user@alias.sub.lab", policy="opportunistic", mx="mx.real.sub.lab")
        self.never_fetched("real.sub.lab")
        self.assertEqual(len(self.requests("sub.lab")), 1)

    def test_MX_15_the_record_and_the_policy_are_asked_for_under_a_labels(self):
        self.delivered("xn--jxalpdlp.lab", policy="sts", auth="pkix")
        self.assertTrue(self.world.wire.queries("_mta-sts.xn--jxalpdlp.lab"))
        self.assertEqual(self.requests("xn--jxalpdlp.lab")[0].header("Host"), "mta-sts.xn--jxalpdlp.lab")

    def test_MX_04_of_a_null_mx_no_policy_is_asked_for(self):
        self.bounced("nullmx.lab", "5.1.10")
        self.assertEqual(self.world.wire.queries("_mta-sts.nullmx.lab"), [])
        self.never_fetched("nullmx.lab")

    def test_STS_02_a_route_with_hosts_asks_for_no_policy(self):
        self.delivered("routed.lab", policy="opportunistic")
        self.delivered("routed-tls.lab", policy="route")
        for domain in ("routed.lab", "routed-tls.lab"):
            self.assertEqual(self.world.wire.queries(f"_mta-sts.{domain}"), [])
            self.never_fetched(domain)
        self.assertEqual(self.world.wire.queries("_mta-sts.mx.routed.lab"), [])

    def test_STS_20_patterns_are_compared_with_the_name_in_the_mx_record(self):
        self.delivered("star.lab", policy="sts", auth="pkix")
        self.delivered("case.lab", policy="sts", auth="pkix")
        self.delivered("implicit.lab", policy="sts", auth="pkix", mx="implicit.lab")
        for domain in ("deep.lab", "apex.lab", "implicit-out.lab"):
            with self.subTest(domain):
                self.deferred(domain, "mx-not-in-policy", "4.4.8")

    def test_STS_20_STS_21_MX_08_an_alias_is_known_by_its_first_name(self):
        self.delivered("alias.lab", policy="sts", auth="pkix", sni="mx.alias.lab")
        self.deferred("alias-end.lab", "mx-not-in-policy", "4.4.8")
        self.deferred("alias-cert.lab", "certificate-host-mismatch", "4.7.325")

    def test_STS_23_only_the_good_one_of_four_hosts_sees_mail(self):
        # two sessions an attempt (delivery.sessions_per_attempt): the next one goes on behind them
        self.outcome("four.lab")
        self.relay.wait_log(20, event="delivered", domain="four.lab", policy="sts", auth="pkix", mx="mx4.four.lab", attempt="2")
        for mx, reason in (("mx1", "mx-not-in-policy"), ("mx2", "starttls-not-supported")):
            self.refused_first("four.lab", reason, mx=f"{mx}.four.lab")
        self.relay.wait_log(20, event="deferred", domain="four.lab", mx="mx3.four.lab", reason="certificate-host-mismatch")
        for mx in ("mx1", "mx2", "mx3"):
            self.no_mail_command(f"{mx}.four.lab")
        self.deferred("three.lab", policy="sts")
        for mx in ("mx1", "mx2", "mx3"):
            self.no_mail_command(f"{mx}.three.lab")
        self.assertEqual(len(self.relay.tool("queue", "list", "--domain", "three.lab")[1]), 1)

    def test_STS_24_MX_09_the_policy_does_not_hide_our_own_place_among_the_hosts(self):
        self.deferred("self.lab", "mx-not-in-policy", "4.4.8")
        self.untouched("good.self.lab")

    def test_TLS_06_a_stapled_revocation_fails_the_policy(self):
        self.deferred("staple.lab", policy="sts")
        self.no_mail_command("mx.staple.lab")


    def test_TLS_08_a_session_under_a_policy_carries_nothing_of_a_domain_without_it(self):
        people = [f"w{number}@{domain}" for number in range(10) for domain in ("good.lab", "shared.lab")]
        for person in people:
            self.send(person)
        for person in people:
            self.delivered(person, policy="sts" if person.endswith("@good.lab") else "opportunistic")
        for session in self.sessions("mx.good.lab"):
            domains = {argument.rsplit("@", 1)[1] for argument, _ in session.commands if argument.startswith("RCPT")}
            self.assertLessEqual(len(domains), 1, session.commands)


class BesideDane(Case):
    def test_STS_34_sts_does_not_save_what_dane_refuses(self):
        self.deferred("mismatch.test", "tlsa-invalid", "4.7.323", policy="dane")
        self.deferred("servfail.test", "dnssec-invalid", "4.7.324")
        self.untouched("mx.servfail.test")
        self.deferred("in-tlsa.lab", "tlsa-invalid", "4.7.323")
        for host in ("mx.mismatch.test", "bad.hosts.test"):
            self.no_mail_command(host)

    def test_STS_35_with_a_secure_mx_dane_decides_and_sts_is_observed(self):
        self.delivered("both.test", policy="dane", auth="dane-ee", mx_dnssec="secure")
        for domain, reason in (("match-cert.test", "certificate-not-trusted"), ("match-name.test", "mx-not-in-policy")):
            with self.subTest(domain):
                self.delivered(domain, policy="dane", auth="dane-ee", mx_dnssec="secure", tlsa="3 1 1")
                self.policy_event(domain, "fetched", mode="enforce")
                self.relay.wait_text(domain, reason)

    def test_STS_35_with_an_insecure_mx_both_must_pass(self):
        self.delivered("in-good.lab", policy="sts", auth=("pkix", "dane-ee"), mx_dnssec="insecure", tlsa="3 1 1")
        self.deferred("in-cert.lab", "certificate-not-trusted", "4.7.5", policy="sts")
        self.no_mail_command("own.hosts.test")
        self.deferred("in-name.lab", "mx-not-in-policy", "4.4.8", policy="sts")
        self.deferred("in-tlsa.lab", "tlsa-invalid", "4.7.323")

    def test_TLS_03_DANE_26_sni_is_the_base_domain_while_sts_looks_for_the_mx_name(self):
        self.delivered("in-alias.lab", policy="sts", sni="end.hosts.test")
        self.assertEqual(self.sessions("end.hosts.test")[0].sni, "end.hosts.test")

    def test_STS_36_a_signed_domain_without_tlsa_gets_the_policy_in_full(self):
        self.deferred("signed.test", "certificate-host-mismatch", "4.7.325", policy="sts")

    def test_DANE_10_STS_36_unusable_tlsa_do_not_replace_the_policy(self):
        self.delivered("unusable.test", policy="sts", auth="pkix")
        self.deferred("unusable-cert.test", policy="sts")
        self.no_mail_command("mx.unusable-cert.test")

    def test_TLS_12_each_kind_of_session_has_its_own_words(self):
        lines = [self.delivered(domain) for domain in ("both.test", "good.lab", "test-name.lab", "none.lab")]
        self.assertEqual(len({(line["policy"], line["auth"]) for line in lines}), 4)


class Modes(Case):
    def test_audit_delivers_and_says_what_would_have_failed(self):
        with Relay(self.world, Stage.build, {"security": {"mta_sts": "audit"}}, "auditing", 2600) as auditing:
            for domain, reason in (("audit-name.lab", "certificate-host-mismatch"), ("audit-strip.lab", "starttls-not-supported")):
                auditing.send(f"audit@{domain}")
                line = auditing.outcome(f"audit@{domain}")
                self.assertEqual((line["event"], line["reason"], line["auth"]), ("delivered", reason, "none"), line)
                auditing.wait_log(5, event="hop", domain=domain, action="audit", reason=reason)
            auditing.send("audit@audit-good.lab")
            line = auditing.outcome("audit@audit-good.lab")
            self.assertEqual((line["event"], line.get("reason", ""), line["auth"]), ("delivered", "", "pkix"), line)

    def test_off_asks_for_nothing(self):
        with Relay(self.world, Stage.build, {"security": {"mta_sts": "off"}}, "careless", 2600) as careless:
            before = len(self.world.wire.queries("_mta-sts.audit-name.lab")), self.world.fetches("audit-name.lab")
            careless.send("off@audit-name.lab")
            self.assertEqual(careless.outcome("off@audit-name.lab")["policy"], "opportunistic")
            self.assertEqual(careless.log(event="sts-policy"), [])
        self.assertEqual((len(self.world.wire.queries("_mta-sts.audit-name.lab")), self.world.fetches("audit-name.lab")), before)

    def test_a_route_without_hosts_may_say_how_strictly(self):
        self.delivered("routed-audit.lab", reason="mx-not-in-policy", auth="none")
        self.delivered("routed-off.lab", policy="opportunistic")
        self.never_fetched("routed-off.lab")
