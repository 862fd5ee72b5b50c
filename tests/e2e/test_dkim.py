# SPDX-License-Identifier: Apache-2.0
"""Ordinary mail is signed on its way out, over what goes on the wire; Python's dkim package judges what arrived."""

import os
import re
import smtplib
import subprocess

from case import Case, Domain, Host, Stage
from world.relay import Relay
from world.signing import Judge, SigningKey

RSA = SigningKey("signed.test", "rsa1")
NEXT = SigningKey("signed.test", "rsa2")
SOON = SigningKey("signed.test", "rsa3")
ED = SigningKey("signed.test", "ed1", "ed25519")
WEAK = SigningKey("signed.test", "weak", bits=1024)
UPSTREAM = SigningKey("signed.test", "upstream")
UNPUBLISHED = SigningKey("other.test", "gone")
JUDGE = Judge(RSA, NEXT, ED, UPSTREAM)

PLAIN = ("SIZE 52428800", "ENHANCEDSTATUSCODES")
DOMAINS = [
    Domain("signed.test", "the DKIM records of three keys", mx=(), records=(RSA.zone_line(), NEXT.zone_line(), ED.zone_line()), send=False),
    Domain("other.test", "no record for its key", mx=(), send=False),
    Domain("full.test", "a server with everything", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("bare.test", "a server with neither TLS, PIPELINING nor 8BITMIME", hosts=(Host(smtp={"starttls": "none", "extensions": PLAIN}),),
           send=False),
    Domain("chunks.test", "a server that takes BDAT and binary content", hosts=(Host(tlsa=("3 1 1",), smtp={"extensions": (
        "PIPELINING", "SIZE 52428800", "8BITMIME", "BINARYMIME", "CHUNKING", "ENHANCEDSTATUSCODES")}),), send=False),
    Domain("nosize.test", "a server without SIZE", hosts=(Host(smtp={"extensions": ("PIPELINING", "8BITMIME")}),), send=False),
]
EVERYWHERE = ("full.test", "bare.test", "nosize.test")


def SETTINGS(world):  # pylint: disable=invalid-name
    return {"dkim": [key.settings(world) for key in (RSA, ED, UNPUBLISHED)],
            "listeners": [{"address": "127.0.0.1:2525"}, {"address": "127.0.0.1:2526", "bare_newline": "normalize"}]}


HEADER = b"From: Ann <ann@signed.test>\r\nTo: bob@full.test\r\nSubject: a  folded\r\n subject \t\r\nDate: Sat, 1 Mar 2025 00:00:00 +0000\r\n"
MESSAGES = {
    "plain": HEADER + b"\r\nhello\r\n",
    "empty body": HEADER + b"\r\n",
    "header only": HEADER,
    "blank lines at the end": HEADER + b"\r\nhello\r\n\r\n \t\r\n\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n.leading\r\n",
    "blanks": HEADER + b"\r\na  b \t\r\n\t c\r\n",
    "long lines": HEADER + b"\r\n" + b"x " * 2000 + b"\r\n",
    "mime": HEADER + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
    "odd fields": b"from:  =?utf-8?q?Ann?=\r\n\t<ann@signed.test>\r\nX-Empty:\r\nSUBJECT:x\r\nTo: a@b.test,\r\n c@d.test\r\nCc: e@f.test\r\n\r\nx\r\n",
    "two To fields": b"To: a@b.test\r\nFrom: ann@SIGNED.test\r\nTo: c@d.test\r\n\r\nx\r\n",
}


def submit(recipients, message, port=2525, options=()):
    """The octets as they are; the queue id."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60) as client:
        client.ehlo()
        client.mail("ann@signed.test", options)
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        client.putcmd("data")
        assert client.getreply()[0] == 354
        stuffed = re.sub(rb"(?m)^\.", b"..", message)
        client.send(stuffed + b".\r\n")
        code, reply = client.getreply()
        assert code == 250, reply
        return reply.split()[-1].decode()


class Signing(Case):
    def arrivals(self, message, domains=EVERYWHERE, **how):
        """What arrived at each of these domains' hosts."""
        person = re.sub(r"\W", "", self.id().rsplit(".", 1)[-1])[-40:] + str(len(self.relay.lines))
        recipients = [f"{person}@{domain}" for domain in domains]
        submit(recipients, message, **how)
        found = []
        for recipient, domain in zip(recipients, domains):
            line = self.relay.wait_log(60, event=("delivered", "deferred", "bounced"), to=recipient)
            self.assertEqual(line["event"], "delivered", line)
            found.append(self.arrived(f"mx.{domain}", recipient)[0].data)
        return found

    def test_DKIM_01_DKIM_02_DKIM_04_DKIM_07_what_arrives_verifies_by_both_keys_on_every_path(self):
        for name, message in MESSAGES.items():
            for arrived in self.arrivals(message):
                with self.subTest(name):
                    self.assertEqual(JUDGE.verdicts(arrived), [("rsa1", True), ("ed1", True)], arrived[:2000])
                    self.assertTrue(arrived.endswith(message), "the message itself is untouched")

    def test_DKIM_07_eight_bits_are_signed_as_they_go(self):
        message = HEADER + "Content-Type: text/plain; charset=utf-8\r\n\r\nžluťoučký kůň\r\n".encode()
        for arrived in self.arrivals(message, ("full.test", "nosize.test"), options=["BODY=8BITMIME"]):
            self.assertEqual(JUDGE.verdicts(arrived), [("rsa1", True), ("ed1", True)])

    def test_DKIM_07_what_goes_by_BDAT_verifies_in_one_chunk_and_in_many(self):
        binary = bytes(octet for octet in range(256) if octet not in b"\r\n")
        head = HEADER + b"MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        for count in (1, 3 * 2**20 // len(binary)):
            message = head + b"\r\n.\r\n..\r\n" + binary * count + b"\r\n"
            recipient = f"bdat{count}@chunks.test"
            with smtplib.SMTP("127.0.0.1", 2525, local_hostname="client.test", timeout=60) as client:
                client.ehlo()
                self.assertEqual(client.mail("ann@signed.test", ["BODY=BINARYMIME"])[0], 250)
                self.assertEqual(client.rcpt(recipient)[0], 250)
                client.send(b"BDAT %d LAST\r\n" % len(message) + message)
                self.assertEqual(client.getreply()[0], 250)
            self.assertEqual(self.relay.outcome(recipient)["event"], "delivered")
            mail, = self.arrived("mx.chunks.test", recipient)
            self.assertIn("BODY=BINARYMIME", mail.parameters)
            self.assertTrue(mail.data.endswith(message))
            self.assertEqual(JUDGE.verdicts(mail.data), [("rsa1", True), ("ed1", True)])
        verbs = [verb for session in self.sessions("mx.chunks.test") for verb in session.verbs()]
        self.assertNotIn("DATA", verbs)
        self.assertGreater(verbs.count("BDAT"), 3)

    def test_DKIM_07_a_large_message_is_signed_while_it_streams(self):
        line = b"all work and no play makes a dull message \t \r\n"
        message = HEADER + b"\r\n" + line * (5 * 2**20 // len(line))
        before = self.relay.peak_memory()
        for arrived in self.arrivals(message, ("full.test", "bare.test")):
            self.assertEqual(JUDGE.verdicts(arrived), [("rsa1", True), ("ed1", True)])
            self.assertTrue(arrived.endswith(message))
        if not Stage.is_sanitized():
            self.assertLess(self.relay.peak_memory() - before, 20 * 2**20)

    def test_DKIM_07_SUB_07_lone_newlines_are_repaired_before_the_signature(self):
        message = HEADER + b"\r\none\ntwo\rthree\r\n"
        arrived, = self.arrivals(message, ("full.test",), port=2526)
        self.assertTrue(arrived.endswith(b"\r\none\r\ntwo\r\nthree\r\n"))
        self.assertEqual(JUDGE.verdicts(arrived), [("rsa1", True), ("ed1", True)])

    def test_DKIM_08_mail_of_other_domains_and_of_nobody_is_left_unsigned(self):
        for name, header in {
            "another domain": b"From: ann@elsewhere.test\r\n",
            "a domain below": b"From: ann@sub.signed.test\r\n",
            "two From fields": b"From: ann@signed.test\r\nFrom: ann@signed.test\r\n",
            "two domains": b"From: ann@signed.test, bob@other.test\r\nSender: ann@signed.test\r\n",
            "no From": b"To: bob@full.test\r\n",
        }.items():
            with self.subTest(name):
                message = header + b"Subject: x\r\n\r\nx\r\n"
                arrived, = self.arrivals(message, ("full.test",))
                self.assertNotIn(b"DKIM-Signature", arrived)
                self.assertTrue(arrived.endswith(message))

    def test_DKIM_08_a_signature_that_is_there_already_stays_and_verifies(self):
        import dkim
        plain = HEADER + b"\r\nhello\r\n"
        signature = dkim.sign(plain, b"upstream", b"signed.test", UPSTREAM.pem().encode(), canonicalize=(b"relaxed", b"relaxed"))
        message = signature.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + plain
        arrived, = self.arrivals(message, ("full.test",))
        self.assertEqual(JUDGE.verdicts(arrived), [("rsa1", True), ("ed1", True), ("upstream", True)])

    def test_DKIM_03_DKIM_05_DKIM_09_the_field_names_what_nobody_may_add_and_no_length(self):
        arrived, = self.arrivals(MESSAGES["plain"], ("full.test",))
        for field in arrived.split(b"DKIM-Signature:")[1:]:
            text = re.split(rb"\r\n(?![ \t])", field)[0]
            tags = dict(part.strip().split(b"=", 1) for part in text.replace(b"\r\n", b"").split(b";") if part.strip())
            self.assertEqual(set(tags), {b"v", b"a", b"c", b"d", b"s", b"t", b"h", b"bh", b"b"})
            names = [name.strip().lower() for name in tags[b"h"].split(b":")]
            self.assertEqual([names.count(name) for name in (b"from", b"subject", b"reply-to", b"received")], [2, 2, 1, 0])
            self.assertTrue(all(len(line) <= 78 for line in (b"DKIM-Signature:" + text).split(b"\r\n")))

    def test_DKIM_06_the_start_tells_of_a_key_that_is_not_published(self):
        line = self.relay.wait_log(20, event="dkim-record", selector="gone")
        self.assertEqual((line["level"], line["domain"]), ("warn", "other.test"))
        self.assertIn(UNPUBLISHED.record().split("p=")[1], line["error"])
        self.assertEqual(self.relay.log(event="dkim-record", selector=("rsa1", "ed1")), [])


class Keys(Case):
    def relay_with(self, name, port, *keys):
        return Relay(self.world, Stage.build, {"dkim": [key.settings(self.world) for key in keys]}, name, port)

    def test_DKIM_01_a_weak_key_stops_the_start_with_its_place(self):
        relay = self.relay_with("weak", 2620, RSA, WEAK)
        for how in (["--check"], []):
            done = subprocess.run([os.path.join(Stage.build, "hoplockd"), "--config", relay.config, *how], capture_output=True, timeout=30,
                                  check=False)
            self.assertEqual(done.returncode, 78)
            self.assertRegex(done.stderr.decode(), r"hoplock\.yaml:\d+:\d+: .*1024 bits.*2048")

    def signed_by(self, relay):
        person = f"by{relay.port}-{len(relay.lines)}@full.test"
        relay.send(person, sender="ann@signed.test")
        relay.wait_log(event="delivered", to=person)
        return [selector for selector, good in JUDGE.verdicts(self.arrived("mx.full.test", person)[0].data) if good is True]

    def states(self, relay, *command):
        """By selector; what `until` is has the form of a time, where it is."""
        found = relay.tool("dkim", *command)[1]
        for one in found:
            self.assertEqual(one["until"] is not None, one["state"] == "retires", one)
        return {one["selector"]: one["state"] for one in found}

    def test_DKIM_06_a_new_key_signs_once_its_record_is_seen_and_the_old_record_must_stay(self):
        with self.relay_with("rotation", 2622, RSA, ED, SOON) as relay:
            relay.wait_log(20, event="dkim-record", selector="rsa3", action="waiting")
            self.assertEqual(self.signed_by(relay), ["rsa1", "ed1"])
            self.assertEqual(self.states(relay, "list"), {"rsa1": "signs", "ed1": "signs", "rsa3": "waits"})
            relay.settings["dkim"] = [key.settings(self.world) for key in (RSA, ED, NEXT)]
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "true")
            retiring = relay.wait_log(20, event="dkim-record", selector="rsa1", action="retiring")
            self.assertRegex(retiring["until"], r"^\d{4}-\d\d-\d\dT")
            self.assertEqual(self.signed_by(relay), ["ed1", "rsa2"])
            self.assertEqual(self.states(relay, "list"), {"rsa1": "retires", "ed1": "signs", "rsa2": "signs"})
            self.assertEqual(self.states(relay, "check"), {"rsa1": "retires", "ed1": "signs", "rsa2": "signs"})
            relay.settings["dkim"] = [key.settings(self.world) for key in (ED, NEXT)]
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "true")
            self.assertEqual(self.states(relay, "list"), {"rsa1": "retires", "ed1": "signs", "rsa2": "signs"})
            self.assertEqual(self.signed_by(relay), ["ed1", "rsa2"])

    def test_a_reload_takes_new_keys_and_refuses_bad_ones(self):
        with self.relay_with("reload", 2621, RSA) as relay:
            self.assertEqual(self.signed_by(relay), ["rsa1"])
            relay.settings["dkim"] = [key.settings(self.world) for key in (RSA, WEAK)]
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "false")
            self.assertEqual(self.signed_by(relay), ["rsa1"])
            relay.settings["dkim"] = [key.settings(self.world) for key in (ED,)]
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "true")
            self.assertEqual(self.signed_by(relay), ["ed1"])
            relay.settings["dkim"] = []
            relay.write_config()
            relay.reload()
            self.assertEqual(self.signed_by(relay), [])
