# SPDX-License-Identifier: Apache-2.0
"""`hoplock trace`: the whole life of a message, by id, address and domain, in the queue or gone, as a story and as data."""

import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

DOMAINS = [
    Domain("sender.test", "where notices go", hosts=(Host(),), send=False),
    Domain("good.test", "DANE, first host broken", ("10 mx1", "20 mx2"),
           (Host("mx1", tlsa=("3 1 1 wrong",)), Host("mx2", tlsa=("3 1 1",))), send=False),
    Domain("tlsa.test", "TLSA mismatch until it expires", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("gone.test", "550 at RCPT", hosts=(Host(smtp={"rcpt": {"user": "550 5.1.1 \x1b[31mnobody"}}),), send=False),
    Domain("down.test", "refuses connections", hosts=(Host(smtp={"down": "refused"}),), send=False),
    Domain("many.test", "takes mail", hosts=(Host(),), send=False),
]
SETTINGS = {"delivery": {"expire": "6s", "delay_notice": "2s", "retry": {"first": "1s", "factor": 2, "max": "2s"}}}
SENDER = "ann@sender.test"


class Trace(Case):
    def mail(self, recipients, **how):
        return self.relay.send(recipients, sender=SENDER, headers="Message-ID: <t.1@sender.test>\r\n", **how)

    def trace(self, *words):
        code, data = self.relay.tool("trace", *words)
        self.assertEqual(code, 0, words)
        return data

    def one(self, queue_id):
        (story,) = self.trace(queue_id)
        self.assertEqual(story["id"], queue_id)
        return story

    def test_a_delivered_message_with_every_host_that_was_tried(self):
        queue_id = self.mail("user@good.test")
        self.relay.wait_log(10, event="delivered", id=queue_id)
        story = self.one(queue_id)
        self.assertEqual((story["from"], story["to"], story["state"], story["queued"]), (SENDER, ["user@good.test"], "delivered", False))
        self.assertEqual((story["client"], story["msgid"]), ("127.0.0.1", "<t.1@sender.test>"))
        accepted, hop, conversation, delivered = story["events"]
        self.assertEqual((conversation["event"], conversation["mx"]), ("conversation", "mx1.good.test"))
        self.assertRegex(conversation["lines"][0], "^S: 220 ")
        self.assertIn("C: STARTTLS", conversation["lines"])
        self.assertTrue(any(line.startswith("(") and "TLS" in line for line in conversation["lines"]), conversation)
        self.assertEqual((accepted["event"], hop["event"], delivered["event"]), ("accepted", "hop", "delivered"))
        self.assertEqual((hop["mx"], hop["reason"], hop["dsn"], hop["action"]), ("mx1.good.test", "tlsa-invalid", "4.7.323", "next-host"))
        self.assertEqual((delivered["mx"], delivered["policy"], delivered["auth"], delivered["tlsa"], delivered["mx_dnssec"]),
                         ("mx2.good.test", "dane", "dane-ee", "3 1 1", "secure"))
        for key in ("ip", "tls", "cipher", "cert", "reply", "delay", "time"):
            self.assertIn(key, delivered)

    def test_attempts_notices_and_the_end_of_an_expired_mismatch(self):
        queue_id = self.mail("user@tlsa.test")
        self.relay.wait_log(20, event="expired", id=queue_id)
        story = self.one(queue_id)
        names = [event["event"] for event in story["events"]]
        self.assertEqual(names[0], "accepted")
        self.assertGreater(names.count("deferred"), 1)
        self.assertEqual((names.count("expired"), names.count("notice")), (1, 2))
        self.assertEqual([event["action"] for event in story["events"] if event["event"] == "notice"], ["delayed", "failed"])
        self.assertEqual(story["state"], "expired")
        code, text, _ = self.relay.text("trace", queue_id)
        self.assertEqual(code, 0)
        for words in ("450 4.7.323 tlsa-invalid", "policy dane", "next attempt", "told " + SENDER):
            self.assertIn(words, text)
        notice = next(event["as"] for event in story["events"] if event["event"] == "notice")
        self.assertEqual(self.one(notice)["from"], "<>")

    def test_by_address_and_domain_of_senders_and_recipients(self):
        first = self.mail(["a@many.test", "b@many.test"])
        second = self.mail("A@Many.Test")
        self.relay.wait_log(10, event="delivered", id=first)
        self.relay.wait_log(10, event="delivered", id=second)

        def ids(word):
            return [story["id"] for story in self.trace(word)]
        self.assertEqual(ids("a@MANY.test"), [first, second])
        self.assertEqual(ids("b@many.test"), [first])
        self.assertEqual(ids("many.test"), [first, second])
        self.assertIn(first, ids("sender.test"))
        self.assertIn(first, ids(SENDER))
        to_both = next(event for event in self.one(first)["events"] if event["event"] == "delivered")
        self.assertEqual(to_both["to"], ["a@many.test", "b@many.test"])

    def test_nothing_found_is_the_answer_no(self):
        for word in ("nobody@many.test", "unknown.test", "0000000000"):
            code, text, error = self.relay.text("trace", word)
            self.assertEqual((code, text), (1, ""), error)
        self.assertEqual(self.relay.tool("trace", "unknown.test"), (1, []))
        self.assertEqual(self.relay.text("trace", "--since", "soon", "many.test")[0], 64)

    def test_since_leaves_older_messages_out(self):
        queue_id = self.mail("since@many.test")
        self.relay.wait_log(10, event="delivered", id=queue_id)
        self.assertEqual(len(self.trace("since@many.test", "--since", "1h")), 1)
        time.sleep(1.1)
        self.assertEqual(self.relay.tool("trace", "since@many.test", "--since", "1s"), (1, []))

    def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(self):
        queue_id = self.mail("user@down.test")
        self.relay.wait_log(10, event="deferred", id=queue_id)
        before = self.relay.tool("trace", queue_id)[1]
        beginning = self.relay.tool("trace", queue_id[:-1])[1]
        self.assertIn(beginning, (before, self.relay.tool("trace", queue_id)[1]))  # it may be tried meanwhile

    def test_what_operators_did_is_part_of_it(self):
        queue_id = self.mail("user@down.test")
        self.relay.wait_log(10, event="deferred", id=queue_id)
        for action in ("hold", "release", "remove"):
            self.relay.tool("queue", action, queue_id)
        story = self.one(queue_id)
        acts = [(event["event"], event["by"]) for event in story["events"] if "by" in event]
        self.assertEqual([name for name, _ in acts], ["hold", "release", "remove"])
        self.assertTrue(all(by for _, by in acts))
        self.assertEqual(story["state"], "removed")

    def test_no_control_character_reaches_a_terminal(self):
        queue_id = self.mail("user@gone.test")
        self.relay.wait_log(10, event="bounced", id=queue_id)
        _, text, _ = self.relay.text("trace", queue_id)
        self.assertNotIn("\x1b", text)
        self.assertIn("550 5.1.1", text)
        self.assertIn("C: RCPT TO:<user@gone.test>", text)
        self.assertNotIn("hello", text, "nothing of the message")

    def test_history_is_kept_for_its_time_and_read_without_a_daemon(self):
        settings = dict(SETTINGS, history={"keep": "4s"})
        with Relay(self.world, Stage.build, settings, "short", 2527) as relay:
            queue_id = relay.send("x@many.test", sender=SENDER)
            waiting = relay.send("user@down.test", sender=SENDER)
            relay.wait_log(10, event="delivered", id=queue_id)
            self.assertEqual(relay.tool("trace", queue_id)[0], 0)
            relay.tool("queue", "hold", waiting)
            end = time.monotonic() + 15
            while relay.tool("trace", queue_id)[0] == 0 and time.monotonic() < end:
                time.sleep(0.3)
            self.assertEqual(relay.tool("trace", queue_id)[0], 1, "it is forgotten")
            self.assertEqual(relay.tool("trace", waiting)[0], 0, "what is queued stays known")
        self.assertEqual(relay.tool("trace", waiting)[0], 0, "without a daemon")
