# SPDX-License-Identifier: Apache-2.0
"""What leaves for peers with and without 8BITMIME, BINARYMIME, CHUNKING and SMTPUTF8."""

import email
import email.policy

from case import Case, Domain, Host
from test_submission import QUEUED, Plain

ALL = ("PIPELINING", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8", "SIZE 52428800", "ENHANCEDSTATUSCODES")
SEVEN = ("PIPELINING", "ENHANCEDSTATUSCODES")


def domain(name, *extensions):
    hosts = tuple(Host(f"mx{i}", smtp={"starttls": "none", "extensions": each}) for i, each in enumerate(extensions))
    return Domain(name, "a peer", mx=tuple(f"10 {host.name}" for host in hosts), hosts=hosts, send=False)


# Every combination of what decides about the form; SMTPUTF8 comes with 8BITMIME (RFC 6531 section 3.1).
PEERS = [tuple(word for word in ("CHUNKING", "8BITMIME", "BINARYMIME", "SMTPUTF8") if word in kinds)
         for chunking in ((), ("CHUNKING",)) for eight in ((), ("8BITMIME",)) for binary in ((), ("BINARYMIME",))
         for utf8 in ((), ("SMTPUTF8",)) if eight or not utf8 for kinds in ({*chunking, *eight, *binary, *utf8},)]
DOMAINS = [domain(f"peer{number}.test", (*SEVEN, *offered)) for number, offered in enumerate(PEERS)]
DOMAINS += [domain("full.test", ALL), domain("seven.test", SEVEN), domain("eight.test", (*SEVEN, "8BITMIME")), domain("two.test", SEVEN, ALL)]
SETTINGS = {"delivery": {"command_timeout": "30s", "data_timeout": "60s"}}
TEXT = "Grüße, Ärger\r\n.Öl\r\n" + "ü" * 600 + "\r\n"
MIME = "From: a@client.test\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
BINARY = bytes(range(256)) * 40 + b"\r\n.\r\nlone\nlone\rend"


class Conversion(Case):
    def submit(self, recipient, content, options):
        with Plain() as client:
            self.assertTrue(client.ask(f"MAIL FROM:<a@client.test>{options}").startswith(b"250 "))
            self.assertTrue(client.ask(f"RCPT TO:<{recipient}>".encode()).startswith(b"250 "))
            half = len(content) // 2
            client.socket.sendall(b"BDAT %d\r\n" % half + content[:half] + b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
            client.reply()
            self.assertRegex(client.reply(), QUEUED)

    def arrival(self, recipient, content, options):
        self.submit(recipient, content, options)
        self.relay.wait_log(20, event="delivered", to=recipient)
        return next(mail for host in self.world.receivers for mail in self.world.receiver(host).mails() if recipient in mail.recipients)

    def test_SUB_17_SUB_18_MX_18_8_bit_text_stays_as_it_is_or_becomes_valid_7_bit_MIME(self):
        content = (MIME + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + TEXT).encode()
        for name in ("full", "eight"):
            mail = self.arrival(f"eight@{name}.test", content, " BODY=8BITMIME")
            self.assertTrue(mail.data.endswith(content))
            self.assertIn("BODY=8BITMIME", mail.parameters)
        mail = self.arrival("eight@seven.test", content, " BODY=8BITMIME")
        self.assertTrue(mail.data.isascii(), mail.data)
        self.assertEqual(mail.parameters, [])
        read = email.message_from_bytes(mail.data, policy=email.policy.SMTP)
        self.assertEqual(read["content-transfer-encoding"], "quoted-printable")
        self.assertEqual(read.get_payload(decode=True).decode(), TEXT)

    def test_SUB_09_SUB_20_binary_content_leaves_by_BDAT_or_encoded(self):
        content = (MIME + "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n").encode() + BINARY
        mail = self.arrival("binary@full.test", content, " BODY=BINARYMIME")
        self.assertTrue(mail.data.endswith(content))
        self.assertIn("BODY=BINARYMIME", mail.parameters)
        for name in ("seven", "eight"):
            mail = self.arrival(f"binary@{name}.test", content, " BODY=BINARYMIME")
            self.assertTrue(mail.data.isascii())
            read = email.message_from_bytes(mail.data, policy=email.policy.SMTP)
            self.assertEqual(read["content-transfer-encoding"], "base64")
            self.assertEqual(read.get_payload(decode=True), BINARY)

    def test_SUB_08_SUB_20_a_lone_newline_in_a_header_never_leaves_by_DATA_neither_in_the_message_nor_in_its_notice(self):
        content = MIME.encode() + b"X-A: one\n.\r\nX-B: a\rb\r\n\r\nx\r\n"
        self.assertTrue(self.arrival("smuggle@full.test", content, " BODY=BINARYMIME").data.endswith(content))
        with Plain() as client:
            client.ask("MAIL FROM:<back@eight.test> BODY=BINARYMIME")
            client.ask("RCPT TO:<smuggle@seven.test>")
            self.assertRegex(client.ask(b"BDAT %d LAST\r\n" % len(content) + content[:-2]), QUEUED)
        line = self.relay.wait_log(20, event="bounced", to="smuggle@seven.test")
        self.assertEqual(line["dsn"], "5.6.3", line)
        self.relay.wait_log(20, event="delivered", to="back@eight.test")
        notice, = self.arrived("mx0.eight.test", "back@eight.test")
        self.assertNotRegex(notice.data, rb"(?<!\r)\n|\r(?!\n)")
        self.assertIn(b"X-A: one=0A.", notice.data)

    def test_SUB_18_SUB_20_MX_18_five_mebibytes_of_both_kinds_at_every_kind_of_peer(self):
        big = BINARY * (5 * 2**20 // len(BINARY))
        text = TEXT * (5 * 2**20 // len(TEXT.encode()))
        eight = (MIME + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text).encode()
        head = (MIME + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\n" + TEXT + "--b\r\nContent-Type: application/x\r\n"
                "Content-Transfer-Encoding: binary\r\n\r\n").encode()
        both = head + big + b"\r\n--b--\r\n"
        rows = []
        for number, offered in enumerate(PEERS):
            name = f"peer{number}.test"
            mail = self.arrival(f"eight@{name}", eight, " BODY=8BITMIME")
            if "8BITMIME" in offered:
                self.assertTrue(mail.data.endswith(eight), offered)
                self.assertIn("BODY=8BITMIME", mail.parameters)
            else:
                self.assertTrue(mail.data.isascii(), offered)
                self.assertEqual(email.message_from_bytes(mail.data, policy=email.policy.SMTP).get_payload(decode=True).decode(), text)
            as_it_is = mail.data.endswith(eight)
            mail = self.arrival(f"both@{name}", both, " BODY=BINARYMIME")
            binary = {"CHUNKING", "BINARYMIME"} <= set(offered)
            self.assertEqual(mail.data.endswith(both), binary, offered)
            self.assertEqual("BODY=BINARYMIME" in mail.parameters, binary, offered)
            if not binary:
                self.assertTrue(mail.data.isascii())
                first, second = email.message_from_bytes(mail.data, policy=email.policy.SMTP).iter_parts()
                self.assertEqual(first.get_payload(decode=True).decode() + "\r\n", TEXT)
                self.assertEqual(second.get_payload(decode=True), big)
            utf8 = (f"From: a@client.test\r\nSubject: Grüße\r\nMIME-Version: 1.0\r\n\r\n{text}").encode()
            self.submit(f"utf8@{name}", utf8, " BODY=8BITMIME SMTPUTF8")
            line = self.relay.outcome(f"utf8@{name}")
            if {"SMTPUTF8", "8BITMIME"} <= set(offered):
                self.assertEqual(line["event"], "delivered", line)
                mail, = self.arrived(f"mx0.{name}", f"utf8@{name}")
                self.assertTrue(mail.data.endswith(utf8))
            else:
                self.assertEqual((line["event"], line["dsn"]), ("bounced", "5.6.7" if "SMTPUTF8" not in offered else "5.6.3"))
            rows.append((", ".join(offered) or "none", "as it was" if as_it_is else "quoted-printable",
                         "as it was, by BDAT" if binary else "base64", "as it was" if line["event"] == "delivered" else line["dsn"]))
        print()
        for row in [("the peer offers", "8-bit text", "binary", "UTF-8 header"), *rows]:
            print(f"  {row[0]:44} {row[1]:17} {row[2]:19} {row[3]}")

    def test_MX_18_what_is_signed_by_others_is_not_converted_but_bounced_with_5_6_3_and_another_host_is_tried_first(self):
        content = (MIME + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + TEXT + "--b--\r\n").encode()
        self.submit("signed@seven.test", content, " BODY=8BITMIME")
        line = self.relay.wait_log(20, event="bounced", to="signed@seven.test")
        self.assertEqual(line["dsn"], "5.6.3", line)
        self.assertNotIn("reason", line)
        self.assertIn("signed", line["reply"])
        self.assertTrue(self.arrival("signed@two.test", content, " BODY=8BITMIME").data.endswith(content))

    def test_MX_18_SUB_20_signed_mail_that_needs_no_conversion_goes_anywhere_whatever_BODY_said(self):
        signed = (MIME + "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b--\r\n").encode()
        dkim = b"DKIM-Signature: v=1; d=other.test; b=AAAA\r\n" + MIME.encode() + b"\r\nplain\r\n"
        for number, content in enumerate((signed, dkim)):
            for body in ("8BITMIME", "BINARYMIME"):
                for name in ("seven", "eight"):
                    mail = self.arrival(f"needs-none-{number}-{body.lower()}@{name}.test", content, f" BODY={body}")
                    self.assertTrue(mail.data.endswith(content), mail.data)
        eight = b"DKIM-Signature: v=1; d=other.test; b=AAAA\r\n" + MIME.encode() + "\r\nÄrger\r\n".encode()
        mail = self.arrival("signed-lines@eight.test", eight, " BODY=BINARYMIME")
        self.assertTrue(mail.data.endswith(eight), mail.data)
        self.assertIn("BODY=8BITMIME", mail.parameters)
        for number, content in enumerate((eight[:-2] + b"\n\r\n", eight[:-2] + b"\0\r\n", eight[:-2] + b"x" * 999 + b"\r\n")):
            self.submit(f"signed-binary-{number}@eight.test", content, " BODY=BINARYMIME")
            self.assertEqual(self.relay.outcome(f"signed-binary-{number}@eight.test")["dsn"], "5.6.3")

    def test_MX_19_SUB_23_SMTPUTF8_only_where_it_is_needed(self):
        plain = (MIME + "\r\nx\r\n").encode()
        self.assertNotIn("SMTPUTF8", self.arrival("ascii@seven.test", plain, " SMTPUTF8").parameters)
        self.assertNotIn("SMTPUTF8", self.arrival("ascii@full.test", plain, " SMTPUTF8").parameters)
        utf8 = "From: a@client.test\r\nSubject: Grüße\r\n\r\nx\r\n".encode()
        self.assertIn("SMTPUTF8", self.arrival("header@full.test", utf8, " SMTPUTF8").parameters)
        self.assertIn("SMTPUTF8", self.arrival("δ@full.test", plain, " SMTPUTF8").parameters)
        self.assertIn("SMTPUTF8", self.arrival("δ@two.test", plain, " SMTPUTF8").parameters)
        for recipient, content in (("header@seven.test", utf8), ("δ@seven.test", plain)):
            self.submit(recipient, content, " SMTPUTF8")
            line = self.relay.wait_log(20, event="bounced", to=recipient)
            self.assertEqual(line["dsn"], "5.6.7", line)
            self.assertNotIn("reason", line)
