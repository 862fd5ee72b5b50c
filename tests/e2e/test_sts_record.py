# SPDX-License-Identifier: Apache-2.0
"""MTA-STS: the record at _mta-sts. Behind each stands a policy that refuses the domain's only MX, so mail tells whether it counts."""

from case import Case, Domain, Host, Sts


def one(name, what, txt=None, mx=("nobody",), **more):
    return Domain(name, what, hosts=(Host(),), signed=more.pop("signed", False), sts=Sts(txt=txt, mx=mx), **more)


GOOD = {
    "plain": "v=STSv1; id=1;",
    "bare": "v=STSv1;id=1",
    "spaces": "v=STSv1 \t;  id=1 ; ",
    "other-field": "v=STSv1; id=1; x=y",
    "field-first": "v=STSv1; x=y; id=1;",
    "twice-id": "v=STSv1; id=1; id=a-b;",
    "long": f"v=STSv1; id={'a1' * 16};",
}
BAD = {
    "empty": "",
    "version-only": "v=STSv1",
    "no-id": "v=STSv1;",
    "empty-id": "v=STSv1; id=;",
    "too-long": f"v=STSv1; id={'a' * 33};",
    "hyphen": "v=STSv1; id=a-b;",
    "space-in-id": "v=STSv1; id=a b;",
    "lower": "v=stsv1; id=1;",
    "upper": "V=STSv1; id=1;",
    "key-case": "v=STSv1; ID=1;",
    "next": "v=STSv2; id=1;",
    "leading-space": " v=STSv1; id=1;",
    "no-semicolon": "v=STSv1 id=1;",
    "id-first": "id=1; v=STSv1;",
    "nonsense": "v=STSv1; id=1; what?",
    "spf": "v=spf1 -all",
    "utf8": "v=STSv1; id=ä;",
}

DOMAINS = [one(f"g-{name}.lab", f"record {text!r}", (text,)) for name, text in GOOD.items()]
DOMAINS += [one(f"b-{name}.lab", f"record {text!r}", (text,)) for name, text in BAD.items()]
DOMAINS += [
    one("with-spf.lab", "the record beside an SPF record", ("v=spf1 -all", "v=STSv1; id=1;")),
    one("with-next.lab", "the record beside one of another version", ("v=STSv2; id=2;", "v=STSv1; id=1;")),
    one("two.lab", "two records", ("v=STSv1; id=1;", "v=STSv1; id=2;")),
    one("same.lab", "two records that mean the same", ("v=STSv1; id=1;", "v=STSv1;id=1;")),
    one("broken-too.lab", "a good record and a broken one", ("v=STSv1; id=1;", "v=STSv1; id=a-b;")),
    one("absent.lab", "no record, but a policy host", ()),
    one("pieces.lab", "a record in pieces", (("v=STSv1; i", "d=1;"),)),
    one("alias.lab", "the record is an alias", (), records=("_mta-sts CNAME _mta-sts.provider.test.",)),
    Domain("provider.test", "", (), records=('_mta-sts TXT "v=STSv1; i" "d=9z;"',), send=False),
    one("loop.lab", "the record is an alias of itself", (), records=("_mta-sts CNAME again", "again CNAME _mta-sts")),
    one("secure.test", "a signed record", signed=True),
    one("bogus.test", "the record's signature is broken", mx=None, signed=True, spoil=("_mta-sts TXT",)),
    one("servfail.lab", "the look-up fails, mended later", mx=None, lies={"_mta-sts TXT": "servfail"}),
    one("refused.lab", "the look-up is refused", lies={"_mta-sts TXT": "refused"}),
    one("silent.lab", "the look-up times out", lies={"_mta-sts TXT": "silent"}),
]
ERRORS = ("servfail.lab", "refused.lab", "silent.lab", "loop.lab", "bogus.test")
SETTINGS = {"security": {"mta_sts": "enforce"}, "delivery": {"retry": {"max": "2s"}}}


class Record(Case):
    def binds(self, domain, ident="1"):
        self.deferred(domain, "mx-not-in-policy", "4.4.8", policy="sts")
        self.policy_event(domain, "fetched", id=ident)

    def means_nothing(self, domain):
        self.delivered(domain, policy="opportunistic", attempt="1")
        self.never_fetched(domain)

    def test_STS_05_what_the_grammar_allows(self):
        for name, text in GOOD.items():
            with self.subTest(text):
                self.binds(f"g-{name}.lab", "a1" * 16 if name == "long" else "1")

    def test_STS_05_STS_04_what_the_grammar_does_not_allow_is_no_policy(self):
        for name, text in BAD.items():
            with self.subTest(text):
                self.means_nothing(f"b-{name}.lab")

    def test_STS_04_exactly_one_record_must_remain(self):
        self.binds("with-spf.lab")
        self.binds("with-next.lab")
        for domain in ("two.lab", "same.lab", "broken-too.lab", "absent.lab"):
            with self.subTest(domain):
                self.means_nothing(domain)

    def test_STS_03_strings_are_joined_and_aliases_followed(self):
        self.binds("pieces.lab")
        self.binds("alias.lab", "9z")
        self.assertEqual(self.requests("alias.lab")[0].header("Host"), "mta-sts.alias.lab")

    def test_STS_03_a_signed_record(self):
        self.deferred("secure.test", "mx-not-in-policy", "4.4.8", policy="sts")

    def test_STS_06_a_failed_lookup_is_not_no_record(self):
        for domain in ERRORS:
            with self.subTest(domain):
                self.deferred(domain, ("dns-failure", "dnssec-invalid"))
                self.no_mail_command(f"mx.{domain}")
                self.never_fetched(domain)
        self.deferred("bogus.test", "dnssec-invalid", "4.7.324")

    def test_STS_06_once_the_lookup_works_the_policy_counts(self):
        self.deferred("servfail.lab")
        self.world.liar.tell("_mta-sts.servfail.lab", "TXT", None)
        self.relay.wait_log(event="delivered", to="user@servfail.lab", policy="sts", auth="pkix")
