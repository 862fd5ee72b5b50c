# SPDX-License-Identifier: Apache-2.0
"""MX: where mail goes, in what order, and what a missing, failing or strange record means."""

import json
import os
import subprocess
import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

LOOKUP_FAILURES = ("servfail", "refused", "notimp", "formerr", "silent", "truncate", "garbage")
TWO = ("10 mx1", "20 mx2")


def first_bad(name, **behaviour):
    return Domain(name, "first MX " + str(behaviour), TWO, (Host("mx1", smtp=behaviour), Host("mx2")))


DOMAINS = [
    Domain("m01.test", "no MX, an address", (), (Host("@"),)),
    Domain("m01b.test", "MX and an address", hosts=(Host("@"), Host())),
    Domain("m02bogus.test", "MX bogus, address live", hosts=(Host("@"), Host()), spoil=("@ MX",)),
    Domain("m03.test", "bogus denials", hosts=(Host(),), spoil=("* NSEC",), send=False),
    Domain("m04.test", "null MX", ("0 .",), (Host("@"),)),
    Domain("m04b.test", "null MX beside another", ("0 .", "10 mx"), (Host("@"), Host())),
    Domain("m05.test", "two equal MX dead, third alive", ("10 a", "10 b", "20 c"),
           (Host("a", smtp={"down": "refused"}), Host("b", smtp={"down": "refused"}), Host("c"))),
    Domain("m05hole.test", "AAAA is a black hole, A alive", hosts=(Host(aaaa=("fd00:dead::5",)),)),
    Domain("m05two.test", "one of two addresses is a black hole", hosts=(Host(addresses=2, dead=1),)),
    Domain("m05six.test", "only an AAAA", hosts=(Host(aaaa=("fd00:1::25",), a=False),)),
    Domain("m06.test", "MX host does not exist", ("10 nowhere",), (Host("@"),)),
    Domain("m06b.test", "one MX host does not exist, one lookup times out", ("10 nowhere", "20 mx"), (Host("@"), Host()),
           lies={"mx A": "silent", "mx AAAA": "silent"}),
    Domain("m06c.test", "one MX host does not exist, one is fine", ("10 nowhere", "20 mx"), (Host(),)),
    Domain("m07.test", "recipient domain is an alias", (), (Host(),),
           ("alias CNAME real", "real MX 10 mx", "loop1 CNAME loop2", "loop2 CNAME loop1"), send=False),
    Domain("m08.test", "MX host is an alias", hosts=(Host("host"),), records=("mx CNAME host",)),
    Domain("m09.test", "own name second", ("10 other", "20 relay.test.", "30 backup"), (Host("other", ("3 1 1 wrong",)), Host("backup"))),
    Domain("m09self.test", "own name only", ("10 RELAY.test.",)),
    Domain("m09address.test", "own address only", ("10 mx",),
           (Host("mx", ip=["127.0.0.200"], smtp={"down": "elsewhere"}),)),
    Domain("relay.test", "the relay's own name", (), (Host("@", smtp={"down": "elsewhere"}),), send=False),
    first_bad("m10banner.test", banner="554 5.7.1 no service for you"),
    first_bad("m10busy.test", banner="421 4.3.2 too busy"),
    first_bad("m10never.test", banner="521 5.3.2 I accept no mail"),
    first_bad("m10ehlo.test", ehlo="550 5.7.1 go away", helo="550 5.7.1 go away"),
    first_bad("m10mail.test", mail="451 4.3.0 not now"),
    first_bad("m10lost.test", drop="mail"),
    first_bad("m10connect.test", drop="connect"),
    Domain("m10hole.test", "first MX is a black hole", TWO, (Host("mx1", smtp={"down": "black hole"}), Host("mx2"))),
    Domain("m10final.test", "RCPT refused for good", TWO, (Host("mx1", smtp={"rcpt": {"user": "550 5.1.1 nobody here"}}), Host("mx2"))),
    Domain("m10data.test", "refused at the dot", TWO, (Host("mx1", smtp={"dot": "554 5.7.1 spam"}), Host("mx2"))),
    Domain("m11.test", "refuses connections", hosts=(Host(smtp={"down": "refused"}),)),
    Domain("m12.test", "silence after the dot", hosts=(Host(smtp={"drop": "dot-silent"}),)),
    Domain("m13.test", "452 after 100 recipients", hosts=(Host(smtp={"rcpt_limit": 100}),), send=False),
    Domain("m13b.test", "552 after 2 recipients", hosts=(Host(smtp={"rcpt_limit": 2, "rcpt_full": "552 5.5.3 enough"}),), send=False),
    Domain("m13mixed.test", "outcomes per recipient", hosts=(
        Host(smtp={"rcpt": {"gone": "550 5.1.1 no such user", "full": "452 4.2.2 mailbox full"}}),), send=False),
    Domain("m14dane.test", "500 to EHLO, DANE", hosts=(Host(tlsa=("3 1 1",), smtp={"ehlo": "500 5.5.1 what?"}),)),
    Domain("m14.test", "500 to EHLO, no policy", hosts=(Host(smtp={"ehlo": "500 5.5.1 what?"}),)),
    Domain("xn--jxalpdlp.test", "an A-label", ("10 mx.xn--jxalpdlp.test.",), (Host(tlsa=("3 1 1",)),)),
    Domain("m16.test", "a route's host with MX records", hosts=(Host("@", port=587), Host()), send=False),
    Domain("m17.test", "MX is an address literal", ("10 127.2.0.17.",), (Host("unused", ip=["127.2.0.17"]),)),
    Domain("grey.test", "greylisting", hosts=(Host(smtp={"greylist": True}),)),
    Domain("slow.test", "slow replies", hosts=(Host(smtp={"slow": 0.2}),)),
]
DOMAINS += [Domain(f"m02{kind}.test", f"MX {kind}, address live", (), (Host("@"),), lies={"@ MX": kind}) for kind in LOOKUP_FAILURES]

RECIPIENTS = ["user@nowhere-at-all.test", "user@nowhere-at-all.lab", "user@nowhere.m03.test", "user@alias.m07.test",
              "user@loop1.m07.test", "user@m16.example"]
SETTINGS = {
    "listeners": [{"address": "127.0.0.1:2525"}, {"address": "127.0.0.200:25"}],
    "delivery": {"retry": {"max": "4s"}},
    "routes": [{"match": ["m16.example"], "hosts": ["m16.test:587"]}],
}


class Mx(Case):
    def test_MX_01_the_domain_itself_only_after_a_definite_no(self):
        self.delivered("m01.test", mx="m01.test")
        self.delivered("m01b.test", mx="mx.m01b.test")
        self.untouched("m01b.test")

    def test_MX_02_DNS_06_a_failed_mx_lookup_defers_and_never_falls_back(self):
        for kind in LOOKUP_FAILURES:
            with self.subTest(kind):
                self.deferred(f"m02{kind}.test", "dns-failure", "4.4.3")
                self.untouched(f"m02{kind}.test")
        self.deferred("m02bogus.test", "dnssec-invalid", "4.7.324")
        self.untouched("m02bogus.test")
        self.untouched("mx.m02bogus.test")

    def test_MX_03_only_a_believable_nxdomain_bounces(self):
        self.bounced("nowhere-at-all.test", "5.1.2")
        self.bounced("nowhere-at-all.lab", "5.1.2")
        self.deferred("nowhere.m03.test", "dnssec-invalid", "4.7.324")

    def test_MX_04_null_mx_bounces_at_once_and_beside_others_it_is_ignored(self):
        line = self.bounced("m04.test", "5.1.10")
        self.assertRegex(line["reply"], "^556 5.1.10")
        self.untouched("m04.test")
        self.assertEqual(self.tlsa_queries("m04.test"), [])
        self.delivered("m04b.test", mx="mx.m04b.test")
        self.untouched("m04b.test")

    def test_MX_05_preferences_order_hosts_and_every_address_is_tried(self):
        self.delivered("m05.test", mx="c.m05.test", attempt="1")
        self.assertTrue(self.world.connections("a.m05.test") and self.world.connections("b.m05.test"))
        self.delivered("m05hole.test", attempt="1")
        self.delivered("m05two.test", attempt="1")
        self.delivered("m05six.test", attempt="1", ip="fd00:1::25")

    def test_MX_06_no_usable_host_is_an_error_and_never_a_fallback(self):
        self.bounced("m06.test", "5.4.4")
        self.untouched("m06.test")
        self.deferred("m06b.test", "dns-failure", "4.4.3")
        self.untouched("m06b.test")
        self.delivered("m06c.test", mx="mx.m06c.test")

    def test_MX_07_an_alias_is_followed_for_mx_and_kept_in_the_envelope(self):
        self.delivered("alias.m07.test", mx="mx.m07.test")
        mail = self.arrived("mx.m07.test")[0]
        self.assertEqual(mail.recipients, ["user@alias.m07.test"])
        self.assertIn(b"To: user@alias.m07.test\r\n", mail.data)
        self.deferred("loop1.m07.test", "dns-failure", "4.4.3")

    def test_MX_08_an_mx_host_that_is_an_alias_is_followed(self):
        self.delivered("m08.test", mx="mx.m08.test")
        self.assertEqual(len(self.arrived("host.m08.test", "m08.test")), 1)

    def test_MX_09_own_name_or_address_cuts_the_list(self):
        self.deferred("m09.test", "tlsa-invalid", mx="other.m09.test")
        self.untouched("backup.m09.test")
        self.bounced("m09self.test", "5.4.6")
        self.bounced("m09address.test", "5.4.6")

    def test_MX_10_a_bad_greeting_or_a_4yz_moves_on_to_the_next_host(self):
        for name in ("banner", "busy", "never", "ehlo", "mail", "lost", "connect", "hole"):
            with self.subTest(name):
                self.delivered(f"m10{name}.test", mx=f"mx2.m10{name}.test", attempt="1")
                self.assertGreater(self.world.connections(f"mx1.m10{name}.test"), 0)

    def test_MX_10_a_5yz_to_rcpt_or_data_is_final(self):
        line = self.bounced("m10final.test", "5.1.1", reason="smtp-reply")
        self.assertRegex(line["reply"], "^550 5.1.1 nobody here")
        self.untouched("mx2.m10final.test")
        self.bounced("m10data.test", "5.7.1", reason="smtp-reply")
        self.untouched("mx2.m10data.test")

    def test_MX_11_retries_back_off(self):
        self.deferred("m11.test", "connect-refused", "4.4.1", attempt="1")
        second = self.relay.wait_log(15, event="deferred", to="user@m11.test", attempt="2")
        third = self.relay.wait_log(20, event="deferred", to="user@m11.test", attempt="3")
        self.assertGreater(float(third["delay"]) - float(second["delay"]), 2)
        self.assertTrue(second["next"])

    def test_MX_12_silence_after_the_dot_is_no_success(self):
        self.deferred("m12.test")
        self.assertEqual(self.arrived("mx.m12.test"), [])

    def test_MX_13_recipients_share_a_transaction_and_452_means_rest_later(self):
        people = [f"p{i}@m13.test" for i in range(150)]
        self.relay.send(people)
        for person in people:
            self.relay.wait_log(20, event="delivered", to=person)
        counts = [len(mail.recipients) for mail in self.arrived("mx.m13.test")]
        self.assertEqual((counts[0], sum(counts)), (100, 150))
        three = [f"p{i}@m13b.test" for i in range(3)]
        self.relay.send(three)
        for person in three:
            self.relay.wait_log(20, event="delivered", to=person)
        self.assertEqual([len(mail.recipients) for mail in self.arrived("mx.m13b.test")], [2, 1])

    def test_MX_13_outcomes_are_per_recipient(self):
        self.relay.send(["good@m13mixed.test", "gone@m13mixed.test", "full@m13mixed.test"])
        self.delivered("good@m13mixed.test")
        self.bounced("gone@m13mixed.test", "5.1.1", reason="smtp-reply")
        self.deferred("full@m13mixed.test", "smtp-reply", "4.2.2")

    def test_MX_14_helo_is_never_used_where_a_policy_needs_tls(self):
        self.deferred("m14dane.test", "starttls-not-supported", "4.7.321")
        for session in self.sessions("mx.m14dane.test"):
            self.assertEqual(session.verbs().count("HELO"), 0)
        self.no_mail_command("mx.m14dane.test")
        self.deferred("m14.test", "starttls-not-supported", attempt="1")  # TLS-14: late and told
        line = self.relay.wait_log(20, event="delivered", to="user@m14.test", attempt="2")
        self.assertEqual((line["tls"], line["policy"]), ("none", "opportunistic"))
        self.assertIn("plaintext", [hop["action"] for hop in self.relay.hops("m14.test")])
        self.assertIn("HELO", self.sessions("mx.m14.test")[0].verbs())

    def test_MX_15_an_a_label_goes_into_every_query_and_into_sni(self):
        self.delivered("xn--jxalpdlp.test", policy="dane", auth="dane-ee", sni="mx.xn--jxalpdlp.test")
        self.assertTrue(self.tlsa_queries("mx.xn--jxalpdlp.test"))
        self.assertEqual(self.sessions("mx.xn--jxalpdlp.test")[0].sni, "mx.xn--jxalpdlp.test")

    def test_MX_16_names_in_a_routes_hosts_are_never_mx_resolved(self):
        line = self.delivered("m16.example", mx="m16.test")
        self.assertEqual(line["ip"], self.world.host("m16.test").ip[0])
        self.untouched("mx.m16.test")
        self.assertEqual(self.world.wire.queries(name="m16.test", kind="MX"), [])

    def test_MX_17_address_literals_are_refused_and_never_followed(self):
        with self.assertRaises(Exception) as refused:
            self.relay.send("user@[192.0.2.1]")
        code, reply = refused.exception.recipients["user@[192.0.2.1]"]
        self.assertTrue(500 <= code < 600, (code, reply))
        self.assertRegex(reply.decode(), r"^5\.1\.3")
        self.bounced("m17.test", "5.4.4")
        self.untouched("unused.m17.test")

    def test_MX_16_a_name_in_brackets_is_a_configuration_error(self):
        settings = self.relay.settings | {"routes": [{"match": ["x.example"], "hosts": ["[m16.test]:587"]}]}
        config = self.world.write("brackets.yaml", json.dumps(settings, indent=1))
        done = subprocess.run([os.path.join(Stage.build, "hoplockd"), "--config", config, "--check"], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertRegex(done.stderr + done.stdout, r"brackets\.yaml:\d+:\d+: ")

    def test_MX_28_the_check_names_a_route_that_leads_back_to_the_relay_itself(self):
        ours = f"[127.0.0.1]:{self.relay.port}"
        settings = self.relay.settings | {"routes": [{"match": ["x.example"], "hosts": [ours]}, {"match": ["y.example"], "hosts": ["[127.0.0.1]:1"]}]}
        config = self.world.write("loop.yaml", json.dumps(settings, indent=1))
        done = subprocess.run([os.path.join(Stage.build, "hoplockd"), "--config", config, "--check"], capture_output=True, text=True,
                              timeout=20, check=False)
        warnings = [line for line in done.stderr.splitlines() if "is this relay itself" in line]
        self.assertEqual(len(warnings), 1, done.stderr)
        self.assertRegex(warnings[0], r"loop\.yaml:\d+: ")
        self.assertNotIn("127.0.0.1:1'", done.stderr)

    def test_MX_17_hosts_at_local_addresses_are_skipped_unless_allowed(self):
        with Relay(self.world, Stage.build, {"dns": {"local_targets": "refuse"}}, "refusing", 2600) as refusing:
            refusing.send("local@m01b.test")
            self.assertNotEqual(refusing.outcome("local@m01b.test")["event"], "delivered")
        self.assertEqual(self.arrived("mx.m01b.test", "local@m01b.test"), [])

    def test_MX_10_greylisting_and_slowness_only_delay(self):
        self.deferred("grey.test", "smtp-reply", "4.7.1", attempt="1")
        self.relay.wait_log(20, event="delivered", to="user@grey.test", attempt="2")
        self.delivered("slow.test", attempt="1")
        time.sleep(0.1)
        self.assertEqual(len(self.arrived("mx.grey.test")), 1)
