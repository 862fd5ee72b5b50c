# SPDX-License-Identifier: Apache-2.0
"""MTA-STS: policies that are kept. A domain of `two` has a first MX that its policy does not name: mail tells which policy is in force."""

import time

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay
from world.web import Web

TWO = ("10 mx1", "20 mx2")


def two(name, what, **sts):
    return Domain(name, what, TWO, (Host("mx1"), Host("mx2")), signed=False, liar=True, send=False, sts=Sts(mx=("mx2",), **sts))


BLOCKS = ("refused", "black hole", "silent", "error", "certificate")
RECORDS = {"gone": (), "twice": ("v=STSv1; id=1;", "v=STSv1; id=2;"), "broken": ("v=STSv1; id=a-b;",), "other": ("v=spf1 -all",)}
LIES = ("servfail", "refused", "silent")
MANY = 16

DOMAINS = [two(f"block-{how.replace(' ', '-')}.lab", f"a changed id, HTTPS {how}") for how in BLOCKS]
DOMAINS += [two(f"txt-{name}.lab", f"the record becomes {texts}") for name, texts in RECORDS.items()]
DOMAINS += [two(f"lie-{lie}.lab", f"the record's look-up becomes {lie}") for lie in LIES]
DOMAINS += [two(f"many{i}.lab", "one of many") for i in range(MANY)]
DOMAINS += [
    two("same.lab", "an id that stays", ttl=300),
    two("burst.lab", "a slow policy host", web={"wait": 1}),
    two("down.lab", "HTTPS down from the start", web={"down": "refused"}),
    two("spin.lab", "ever new ids, HTTPS down", web={"down": "refused"}),
    two("next.lab", "a changed policy"),
    two("tonone.lab", "enforce becomes none"),
    two("nonsense.lab", "the policy becomes nonsense", max_age=8),
    two("brief.lab", "a brief policy, then HTTPS blocked", max_age=6),
    two("zero.lab", "max_age 0", max_age=0),
    Domain("zero-once.lab", "max_age 0, no host fits, served once", hosts=(Host(),), signed=False, send=False,
           sts=Sts(mx=("nobody",), max_age=0)),
    two("etag.lab", "a server that offers caching", web={"headers": ("Cache-Control: max-age=86400", 'ETag: "1"')}),
    two("restart.lab", "a restart"),
    two("look.lab", "looked after"),
    two("look-down.lab", "looked after, HTTPS down"),
    two("look-none.lab", "mode none, looked after, HTTPS down", mode="none"),
    Domain("late.lab", "no host fits until it is nearly too late", hosts=(Host(),), signed=False, send=False, sts=Sts(mx=("nobody",))),
    Domain("never.lab", "no host ever fits", hosts=(Host(),), signed=False, send=False, sts=Sts(mx=("nobody",))),
]
ENFORCE = {"security": {"mta_sts": "enforce"}, "mta_sts": {"fetch_timeout": "2s"}}
SETTINGS = ENFORCE | {"delivery": {"retry": {"first": "1h"}}}
TTL_OVER = 1.1  # a record with TTL 0 stays until the next second begins


class Cached(Case):
    count = 0

    def mail(self, domain, relay=None):
        """What became of a new message's first attempt."""
        Cached.count += 1
        recipient = f"m{Cached.count}@{domain}"
        (relay or self.relay).send(recipient)
        return (relay or self.relay).outcome(recipient)

    def enforced(self, domain, relay=None):
        line = self.mail(domain, relay)
        self.assertEqual((line["event"], line.get("mx"), line["policy"], line["auth"]), ("delivered", f"mx2.{domain}", "sts", "pkix"), line)
        return line

    def free(self, domain, relay=None):
        line = self.mail(domain, relay)
        self.assertEqual((line["event"], line.get("mx"), line["policy"]), ("delivered", f"mx1.{domain}", "opportunistic"), line)
        return line

    def publish(self, domain, **changes):
        self.world.publish(domain, **changes)
        time.sleep(TTL_OVER)

    def break_https(self, domain, how):
        site = self.world.site(domain)
        if how in ("refused", "black hole"):
            site.block(how)
        elif how == "certificate":
            site.use(self.world.authority.leaf("somebody.else.example"))
        else:
            site.web = Web(drop="silent") if how == "silent" else Web(status="500 Internal Server Error")


class Changes(Cached):
    def test_STS_28_STS_31_a_changed_id_with_https_blocked_leaves_the_old_policy(self):
        for how in BLOCKS:
            domain = f"block-{how.replace(' ', '-')}.lab"
            with self.subTest(how):
                self.enforced(domain)
                self.break_https(domain, how)
                self.publish(domain, id="2", mx=("mx1",))
                self.enforced(domain)
                failed = self.policy_event(domain, "failed")
                self.assertTrue(failed.get("error"), failed)
                self.enforced(domain)

    def test_STS_30_a_record_that_is_gone_or_broken_leaves_the_policy(self):
        for name, texts in RECORDS.items():
            domain = f"txt-{name}.lab"
            with self.subTest(name):
                self.enforced(domain)
                self.world.site(domain).block()
                self.publish(domain, txt=texts)
                self.enforced(domain)

    def test_STS_06_STS_30_a_lookup_that_fails_leaves_the_policy(self):
        for lie in LIES:
            domain = f"lie-{lie}.lab"
            with self.subTest(lie):
                self.enforced(domain)
                self.world.site(domain).block()
                self.world.liar.tell(f"_mta-sts.{domain}", "TXT", lie)
                time.sleep(TTL_OVER)
                self.enforced(domain)

    def test_STS_28_an_unchanged_id_means_no_https_and_a_cached_record_no_dns(self):
        self.enforced("same.lab")
        queries = len(self.world.wire.queries("_mta-sts.same.lab", "TXT"))
        for number in range(100):
            self.send(f"s{number}@same.lab")
        for number in range(100):
            line = self.outcome(f"s{number}@same.lab")
            self.assertEqual((line["event"], line["mx"], line["policy"]), ("delivered", "mx2.same.lab", "sts"), line)
        self.assertEqual(self.world.fetches("same.lab"), 1)
        self.assertEqual(len(self.world.wire.queries("_mta-sts.same.lab", "TXT")), queries)

    def test_STS_14_one_fetch_is_shared_by_all_that_wait(self):
        for number in range(20):
            self.send(f"b{number}@burst.lab")
        for number in range(20):
            self.assertEqual(self.outcome(f"b{number}@burst.lab").get("mx"), "mx2.burst.lab")
        self.assertEqual(self.world.fetches("burst.lab"), 1)

    def test_STS_28_a_changed_id_brings_the_new_policy(self):
        self.enforced("next.lab")
        self.publish("next.lab", id="2", mx=("mx1",))
        line = self.mail("next.lab")
        self.assertEqual((line["event"], line["mx"], line["policy"]), ("delivered", "mx1.next.lab", "sts"))
        self.policy_event("next.lab", ("fetched", "refreshed"), id="2")
        self.assertEqual(len(self.requests("next.lab")), 2)

    def test_STS_27_mode_none_replaces_an_older_policy_at_once(self):
        self.enforced("tonone.lab")
        self.publish("tonone.lab", id="2", mode="none", mx=())
        self.free("tonone.lab")

    def test_STS_09_a_changed_id_is_answered_by_a_full_request(self):
        self.enforced("etag.lab")
        self.publish("etag.lab", id="2")
        self.enforced("etag.lab")
        for request in self.requests("etag.lab"):
            for name in ("If-None-Match", "If-Modified-Since", "Range"):
                self.assertIsNone(request.header(name))
        self.assertEqual(len(self.requests("etag.lab")), 2)

    def test_STS_12_failing_fetches_are_few(self):
        for _ in range(100):
            self.free("down.lab")
        self.assertEqual(self.world.fetches("down.lab"), 1)

    def test_STS_12_new_ids_cannot_force_fetches(self):
        for number in range(6):
            self.publish("spin.lab", id=f"n{number}")
            self.free("spin.lab")
        self.assertLessEqual(self.world.fetches("spin.lab"), 2)


class Lifetime(Cached):
    def test_STS_31_an_invalid_new_policy_leaves_the_old_one_until_it_is_over(self):
        begin = time.monotonic()
        self.enforced("nonsense.lab")
        self.publish("nonsense.lab", id="2", text=b"nonsense")
        self.enforced("nonsense.lab")
        self.assertLess(time.monotonic() - begin, 7, "too slow to tell")
        self.assertIn("sts-policy-invalid", str(self.policy_event("nonsense.lab", "failed")))
        time.sleep(max(0, begin + 9.5 - time.monotonic()))
        self.free("nonsense.lab")
        self.assertIn(self.policy_event("nonsense.lab", "expired")["level"], ("warn", "error"))

    def test_STS_29_an_unchanged_id_does_not_prolong_a_policy(self):
        begin = time.monotonic()
        self.enforced("brief.lab")
        self.world.site("brief.lab").block()
        self.enforced("brief.lab")
        self.assertLess(time.monotonic() - begin, 5, "too slow to tell")
        time.sleep(max(0, begin + 7.5 - time.monotonic()))
        self.free("brief.lab")

    def test_STS_17_max_age_0_governs_one_attempt(self):
        self.enforced("zero.lab")
        self.assertEqual(self.relay.tool("sts", "show", "zero.lab")[0], 1)

    def test_STS_17_max_age_0_governs_that_attempt_to_its_end(self):
        site = self.world.site("zero-once.lab")
        text = site.text()

        def once():
            if len(site.requests()) > 1:
                site.web.status = "500 Internal Server Error"
            return text
        site.host.text = once
        line = self.mail("zero-once.lab")
        self.assertEqual((line["event"], line.get("reason"), line["policy"]), ("deferred", "mx-not-in-policy", "sts"), line)

    def test_STS_25_before_the_end_the_id_is_looked_at_once_more(self):
        settings = ENFORCE | {"delivery": {"retry": {"first": "1h"}, "expire": "4s", "expire_bounces": "4s"}}
        with Relay(self.world, Stage.build, settings, "expiring", 2600) as expiring:
            for domain in ("late.lab", "never.lab"):
                expiring.send(f"user@{domain}")
                self.assertEqual(expiring.outcome(f"user@{domain}")["reason"], "mx-not-in-policy")
            self.publish("late.lab", id="2", mx=None)
            expiring.wait_log(event="delivered", to="user@late.lab", policy="sts", auth="pkix")
            end = expiring.wait_log(event="expired", to="user@never.lab")
            self.assertEqual((end["reason"], end["dsn"]), ("mx-not-in-policy", "4.4.8"), end)
            self.assertFalse(expiring.log(event=("expired", "bounced"), to="user@late.lab"))


class Restart(Cached):
    def test_STS_33_a_restart_with_https_blocked_loses_nothing(self):
        with Relay(self.world, Stage.build, SETTINGS, "restarting", 2600) as restarting:
            self.enforced("restart.lab", restarting)
            self.world.site("restart.lab").block()
            restarting.stop()
            restarting.start()
            self.enforced("restart.lab", restarting)
            restarting.kill9()
            self.publish("restart.lab", id="2", txt=())
            restarting.start()
            self.enforced("restart.lab", restarting)
            self.assertEqual(self.world.fetches("restart.lab"), 1)

    def test_STS_33_a_kill_in_the_middle_of_many_fetches_loses_none_that_was_told(self):
        domains = [f"many{i}.lab" for i in range(MANY)]
        with Relay(self.world, Stage.build, SETTINGS, "killed", 2600) as killed:
            for number, domain in enumerate(domains):
                self.world.site(domain).web.wait = number * 0.05
                killed.send(f"first@{domain}")
            self.policy_event(domains[MANY // 2], "fetched", relay=killed)
            killed.kill9()
            told = {line["domain"] for line in killed.log(event="sts-policy", action="fetched")}
            for domain in domains:
                self.world.site(domain).block()
            killed.start()
            self.assertTrue(0 < len(told) < MANY, told)
            for domain in sorted(told):
                self.enforced(domain, killed)


class LookedAfter(Cached):
    def test_STS_32_policies_are_refreshed_without_mail_and_a_failure_is_told_once(self):
        settings = SETTINGS | {"mta_sts": {"refresh": "2s", "fetch_timeout": "2s"}}
        with Relay(self.world, Stage.build, settings, "looking", 2600) as looking:
            for domain in ("look.lab", "look-down.lab"):
                self.enforced(domain, looking)
            self.free("look-none.lab", looking)
            for domain in ("look-down.lab", "look-none.lab"):
                self.policy_event(domain, "fetched", relay=looking)
                self.world.site(domain).block()
            first = self.policy_event("look.lab", "fetched", relay=looking)
            again = self.policy_event("look.lab", ("refreshed", "unchanged"), relay=looking)
            self.assertGreater(again["expires"], first["expires"], "it lives longer")
            self.policy_event("look-down.lab", "failed", relay=looking)
            self.policy_event("look.lab", ("refreshed", "unchanged"), relay=looking, since=looking.lines.index(again) + 1)
            alerts = [line for line in looking.log(event="sts-policy", action="failed") if line["level"] in ("warn", "error")]
            self.assertEqual([line["domain"] for line in alerts], ["look-down.lab"])
            self.assertTrue(alerts[0].get("expires"), "how long the policy still holds")
            self.enforced("look-down.lab", looking)
