# SPDX-License-Identifier: Apache-2.0
"""`hoplock partner …`: what an operator agrees on with a partner binds his mail, at once and after a restart, and exceptions let it pass."""

import contextlib
import datetime
import glob
import os
import subprocess

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay

CLEAR = {"starttls": "none"}
STRANGER = {"self_signed": True}
DOMAINS = [
    Domain("ee.test", "DANE-EE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("wrong.test", "a TLSA record that does not match", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("plain.lab", "a certificate, no policy", hosts=(Host(),), signed=False, send=False),
    Domain("clear.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("waived.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("self.lab", "a self-signed certificate", hosts=(Host(cert=STRANGER),), signed=False, send=False),
    Domain("kept.lab", "a self-signed certificate, a session kept open", hosts=(Host(cert=STRANGER),), signed=False, send=False),
    Domain("dane.lab", "no DNSSEC", hosts=(Host(),), signed=False, send=False),
    Domain("restart.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("clock.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("below.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("sts.lab", "not in its own policy", hosts=(Host(),), sts=Sts(mx=("nobody",)), signed=False, send=False),
    Domain("one.many.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("two.many.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("killed.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("xn--mnchen-3ya.lab", "no STARTTLS", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("back.lab", "takes notices", hosts=(Host(),), signed=False, send=False),
    Domain("expires.lab", "no DNSSEC", hosts=(Host(),), signed=False, send=False),
    Domain("routed.lab", "a route with a host", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
    Domain("smarthost.lab", "the host of a route for several domains", hosts=(Host(smtp=CLEAR),), signed=False, send=False),
]
SETTINGS = {
    "security": {"mta_sts": "enforce"},
    "delivery": {"retry": {"first": "1h", "max": "1h"}, "idle_session": "30s"},
    "routes": [{"match": ["routed.lab"], "hosts": ["mx.routed.lab:25"], "note": "their own line"},
               {"match": ["free.lab", "bank.lab"], "hosts": ["mx.smarthost.lab:25"]}],
}
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "libfaketime is not installed")
HEAD = "domain,level,exceptions,until,note\n"


def day(by=0):
    return (datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=by)).isoformat()


class Partner(Case):
    def order(self, *words, relay=None):
        code, data = (relay or self.relay).tool("partner", *words)
        self.assertEqual(code, 0, (words, data))
        return data

    def event(self, domain, action, **keys):
        return self.relay.wait_log(10, event="partner", domain=domain, action=action, **keys)

    def waits(self, domain, reason, **how):
        line = self.ask(domain, **how)
        self.assertEqual((line["event"], line["reason"], line["policy"]), ("deferred", reason, "route"), line)
        return line

    def ask(self, domain, relay=None, **how):
        relay = relay or self.relay
        mark = len(relay.lines)
        relay.send(f"user@{domain}", **how)
        return relay.wait_log(20, mark, event=("delivered", "deferred", "bounced"), to=f"user@{domain}")

    # --- what binds

    def test_a_mandate_keeps_mail_waiting_with_why_and_its_removal_sends_it_at_once(self):
        self.assertEqual(self.ask("clear.lab")["event"], "delivered")
        mark = len(self.relay.lines)
        self.order("require", "Clear.LAB", "encrypt", "--note", "agreed with Ann <b>by phone</b>")
        told = self.event("clear.lab", "required", level="encrypt", rule="require")
        self.assertEqual(told["note"], "agreed with Ann <b>by phone</b>")
        self.assertTrue(told["by"])
        line = self.waits("clear.lab", "starttls-not-supported")
        self.assertEqual(line["dsn"], "4.7.321")
        self.assertEqual(line["note"], "partner, encrypt required: agreed with Ann <b>by phone</b>")
        code, out, _ = self.relay.text("trace", "user@clear.lab")
        self.assertEqual(code, 0)
        self.assertIn("note: partner, encrypt required: agreed with Ann", out)
        code, found = self.relay.tool("check", "clear.lab", "--no-connect")
        self.assertEqual(found["note"], line["note"])
        self.order("remove", "clear.lab", "--note", "they have no TLS yet")
        sent = self.relay.wait_log(10, mark, event="delivered", to="user@clear.lab", attempt="2")
        self.assertEqual((sent["tls"], sent["policy"]), ("none", "opportunistic"))
        self.assertEqual(self.event("clear.lab", "removed")["note"], "they have no TLS yet")
        self.assertEqual(self.relay.tool("partner", "remove", "clear.lab")[0], 1)

    def test_dane_is_required_where_there_is_none_and_an_exception_lets_mail_pass_with_its_reason(self):
        self.order("require", "dane.lab", "dane", "--until", day(400))
        self.waits("dane.lab", "dane-required")
        code, data = self.relay.tool("check", "--route", "user@dane.lab")
        self.assertEqual((code, data["hosts"][0]["reason"], data["rule"]["mandate"]), (1, "dane-required", "dane"))
        self.assertIn("required of this partner", data["hosts"][0]["detail"])
        mark = len(self.relay.lines)
        self.assertEqual(self.order("except", "dane.lab", "dane", "--note", "their signer is broken")["until"], day(90))
        sent = self.relay.wait_log(10, mark, event="delivered", to="user@dane.lab")
        self.assertEqual((sent["reason"], sent["auth"], sent["policy"]), ("dane-required", "none", "route"))
        self.assertIn("excepted from dane until " + day(90) + ": their signer is broken", sent["note"])
        data = self.order("show", "dane.lab")
        (partner,) = data["partners"]
        self.assertEqual((partner["level"], partner["until"], partner["exceptions"][0]["until"]), ("dane", day(400), day(90)))
        self.assertEqual(partner["modes"], {"tls": "opportunistic", "dane": "none", "mta_sts": "opportunistic"})
        self.order("remove", "dane.lab", "dane")
        self.assertEqual(self.order("show", "dane.lab")["partners"][0]["modes"]["dane"], "mandatory")
        self.waits("dane.lab", "dane-required")

    def test_an_exception_is_of_what_the_domain_publishes_too(self):
        mark = len(self.relay.lines)
        self.assertEqual(self.ask("wrong.test")["reason"], "tlsa-invalid")
        self.assertEqual(self.ask("sts.lab")["reason"], "mx-not-in-policy")
        self.order("except", "wrong.test", "dane", "--until", day(3))
        self.order("except", "sts.lab", "mta-sts")
        sent = self.relay.wait_log(10, mark, event="delivered", to="user@wrong.test")
        self.assertEqual((sent["reason"], sent["auth"]), ("tlsa-invalid", "none"))
        sent = self.relay.wait_log(10, mark, event="delivered", to="user@sts.lab")
        self.assertEqual((sent["reason"], sent["policy"]), ("mx-not-in-policy", "sts"))

    def test_no_mail_rides_on_a_session_that_proved_less(self):
        self.assertEqual(self.ask("kept.lab")["event"], "delivered")
        self.order("require", "kept.lab", "verify")
        self.waits("kept.lab", "certificate-not-trusted")
        self.assertEqual(len(self.arrived("mx.kept.lab")), 1)

    def test_verify_takes_a_certificate_for_the_hosts_name(self):
        self.order("require", "plain.lab", "verify")
        line = self.ask("plain.lab")
        self.assertEqual((line["event"], line["policy"], line["auth"]), ("delivered", "route", "pkix"), line)
        self.order("require", "self.lab", "verify")
        self.waits("self.lab", "certificate-not-trusted")

    def test_RTLS_the_senders_header_undoes_no_mandate(self):
        self.order("require", "waived.lab", "encrypt")
        self.waits("waived.lab", "starttls-not-supported", headers="TLS-Required: No\r\n")

    def test_a_pattern_is_for_the_domains_below_it(self):
        self.order("require", "*.lab", "encrypt", "--note", "all of the lab")
        try:
            self.assertEqual(self.waits("below.lab", "starttls-not-supported")["note"], "partner, encrypt required: all of the lab")
            self.assertEqual(self.order("show", "below.lab")["partners"][0]["domain"], "*.lab")
        finally:
            self.order("remove", "*.lab")

    def test_all_that_waits_below_a_pattern_or_for_many_is_tried_at_once(self):
        domains = ("one.many.lab", "two.many.lab")
        self.order("require", "*.many.lab", "encrypt")
        for domain in domains:
            self.waits(domain, "starttls-not-supported")
        mark = len(self.relay.lines)
        self.order("except", "*.many.lab", "dane")  # of no help
        self.order("remove", "*.many.lab")
        for domain in domains:
            self.relay.wait_log(10, mark, event="delivered", to=f"user@{domain}")
        lines = [f"d{i}.example,encrypt,,,\n" for i in range(300)]
        self.order("import", self.file(HEAD + "".join(lines) + "one.many.lab,encrypt,,,\n"))
        self.waits(domains[0], "starttls-not-supported")
        mark = len(self.relay.lines)
        self.order("import", self.file(HEAD + "".join(line.replace("encrypt", "dane") for line in lines) + "one.many.lab,verify,,,\n"))
        self.relay.wait_log(10, mark, event="deferred", to=f"user@{domains[0]}", attempt="2")

    def test_an_international_domain_and_an_address_in_place_of_one(self):
        self.assertEqual(self.order("require", "MÜNCHEN.Lab", "encrypt")["domain"], "xn--mnchen-3ya.lab")
        self.waits("xn--mnchen-3ya.lab", "starttls-not-supported")
        self.assertEqual(self.order("show", "münchen.lab")["partners"][0]["unicode"], "münchen.lab")
        for word in ("[192.0.2.1]", "192.0.2.1", "user@contoso.com", ".", "", "a..b", "*.*.lab", "**"):
            with self.subTest(word=word):
                code, _, err = self.relay.text("partner", "require", word, "dane")
                self.assertEqual(code, 64, err)
                self.assertIn("allowed: a name such as contoso.com", err)

    def test_less_than_before_is_said_and_logged(self):
        self.order("require", "lower.example", "dane", "--note", "ticket 1")
        code, out, _ = self.relay.text("partner", "require", "lower.example", "encrypt")
        self.assertEqual((code, out), (0, "lower.example: encrypt required\n  until now: partner, dane required: ticket 1\n"))
        self.assertEqual(self.event("lower.example", "required", level="encrypt")["was"], "dane")
        code, out, _ = self.relay.text("partner", "import", self.file(HEAD + "lower.example,verify,,,\n"), "--dry-run")
        self.assertEqual(out, "lower.example: verify required\n  until now: partner, encrypt required\n1 would be set, 0 as before\n")

    def test_mail_that_waits_for_a_mandate_is_sent_back_in_the_end_with_why(self):
        delivery = {"delivery": {"expire": "4s", "retry": {"first": "1s", "factor": 2, "max": "1s"}}}
        with Relay(self.world, Stage.build, SETTINGS | delivery, "expires", 2646) as relay:
            self.order("require", "expires.lab", "dane", relay=relay)
            relay.send("user@expires.lab", sender="me@back.lab")
            line = relay.wait_log(20, event="expired", to="user@expires.lab")
            self.assertEqual((line["reason"], line["policy"], line["dsn"]), ("dane-required", "route", "4.7.5"))
            relay.wait_log(20, event="delivered", to="me@back.lab")
            (mail,) = self.arrived("mx.back.lab", "me@back.lab")
            text = " ".join(mail.data.decode().split())
            for words in ("DANE is required of this partner", "a rule that our administrators set for this domain",
                          "must publish TLSA records, signed with DNSSEC", "Action: failed", "Status: 4.7.5"):
                self.assertIn(words, text)

    def test_an_exception_stands_in_the_audit(self):
        with Relay(self.world, Stage.build, SETTINGS, "audited", 2647) as relay:
            self.order("except", "wrong.test", "dane", "--until", day(3), "--note", "ticket 4711", relay=relay)
            self.assertEqual(self.ask("wrong.test", relay)["event"], "delivered")
            _, data = relay.tool("audit", "--domain", "wrong.test")
            relaxed = {(row["by"], row["detail"], row["until"], row["note"]) for row in data["domains"][0]["relaxed"]}
            self.assertIn(("partner", "dane=audit", day(3), "ticket 4711"), relaxed)
            self.assertIn(("audit", "tlsa-invalid", None, None), relaxed)

    def test_a_mandate_is_laid_over_a_route_and_show_tells_of_the_route(self):
        self.order("require", "routed.lab", "encrypt")
        line = self.waits("routed.lab", "starttls-not-supported")
        self.assertEqual(line["note"], "their own line; partner, encrypt required")
        code, out, _ = self.relay.text("partner", "show", "routed.lab")
        self.assertEqual(code, 0)
        self.assertIn("routes[0] takes this domain, and what it says goes first", out)

    def test_a_mandate_binds_its_domain_alone_of_those_that_share_a_route(self):
        both = ("user@free.lab", "user@bank.lab")
        mark = len(self.relay.lines)
        self.relay.send(both)
        for one in both:
            self.relay.wait_log(20, mark, event="delivered", to=one)
        self.order("require", "bank.lab", "encrypt")
        mark = len(self.relay.lines)
        self.relay.send(both)
        self.relay.wait_log(20, mark, event="delivered", to="user@free.lab")
        line = self.relay.wait_log(20, mark, event=("delivered", "deferred", "bounced"), to="user@bank.lab")
        self.assertEqual((line["event"], line["reason"]), ("deferred", "starttls-not-supported"), line)
        # what waits for it holds up nobody else
        self.assertEqual(self.ask("free.lab")["event"], "delivered")
        mark = len(self.relay.lines)
        self.order("remove", "bank.lab")
        self.relay.wait_log(10, mark, event="delivered", to="user@bank.lab")

    def test_it_survives_kill_9_and_a_reload(self):
        with Relay(self.world, Stage.build, SETTINGS, "restart", 2641) as relay:
            self.order("require", "restart.lab", "encrypt", relay=relay)
            relay.kill9()
            self.assertEqual(self.order("list", relay=relay)[0]["level"], "encrypt")
            relay.start()
            self.assertEqual(self.ask("restart.lab", relay)["reason"], "starttls-not-supported")
            self.assertEqual(relay.reload()["ok"], "true")
            mark = len(relay.lines)
            relay.tool("queue", "retry", "--all")
            self.assertEqual(relay.wait_log(20, mark, event=("delivered", "deferred"), to="user@restart.lab")["event"], "deferred")

    # --- until when

    @contextlib.contextmanager
    def clocked(self, port):
        stamp = self.world.write("partner.clock", "+0\n")
        relay = Relay(self.world, Stage.build, {**SETTINGS, "delivery": {**SETTINGS["delivery"], "expire": "30d"}}, f"clocked-{port}", port)
        before = dict(os.environ)
        os.environ.update({"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"})
        try:
            relay.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        try:
            yield relay, lambda by: os.replace(self.world.write("partner.new", by + "\n"), stamp)
        finally:
            relay.stop()

    def test_what_ends_is_warned_of_told_and_counts_no_more(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's runtime and libfaketime both want to be loaded first")
        with self.clocked(2642) as (relay, move):
            self.order("require", "clock.lab", "encrypt", "--until", day(8), "--note", "a trial", relay=relay)
            self.assertEqual(self.ask("clock.lab", relay)["event"], "deferred")
            self.assertEqual(relay.log(event="partner-ends"), [])
            move("+3d")
            warned = relay.wait_log(60, event="partner-ends", domain="clock.lab")
            self.assertEqual((warned["days"], warned["note"], warned["until"]), ("6", "a trial", day(8)))
            move("+9d")
            ended = relay.wait_log(60, event="partner", action="ended", domain="clock.lab")
            self.assertEqual(ended["level"], "encrypt")
            relay.wait_log(60, event="delivered", to="user@clock.lab", tls="none")
            self.assertEqual(len(relay.log(event="partner", action="ended")), 1)

    def test_an_exception_that_ended_stays_over_when_the_clock_is_set_back(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's runtime and libfaketime both want to be loaded first")
        with self.clocked(2648) as (relay, move):
            self.order("except", "sts.lab", "mta-sts", "--until", day(2), relay=relay)
            self.assertEqual(self.ask("sts.lab", relay)["event"], "delivered")
            move("+4d")
            relay.wait_log(60, event="partner", action="ended", domain="sts.lab")
            line = self.ask("sts.lab", relay)
            self.assertEqual((line["event"], line["reason"]), ("deferred", "mx-not-in-policy"))
            mark = len(relay.lines)
            move("+0")
            relay.tool("queue", "retry", "--all")
            line = relay.wait_log(30, mark, event=("delivered", "deferred"), to="user@sts.lab")
            self.assertEqual((line["event"], line["reason"]), ("deferred", "mx-not-in-policy"))

    # --- files

    def file(self, text, name="partners.csv"):
        with open(self.world.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.world.path(name)

    def test_export_and_import_are_the_identity_and_a_dry_run_changes_nothing(self):
        text = HEAD + f'"münchen.example",verify,,,"a note, with ""quotes"""\n*.contoso.com,,dane mta-sts,{day(30)},\n'
        with Relay(self.world, Stage.build, SETTINGS, "import", 2643) as relay:
            code, data = relay.tool("partner", "import", self.file(text), "--dry-run")
            self.assertEqual((code, data), (0, {"changed": 3, "unchanged": 0, "dry_run": True}))
            self.assertEqual(self.order("list", relay=relay), [])
            self.assertEqual(self.order("import", self.file(text), relay=relay), {"changed": 3, "unchanged": 0, "dry_run": False})
            first = relay.text("partner", "export")[1]
            self.assertIn("xn--mnchen-3ya.example,verify,,,", first)
            self.assertEqual(self.order("import", self.file(first), relay=relay), {"changed": 0, "unchanged": 3, "dry_run": False})
            for partner in self.order("list", relay=relay):
                self.order("remove", partner["domain"], relay=relay)
            self.assertEqual(relay.text("partner", "export")[1], HEAD)
            self.order("import", self.file(first), relay=relay)
            self.assertEqual(relay.text("partner", "export")[1], first)
            self.assertEqual({one["unicode"] for one in self.order("list", relay=relay)}, {"münchen.example", "*.contoso.com"})
            with open(self.file(HEAD), "a", encoding="utf-8") as file:
                file.writelines(f"d{i}.example,dane,,,\n" for i in range(2000))
            self.assertEqual(self.order("import", self.world.path("partners.csv"), relay=relay)["changed"], 2000)
            self.assertEqual(len(self.order("list", relay=relay)), 2002)

    def test_a_file_with_a_fault_is_named_by_line_and_changes_nothing(self):
        before = self.order("list")
        for line, words in (("c.example,tls,,,", "'tls' is no level; allowed: dane, verify, encrypt"),
                            ("c.example,,dane,2020-01-01,", "2020-01-01 is over; allowed: "),
                            ("c.example,dane", "2 fields; allowed: the 5 of"), ("a.example,verify,,,", "stands in line 2 already")):
            with self.subTest(line=line):
                path = self.file(HEAD + "a.example,dane,,,\nb.example,dane,,,\n" + line + "\n")
                code, out, err = self.relay.text("partner", "import", path)
                self.assertEqual((code, out), (64, ""))
                self.assertIn(f"{path}:4: ", err)
                self.assertIn(words, err)
        self.assertEqual(self.relay.text("partner", "import", "/nowhere.csv")[0], 74)  # as every file that cannot be read
        self.assertEqual(self.order("list"), before)

    # --- the tool

    def test_a_stopped_daemon_is_read_and_not_changed(self):
        relay = Relay(self.world, Stage.build, SETTINGS, "stopped", 2644)
        with relay:
            self.order("require", "ee.test", "verify", relay=relay)
            self.assertEqual(self.ask("ee.test", relay)["auth"], "dane-ee")
        self.assertEqual(self.order("list", relay=relay)[0]["domain"], "ee.test")
        self.assertEqual(self.order("show", "ee.test", relay=relay)["partners"][0]["level"], "verify")
        self.assertIn("ee.test,verify,,,", relay.text("partner", "export")[1])
        (row,) = self.order("suggest", relay=relay)["domains"]
        self.assertEqual((row["domain"], row["level"], row["required"], row["dane"]), ("ee.test", "dane", "verify", 1))
        for words in (("require", "ee.test", "dane"), ("except", "ee.test", "dane"), ("remove", "ee.test"), ("import", self.file(HEAD))):
            self.assertEqual(relay.text("partner", *words)[0], 69, words)
        self.assertEqual(relay.text("partner", "show", "nobody.example")[0], 1)

    def test_suggest_says_who_could_be_required_and_what_speaks_against_it(self):
        with Relay(self.world, Stage.build, SETTINGS, "suggest", 2645) as relay:
            for domain in ("ee.test", "plain.lab", "clear.lab", "wrong.test"):
                self.ask(domain, relay)
            data = self.order("suggest", relay=relay)
            levels = {row["domain"]: (row["level"], row["delivered"], row["failures"]) for row in data["domains"]}
            self.assertEqual(levels, {"ee.test": ("dane", 1, {}), "plain.lab": ("encrypt", 1, {}), "clear.lab": (None, 1, {}),
                                      "wrong.test": (None, 0, {"tlsa-invalid": 1})})
            self.assertTrue(data["complete"])
            code, out, _ = relay.text("partner", "suggest")
            self.assertEqual(code, 0)
            self.assertIn("all 1 left under DANE", out)
            self.assertIn("1 of 1 left in clear text", out)

    def test_what_is_wrong_is_said_with_what_is_allowed(self):
        for words, said in ((("require", "contoso.com", "tls"), "allowed: dane, verify, encrypt"),
                            (("require", "*", "dane"), "allowed: a name such as contoso.com"),
                            (("require", "contoso.com"), "an argument is missing"),
                            (("require", "contoso.com", "dane", "--until", "tomorrow"), "allowed: a day such as 2027-01-31"),
                            (("require", "contoso.com", "dane", "--until", "2020-01-01"), "is over"),
                            (("require", "contoso.com", "dane", "--note", "a\x1b[2Jb"), "allowed: text in UTF-8"),
                            (("require", "contoso.com", "dane", "--note", "x" * 10000), "at most 1000 octets"),
                            (("except", "contoso.com", "starttls"), "allowed: dane, mta-sts"),
                            (("except", "contoso.com", "dane", "--until", day(91)), "allowed: until " + day(90)),
                            (("remove", "contoso.com", "verify"), "allowed: dane, mta-sts"), (("forget", "contoso.com"), "partner list")):
            with self.subTest(words=words):
                code, out, err = self.relay.text("partner", *words)
                self.assertEqual((code, out), (64, ""))
                self.assertIn(said, err)
                self.assertNotIn("\x1b", err)
        self.assertEqual(self.relay.tool("partner", "show", "contoso.com")[0], 1)

    def test_people_read_it_in_words_and_nothing_hostile_comes_through(self):
        self.order("require", "hostile.example", "dane", "--note", "<script>\u202ealert(1)</script> =1+1")
        self.order("except", "hostile.example", "mta-sts")
        code, out, err = self.relay.text("partner", "list")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"DOMAIN +TLS +DANE +MTA-STS +RULE +UNTIL +BY +NOTE")
        self.assertRegex(out, r"hostile\.example +mandatory +mandatory +none +require dane ")
        code, shown, _ = self.relay.text("partner", "show", "hostile.example")
        self.assertIn("TLS mandatory, DANE mandatory, MTA-STS none", shown)
        for text in (out, shown):
            self.assertNotIn("\u202e", text)
        raw = subprocess.run([f"{Stage.build}/hoplock", "--config", self.relay.config, "--json", "partner", "list"], capture_output=True, check=True, timeout=30)
        self.assertNotIn("\u202e".encode(), raw.stdout)
