# SPDX-License-Identifier: Apache-2.0
"""Notices: what senders are told of failures, delays and handovers, read by Python's email package, and who is told nothing."""

import email
import email.policy
import quopri
import random
import re
import smtplib
import time

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay

DSN = ("PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES", "DSN")
NOBODY = {"rcpt": {"user": "550 5.1.1 no such user here", "inject": "550-5.1.1 no\x07\r\n550-5.1.1 Bcc: x@evil.test\r\n550 5.1.1 \x1b[31mred"}}

DOMAINS = [
    Domain("exchange.test", "the sender: MX is the edge, a route leads back", hosts=(Host("mx"), Host("back")), send=False),
    Domain("gone.test", "550 at RCPT", hosts=(Host(smtp=NOBODY),), send=False),
    Domain("utf8.test", "nobody, and a way back that knows SMTPUTF8", hosts=(
        Host(smtp={"extensions": (*DSN, "SMTPUTF8"), "rcpt": {"δ": "550 5.1.1 no such user here"}}),), send=False),
    Domain("tlsa.test", "TLSA mismatch until it expires", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("sts.lab", "MTA-STS failure until it expires", hosts=(Host(),), sts=Sts(mx=("nobody",)), signed=False, send=False),
    Domain("null.test", "null MX", ("0 .",), (Host("@"),), send=False),
    Domain("plain.test", "takes mail, without DSN", hosts=(Host(),), send=False),
    Domain("knows.test", "takes mail, with DSN", hosts=(Host(smtp={"extensions": DSN}),), send=False),
    Domain("mixed.test", "some do not exist", hosts=(
        Host(smtp={"rcpt": {name: "550 5.1.1 nobody" for name in ("gone", "quiet", "gone2")}}),), send=False),
    Domain("refuses.test", "a sender whose own server refuses", hosts=(Host(smtp={"mail": "550 5.7.1 no bounces here"}),), send=False),
    Domain("later.test", "refuses all mail for now", hosts=(Host(smtp={"mail": "451 4.3.0 not now"}),), send=False),
]
SENDER = "ann@exchange.test"
SETTINGS = {
    "security": {"mta_sts": "enforce"},
    "routes": [{"match": ["exchange.test"], "hosts": ["back.exchange.test"]}],
    "delivery": {"expire": "8s", "expire_bounces": "4s", "delay_notice": "2s", "retry": {"first": "1s", "factor": 2, "max": "2s"}},
}


def parse(mail):
    """(message, text, fields of the message, fields of each recipient, what was returned) of a notice."""
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    defects = [defect for part in message.walk() for defect in part.defects]
    assert not defects, (defects, mail.data)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    parts = list(message.iter_parts())
    blocks = [block for block in parts[1].get_payload() if block.keys()]
    return message, parts[0].get_content(), blocks[0], blocks[1:], parts[2] if len(parts) > 2 else None


class Dsn(Case):
    def notices(self, queue_id, host="back.exchange.test"):
        return [mail for mail in self.world.receiver(host).mails() if f"X-Hoplock-Queue-ID: {queue_id}\r\n".encode() in mail.data]

    def notice(self, queue_id, action="failed", timeout=25):
        """The one notice about a message with this action, once it is there."""
        end = time.monotonic() + timeout
        while True:
            found = [mail for mail in self.notices(queue_id) if f"\r\nAction: {action}\r\n".encode() in mail.data]
            if found or time.monotonic() > end:
                break
            time.sleep(0.05)
        self.assertEqual(len(found), 1, f"notices '{action}' about {queue_id}\n{self.relay.tail()}")
        return found[0]

    def mail(self, recipients, **how):
        return self.relay.send(recipients, sender=SENDER, headers="Message-ID: <orig.1@exchange.test>\r\n", **how)

    def none_comes(self, queue_id, seconds=1.5):
        time.sleep(seconds)
        self.assertEqual(self.notices(queue_id), [])

    def test_DSN_01_DSN_02_DSN_03_DSN_16_a_refused_recipient_comes_back_over_the_route(self):
        queue_id = self.mail("user@gone.test")
        mail = self.notice(queue_id)
        self.assertEqual((mail.sender, mail.recipients), ("", [SENDER]))
        self.assertFalse([word for word in mail.parameters if word.startswith(("RET", "ENVID"))])
        self.assertEqual(self.arrived("mx.exchange.test"), [])
        message, text, fields, (group,), returned = parse(mail)
        for name in ("Date", "Message-ID", "From", "To", "Subject"):
            self.assertTrue(message[name], name)
        self.assertEqual(message["Auto-Submitted"], "auto-replied")
        self.assertEqual((message["In-Reply-To"], message["References"]), ("<orig.1@exchange.test>",) * 2)
        self.assertEqual(fields["Reporting-MTA"], "dns; relay.test")
        self.assertNotIn("Original-Envelope-Id", fields)
        self.assertEqual((group["Final-Recipient"], group["Action"], group["Status"]), ("rfc822; user@gone.test", "failed", "5.1.1"))
        self.assertEqual(group["Remote-MTA"], "dns; mx.gone.test")
        self.assertEqual(group["Diagnostic-Code"], "smtp; 550 5.1.1 no such user here")
        self.assertNotIn("Original-Recipient", group)
        self.assertIn("mx.gone.test", text)
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertIn("Subject: test", returned.get_payload())
        code, _ = self.relay.tool("queue", "show", queue_id)
        self.assertEqual(code, 1, "the message has left the queue")

    def test_DSN_06_DSN_07_DSN_09_MX_11_an_expired_tlsa_mismatch_is_told_as_a_delay_first(self):
        queue_id = self.mail("user@tlsa.test")
        _, text, _, (group,), _ = parse(self.notice(queue_id, "delayed"))
        self.assertEqual((group["Status"], group["Diagnostic-Code"], group["Remote-MTA"]), ("4.7.323", None, None))
        self.assertTrue(group["Will-Retry-Until"])
        self.assertIn("DANE", text)
        _, text, _, (group,), _ = parse(self.notice(queue_id))
        self.assertEqual((group["Action"], group["Status"]), ("failed", "4.7.323"))
        self.assertEqual((group["Diagnostic-Code"], group["Remote-MTA"]), (None, None))
        for words in ("mx.tlsa.test", "certificate was renewed without its TLSA record", "DANE"):
            self.assertIn(words, " ".join(text.split()))
        self.assertEqual(len(self.notices(queue_id)), 2)

    def test_DSN_06_an_expired_policy_failure_names_the_policy(self):
        queue_id = self.mail("user@sts.lab")
        _, text, _, (group,), _ = parse(self.notice(queue_id))
        self.assertEqual((group["Action"], group["Status"]), ("failed", "4.4.8"))
        self.assertIn("MTA-STS", text)

    def test_DSN_07_MX_04_null_mx_and_an_unknown_domain_are_local_decisions(self):
        for recipient, status, words in (("user@null.test", "5.1.10", "takes no mail"), ("user@nowhere.lab", "5.1.2", "no such domain")):
            with self.subTest(recipient):
                _, text, _, (group,), _ = parse(self.notice(self.mail(recipient)))
                self.assertEqual(group["Status"], status)
                self.assertEqual((group["Diagnostic-Code"], group["Remote-MTA"]), (None, None))
                self.assertIn(words, " ".join(text.split()))

    def test_DSN_04_DSN_05_envid_and_orcpt_come_back_decoded(self):
        queue_id = self.mail("user@gone.test", options=["ENVID=QQ+2B31+20x"], rcpt_options=["ORCPT=rfc822;Us+2Ber@gone.test"])
        _, _, fields, (group,), _ = parse(self.notice(queue_id))
        self.assertEqual(fields["Original-Envelope-Id"], "QQ+31 x")
        self.assertEqual(group["Original-Recipient"], "rfc822;Us+er@gone.test")

    def test_DSN_08_never_and_lists_without_failure_bring_nothing(self):
        ids = [self.mail("user@gone.test", rcpt_options=[f"NOTIFY={words}"]) for words in ("NEVER", "SUCCESS,DELAY")]
        for queue_id in ids:
            self.relay.wait_log(10, event="bounced", id=queue_id)
        self.none_comes(ids[0])
        self.none_comes(ids[1], 0)

    def test_DSN_10_parameters_pass_on_as_received_and_no_success_is_told_here(self):
        queue_id = self.mail("user@knows.test", options=["RET=HDRS", "ENVID=a+2Bb"],
                             rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Other+2Bx@knows.test"])
        self.relay.wait_log(10, event="delivered", id=queue_id)
        session = self.sessions("mx.knows.test")[-1]
        said = [line for line, _ in session.commands]
        mail = next(line for line in said if line.startswith("MAIL"))
        self.assertTrue({"RET=HDRS", "ENVID=a+2Bb"} <= set(mail.split()), mail)
        self.assertIn("RCPT TO:<user@knows.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Other+2Bx@knows.test", said)
        self.none_comes(queue_id)

    def test_DSN_11_a_peer_without_dsn_gets_none_of_it_and_success_is_relayed(self):
        queue_id = self.mail("user@plain.test", options=["RET=FULL", "ENVID=a"], rcpt_options=["NOTIFY=SUCCESS"])
        _, text, _, (group,), returned = parse(self.notice(queue_id, "relayed"))
        self.assertEqual((group["Action"], group["Status"][0]), ("relayed", "2"))
        self.assertEqual(group["Remote-MTA"], "dns; mx.plain.test")
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        said = " ".join(line for session in self.sessions("mx.plain.test") for line, _ in session.commands)
        for word in ("NOTIFY", "RET=", "ENVID", "ORCPT"):
            self.assertNotIn(word, said)

    def test_DSN_12_DSN_13_ret_full_returns_everything_and_8_bit_goes_as_8_bit(self):
        for size in (10, 200_000):
            body = "".join(f"line {i} gr\u00fc\u00dfe\r\n" for i in range(size // 15 + 1))
            queue_id = self.mail("user@gone.test", body=body, options=["RET=FULL", "BODY=8BITMIME"])
            mail = self.notice(queue_id)
            self.assertIn("BODY=8BITMIME", mail.parameters)
            message, _, _, _, returned = parse(mail)
            self.assertEqual(returned.get_content_type(), "message/rfc822")
            self.assertEqual((message["Content-Transfer-Encoding"], returned["Content-Transfer-Encoding"]), ("8bit", "8bit"))
            self.assertIn(body.encode(), mail.data)

    def test_DSN_14_a_utf8_recipient_is_named_over_a_way_back_with_SMTPUTF8_and_without(self):
        subject = "Grüße".encode()
        for sender, host in (("ann@utf8.test", "mx.utf8.test"), ("ännchen@utf8.test", "mx.utf8.test"), (SENDER, "back.exchange.test")):
            with self.subTest(sender=sender):
                text = b"From: " + sender.encode() + b"\r\nSubject: " + subject + b"\r\nMessage-ID: <o@x.test>\r\n\r\nbody\r\n"
                with smtplib.SMTP("127.0.0.1", self.relay.port, local_hostname="client.test", timeout=30) as client:
                    client.ehlo()
                    client.command_encoding = "utf-8"
                    for line in (f"MAIL FROM:<{sender}> BODY=8BITMIME SMTPUTF8 RET=FULL", "RCPT TO:<δ@utf8.test>"):
                        self.assertEqual(client.docmd(line)[0], 250)
                    queue_id = client.data(text)[1].decode().split()[-1]
                mail = self.notice_at(host, queue_id)
                message = email.message_from_bytes(mail.data, policy=email.policy.default)
                self.assertEqual([part.defects for part in message.walk()], [[] for _ in message.walk()], mail.data)
                first, second, third = message.iter_parts()
                self.assertIn("<δ@utf8.test>", first.get_content())
                self.assertEqual(third.get_content_type(), "message/global" if host == "mx.utf8.test" else "message/global-headers")
                if host == "mx.utf8.test":
                    self.assertLessEqual({"BODY=8BITMIME", "SMTPUTF8"}, set(mail.parameters))
                    self.assertEqual(second.get_content_type(), "message/global-delivery-status")
                    self.assertIn("\r\nFinal-Recipient: utf-8; δ@utf8.test\r\n".encode(), mail.data)
                    self.assertIn(text, mail.data)
                else:
                    self.assertEqual(mail.parameters, [])
                    self.assertTrue(mail.data.isascii(), mail.data)
                    _, _, _, recipients, _ = parse(mail)
                    named = recipients[0]["Final-Recipient"]
                    self.assertEqual(re.sub(r"\\x\{(\w+)\}", lambda m: chr(int(m[1], 16)), named), "utf-8; δ@utf8.test")
                    self.assertIn(subject, quopri.decodestring(mail.data))

    def notice_at(self, host, queue_id, timeout=20):
        end = time.monotonic() + timeout
        while not (found := self.notices(queue_id, host)) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(len(found), 1, self.relay.tail())
        return found[0]

    def test_DSN_15_one_notice_for_several_and_nothing_of_the_others(self):
        with smtplib.SMTP("127.0.0.1", self.relay.port, local_hostname="client.test") as client:
            client.ehlo()
            client.mail(SENDER)
            client.rcpt("gone@mixed.test")
            client.rcpt("quiet@mixed.test", ["NOTIFY=NEVER"])
            client.rcpt("gone2@mixed.test")
            client.rcpt("good@mixed.test")
            queue_id = client.data(b"Subject: x\r\n\r\nx\r\n")[1].decode().rsplit(" ", 1)[1]
        mail = self.notice(queue_id)
        _, _, _, groups, _ = parse(mail)
        self.assertEqual([group["Final-Recipient"] for group in groups], ["rfc822; gone@mixed.test", "rfc822; gone2@mixed.test"])
        self.assertNotIn(b"quiet@", mail.data)
        self.assertNotIn(b"good@", mail.data)

    def test_DSN_16_a_notice_that_cannot_be_delivered_is_dropped_with_an_alert(self):
        queue_id = self.relay.send("user@gone.test", sender="bob@refuses.test")
        self.relay.wait_log(10, event="bounced", id=queue_id)
        line = self.relay.wait_log(10, event="notice-dropped", to="bob@refuses.test")
        self.assertEqual((line["level"], line["from"]), ("warn", "<>"))

    def test_DSN_16_an_undeliverable_notice_is_kept_for_less_time(self):
        queue_id = self.relay.send("user@gone.test", sender="carl@later.test")
        began = time.monotonic()
        self.relay.wait_log(10, event="bounced", id=queue_id)
        self.relay.wait_log(15, event="expired", to="carl@later.test")
        self.assertLess(time.monotonic() - began, 8)
        self.assertTrue(self.relay.wait_log(5, event="notice-dropped", to="carl@later.test"))

    def test_DSN_01_DSN_16_mail_with_the_empty_sender_is_never_answered(self):
        with smtplib.SMTP("127.0.0.1", self.relay.port, local_hostname="client.test") as client:
            client.ehlo()
            client.mail("<>")
            client.rcpt("user@gone.test", ["NOTIFY=FAILURE"])
            queue_id = client.data(b"Subject: x\r\n\r\nx\r\n")[1].decode().rsplit(" ", 1)[1]
        self.relay.wait_log(10, event="notice-dropped", id=queue_id)

    def test_DSN_07_a_reply_that_injects_makes_no_field(self):
        mail = self.notice(self.mail("inject@gone.test"))
        message, _, _, (group,), _ = parse(mail)
        self.assertNotIn("Bcc", message)
        self.assertNotIn("Bcc", group)
        self.assertNotIn(b"\x1b", mail.data)
        self.assertNotIn(b"\x07", mail.data)


class Killed(Case):
    """kill -9 while bounces are made: each message ends in exactly one notice, whatever the moment."""

    def test_DSN_01_none_is_lost_none_bounced_twice(self):
        rounds, each = 6, 12
        ids, good = [], []
        with Relay(self.world, Stage.build, SETTINGS, "killed", 2526) as relay:
            for round_number in range(rounds):
                for n in range(each):
                    ids.append(relay.send("user@gone.test", sender=f"k{round_number}.{n}@exchange.test"))
                    good.append(relay.send("user@plain.test", sender=f"g{round_number}.{n}@exchange.test"))
                time.sleep(random.random() * 0.3)
                relay.kill9()
                relay.start()
            end = time.monotonic() + 60
            while time.monotonic() < end and relay.tool("queue", "stats")[1]["total"]:
                time.sleep(0.2)
        notices = {}
        for mail in self.world.receiver("back.exchange.test").mails():
            message = email.message_from_bytes(mail.data)
            for part in message.walk():
                about = part.get("X-Hoplock-Queue-ID")
                if about in ids + good:
                    notices.setdefault(about, set()).add(message["Message-ID"])
        self.assertEqual({queue_id: len(found) for queue_id, found in notices.items()}, {queue_id: 1 for queue_id in ids})
        arrived = {mail.sender for mail in self.world.receiver("mx.plain.test").mails()}
        self.assertEqual(len([sender for sender in arrived if sender.startswith("g")]), len(good))
