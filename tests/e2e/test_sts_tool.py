# SPDX-License-Identifier: Apache-2.0
"""MTA-STS in the operator's tool: `check` names what is wrong with each domain, `sts` shows and refreshes what is kept."""

import time

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay

TWO = ("10 mx1", "20 mx2")
OTHER = {"names": ("somebody.else.example",)}
SELF_SIGNED = {"self_signed": True}
NO_TLS = {"starttls": "none"}
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"


def one(name, what, host=None, sts=None, **more):
    return Domain(name, what, hosts=(host or Host(),), signed=more.pop("signed", False), sts=sts or Sts(), send=False, **more)


# The domain, the verdict, {host: the word about it}, what is said of the policy (None: nothing is wrong with it), and words that a
# person must find in the text.
CHECKS = [
    (one("good.lab", "enforce and good"), "sts", {"mx": "ok"}, None, ("enforce", "pkix")),
    (Domain("outside.lab", "the first MX is not in the policy", TWO, (Host("mx1"), Host("mx2")), signed=False, sts=Sts(mx=("mx2",)),
            send=False), "sts", {"mx1": "mx-not-in-policy", "mx2": "ok"}, None, ("mx-not-in-policy", "mx1.outside.lab")),
    (one("nofit.lab", "no MX is in the policy", sts=Sts(mx=("nobody",))), "fail", {"mx": "mx-not-in-policy"}, None,
     ("mx-not-in-policy", "nobody.nofit.lab")),
    (one("wrongname.lab", "certificate of another name", Host(cert=OTHER)), "fail", {"mx": "certificate-host-mismatch"}, None,
     ("certificate-host-mismatch", "somebody.else.example")),
    (one("expired.lab", "an expired certificate", Host(cert={"expired": True})), "fail", {"mx": "certificate-expired"}, None,
     ("certificate-expired",)),
    (one("stranger.lab", "a self-signed certificate", Host(cert=SELF_SIGNED)), "fail", {"mx": "certificate-not-trusted"}, None,
     ("certificate-not-trusted",)),
    (one("strip.lab", "no STARTTLS", Host(smtp=NO_TLS)), "fail", {"mx": "starttls-not-supported"}, None, ("starttls-not-supported",)),
    (one("testing.lab", "testing and broken", Host(cert=OTHER), Sts("testing")), "sts-testing", None, None,
     ("testing", "certificate-host-mismatch")),
    (one("testing-out.lab", "testing, not in the policy", sts=Sts("testing", ("nobody",))), "sts-testing", None, None,
     ("testing", "mx-not-in-policy")),
    (one("none.lab", "mode none", Host(cert=OTHER), Sts("none", ())), "opportunistic", {"mx": "ok"}, None, ("none",)),
    (one("mismatch.test", "TLSA mismatch, good STS", Host(tlsa=("3 1 1 wrong",)), signed=True), "fail", {"mx": "tlsa-invalid"}, None,
     ("tlsa-invalid",)),
    (one("match.test", "TLSA match, not in the policy", Host(tlsa=("3 1 1",)), Sts(mx=("nobody",)), signed=True), "dane",
     {"mx": "ok"}, None, ("mx-not-in-policy",)),
    (one("match-cert.test", "TLSA match, a certificate that STS refuses", Host(tlsa=("3 1 1",), cert=SELF_SIGNED), signed=True), "dane",
     {"mx": "ok"}, None, ("certificate-not-trusted",)),
    (one("two.lab", "two records", sts=Sts(txt=("v=STSv1; id=1;", "v=STSv1; id=2;"))), "opportunistic", {"mx": "ok"}, "", ()),
    (one("broken.lab", "a broken record", sts=Sts(txt=("v=STSv1; id=a-b;",))), "opportunistic", {"mx": "ok"}, "", ("id=a-b",)),
    (one("down.lab", "HTTPS refused", sts=Sts(web={"down": "refused"})), "opportunistic", {"mx": "ok"}, "sts-policy-fetch-error", ()),
    (one("missing.lab", "404", sts=Sts(web={"status": "404 Not Found"})), "opportunistic", {"mx": "ok"},
     "sts-policy-fetch-error", ("404",)),
    (one("moved.lab", "a redirect", sts=Sts(web={"status": "301 Moved Permanently", "headers": ("Location: https://x.lab/",)})),
     "opportunistic", {"mx": "ok"}, "sts-policy-fetch-error", ("301",)),
    (one("html.lab", "wrong media type", sts=Sts(web={"content_type": "text/html"})), "opportunistic", {"mx": "ok"},
     "sts-policy-fetch-error", ("text/html",)),
    (one("webpki.lab", "policy host's certificate of another name", sts=Sts(cert=OTHER)), "opportunistic", {"mx": "ok"},
     "sts-webpki-invalid", ()),
    (one("invalid.lab", "a policy without max_age", sts=Sts(text=b"version: STSv1\nmode: enforce\nmx: mx.invalid.lab\n")), "opportunistic",
     {"mx": "ok"}, "sts-policy-invalid", ("max_age",)),
    (one("servfail.lab", "the record's look-up fails", lies={"_mta-sts TXT": "servfail"}), "fail", None, "", ()),
]
BARE = Domain("bare.lab", "nothing", hosts=(Host(),), signed=False, send=False)
KEPT = {  # what the daemon keeps a policy of, and how it is broken then
    "gone": "the record is gone",
    "blocked": "a changed id, HTTPS blocked",
}
DOMAINS = [domain for domain, *_ in CHECKS] + [BARE]
DOMAINS += [Domain(f"{name}.lab", what, TWO, (Host("mx1"), Host("mx2")), signed=False, sts=Sts(mx=("mx2",)), send=False)
            for name, what in KEPT.items()]
DOMAINS += [one("kept.lab", "a policy to show"), one("fresh.lab", "a policy to fetch by hand"), one("refused.lab", "HTTPS blocked later")]
SETTINGS = {"security": {"mta_sts": "enforce"}, "mta_sts": {"fetch_timeout": "2s"}, "delivery": {"retry": {"first": "1h"}}}


def words(host):
    """Everything that `check` says of a host."""
    return {probe["result"] for probe in host["probes"]} | {host["refused"] for _ in (1,) if host.get("refused")}


class Check(Case):
    def test_check_names_what_is_wrong_with_each_domain(self):
        for domain, verdict, hosts, error, _ in CHECKS:
            with self.subTest(domain.name, publishes=domain.publishes):
                code, data = self.relay.tool("check", domain.name)
                self.assertEqual((data["verdict"], code), (verdict, 1 if verdict == "fail" else 0), data)
                for name, word in (hosts or {}).items():
                    host = next(mx for mx in data["mx"] if mx["host"] == domain.absolute(name).rstrip("."))
                    self.assertEqual(words(host), {word}, host)
                self.policy_is_told(domain, data["mta_sts"], error)

    def policy_is_told(self, domain, told, error):
        if error is None:
            sts = domain.sts
            self.assertIn("v=STSv1", str(told["txt"]))
            self.assertEqual((told["id"], told["mode"], told["max_age"]), (sts.id, sts.mode, 86400), told)
            self.assertEqual(told["mx"] or [], sts.patterns(domain))
            self.assertFalse(told["error"], told)
        else:
            self.assertTrue(told["error"], told)
            self.assertIn(error, told["error"])
            self.assertIsNone(told["mode"], told)

    def test_check_says_it_in_words(self):
        for domain, verdict, _, error, wanted in CHECKS:
            with self.subTest(domain.name, publishes=domain.publishes):
                code, out, err = self.relay.text("check", domain.name)
                self.assertEqual(code, 1 if verdict == "fail" else 0, err)
                self.assertTrue(out.startswith(f"{domain.name}: {verdict}"), out)
                self.assertIn("MTA-STS", out)
                for word in (*wanted, error or ""):
                    self.assertIn(word, out)

    def test_check_observes_what_dane_and_testing_do_not_let_fail(self):
        for name, word in (("match.test", "mx-not-in-policy"), ("match-cert.test", "certificate-not-trusted"),
                           ("testing.lab", "certificate-host-mismatch"), ("testing-out.lab", "mx-not-in-policy")):
            with self.subTest(name):
                data = self.relay.tool("check", name)[1]
                self.assertIn(word, str(data["mx"]), "what STS finds is told all the same")

    def test_check_of_a_domain_without_a_policy(self):
        code, data = self.relay.tool("check", "bare.lab")
        self.assertEqual((code, data["verdict"]), (0, "opportunistic"))
        self.assertFalse([value for value in (data["mta_sts"] or {}).values() if value], data["mta_sts"])
        self.never_asked("bare.lab")

    def never_asked(self, domain):
        self.assertNotIn(f"mta-sts.{domain}", {query.name.rstrip(".") for query in self.world.wire.queries()})

    def test_check_without_connecting_still_reads_the_policy(self):
        before = self.world.connections("mx.wrongname.lab")
        code, data = self.relay.tool("check", "wrongname.lab", "--no-connect")
        self.assertEqual((code, data["verdict"], data["mta_sts"]["mode"]), (0, "sts", "enforce"))
        self.assertEqual(self.relay.tool("check", "nofit.lab", "--no-connect")[1]["verdict"], "fail")
        self.assertEqual(self.relay.tool("check", "testing.lab", "--no-connect")[1]["verdict"], "sts-testing")
        self.assertEqual(self.world.connections("mx.wrongname.lab"), before)

    def test_check_under_audit_or_off_is_still_about_what_is_published(self):
        for mode in ("audit", "off"):
            relay = Relay(self.world, Stage.build, {"security": {"mta_sts": mode}}, f"tool-{mode}", 2828)
            with self.subTest(mode):
                self.assertEqual(relay.tool("check", "wrongname.lab")[1]["mta_sts"]["mode"], "enforce")

    def test_STS_30_STS_28_check_knows_the_policies_that_are_kept(self):
        for name in KEPT:
            self.send(f"{name}.lab")
            self.delivered(f"{name}.lab", policy="sts", mx=f"mx2.{name}.lab")
        self.world.site("gone.lab").block()
        self.world.site("blocked.lab").block()
        self.world.publish("gone.lab", txt=())
        self.world.publish("blocked.lab", id="2", mx=None)
        for name in KEPT:
            with self.subTest(name):
                code, data = self.relay.tool("check", f"{name}.lab")
                self.assertEqual((code, data["verdict"]), (0, "sts"), data)
                self.assertEqual((data["mta_sts"]["mode"], data["mta_sts"]["mx"]), ("enforce", [f"mx2.{name}.lab"]))
                self.assertTrue(data["mta_sts"]["error"], "that it is an old policy is told")
                self.assertEqual(words(data["mx"][0]), {"mx-not-in-policy"})


class Kept(Case):
    def listed(self, relay=None):
        code, data = (relay or self.relay).tool("sts", "list")
        self.assertEqual(code, 0)
        return {one["domain"]: one for one in data}

    def test_list_show_and_refresh(self):
        self.assertNotIn("kept.lab", self.listed())
        self.assertEqual(self.relay.tool("sts", "show", "kept.lab")[0], 1, "nothing found")
        self.send("kept.lab")
        self.delivered("kept.lab", policy="sts")
        line = self.listed()["kept.lab"]
        self.assertEqual((line["id"], line["mode"], line["max_age"]), ("1", "enforce", 86400))
        self.assertRegex(line["expires"], TIME)
        code, shown = self.relay.tool("sts", "show", "KEPT.lab")
        self.assertEqual((code, shown["domain"], shown["id"], shown["mode"], shown["mx"]), (0, "kept.lab", "1", "enforce", ["mx.kept.lab"]))
        self.assertIn(self.world.domain("kept.lab").sts.policy(self.world.domain("kept.lab")).decode(), shown.values(), "word for word")
        self.world.publish("kept.lab", id="2", max_age=604800)
        time.sleep(1.1)  # of the record's TTL
        self.assertEqual(self.relay.tool("sts", "refresh", "kept.lab")[0], 0)
        shown = self.relay.tool("sts", "show", "kept.lab")[1]
        self.assertEqual((shown["id"], shown["max_age"]), ("2", 604800))
        self.policy_event("kept.lab", "refreshed", id="2")

    def test_refresh_asks_whether_or_not_it_is_time(self):
        self.assertEqual(self.relay.tool("sts", "refresh", "fresh.lab")[0], 0, "never heard of it before")
        self.assertIn("fresh.lab", self.listed())
        self.assertEqual(self.relay.tool("sts", "refresh", "fresh.lab")[0], 0)
        self.assertEqual(len(self.requests("fresh.lab")), 2)

    def test_a_refresh_that_fails_leaves_the_policy_and_says_why(self):
        self.assertEqual(self.relay.tool("sts", "refresh", "refused.lab")[0], 0)
        self.world.site("refused.lab").block()
        code, out, err = self.relay.text("sts", "refresh", "refused.lab")
        self.assertEqual(code, 1)
        self.assertIn("sts-policy-fetch-error", out + err)
        shown = self.relay.tool("sts", "show", "refused.lab")[1]
        self.assertEqual(shown["mode"], "enforce")
        self.assertIn("sts-policy-fetch-error", str(shown["error"]))
        self.assertEqual(self.relay.tool("sts", "refresh", "bare.lab")[0], 1, "there is nothing to fetch")

    def test_what_is_kept_can_be_read_while_the_daemon_is_stopped(self):
        with Relay(self.world, Stage.build, SETTINGS, "stopped", 2727) as stopped:
            self.assertEqual(stopped.tool("sts", "list"), (0, []))
            self.assertEqual(stopped.tool("sts", "refresh", "good.lab")[0], 0)
            stopped.stop()
            self.assertEqual(list(self.listed(stopped)), ["good.lab"])
            self.assertEqual(stopped.tool("sts", "show", "good.lab")[0], 0)
            code, out, err = stopped.text("sts", "refresh", "good.lab")
            self.assertEqual((code, out), (69, ""))
            self.assertIn("not reachable", err)

    def test_for_people(self):
        self.relay.tool("sts", "refresh", "good.lab")
        code, out, _ = self.relay.text("sts", "list")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"(?m)^good\.lab .*enforce")
        code, out, _ = self.relay.text("sts", "show", "good.lab")
        self.assertEqual(code, 0)
        self.assertIn("mx: mx.good.lab", out)
        self.assertEqual(self.relay.text("sts")[0], 64)
        self.assertEqual(self.relay.text("sts", "show")[0], 64)
