# SPDX-License-Identifier: Apache-2.0
"""Who may relay, and content by BDAT: swaks, smtplib and bare sockets against the real daemon."""

import shutil
import smtplib
import socket
import ssl
import subprocess
import unittest

from case import Case, Domain, Host
from test_submission import QUEUED, Plain, swaks

DOMAINS = [Domain("good.test", "DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False)]
LOGIN, MUTUAL, BOTH_IMPLICIT, ALLOWED, SIX = 2525, 2526, 2527, 2528, 2529
PASSWORD = "correct horse"
NOWHERE = ["192.0.2.0/24"]  # nobody of this world


def settings(world):
    users = world.path("users")
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, check=True, text=True).stdout.strip()
    with open(users, "w", encoding="utf-8") as file:
        file.write(f"# exchange logs in\nexchange:{hashed}\n")
    first = world.authority.leaf("relay.test")
    shutil.copy(first.path, world.path("door.pem"))
    pair = {"certificate": world.path("door.pem"), "key": world.path("door.pem")}
    login = {"allow": NOWHERE, "auth": True, "users_file": users}
    mutual = {"allow": NOWHERE, "client_ca": world.authority.ca_file, "client_names": ["exch01.contoso.test", "*.edge.test"]}
    return {"postmaster": "admin@good.test", "listeners": [
        {"address": f"127.0.0.1:{LOGIN}", "tls": "required"} | pair | login,
        {"address": f"127.0.0.1:{MUTUAL}", "tls": "starttls"} | pair | mutual,
        {"address": f"127.0.0.1:{BOTH_IMPLICIT}", "tls": "implicit"} | pair | login | mutual,
        {"address": f"127.0.0.1:{ALLOWED}", "allow": ["127.0.0.1/32"]},
        {"address": f"[::1]:{SIX}", "tls": "starttls", "allow": ["::1"], "senders": ["client.test"]} | pair,
    ]}


SETTINGS = settings


def trusting(certificate=None):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate.path)
    return context


class Door(Case):
    def client(self, port, certificate=None, sender="a@client.test", recipient="x@good.test", login=None):
        """The codes of MAIL, RCPT and, when both are good, of the whole message."""
        context = trusting(certificate)
        implicit = port == BOTH_IMPLICIT
        made = smtplib.SMTP_SSL("127.0.0.1", port, timeout=20, context=context) if implicit else smtplib.SMTP("127.0.0.1", port, timeout=20)
        with made as client:
            if not implicit:
                client.starttls(context=context)
            if login:
                client.login(*login)
            client.ehlo_or_helo_if_needed()
            codes = [client.mail(sender)[0], client.rcpt(recipient)[0]]
            if codes == [250, 250]:
                codes.append(client.data(b"Subject: x\r\n\r\nx\r\n")[0])
        return codes

    @unittest.skipUnless(shutil.which("swaks"), "swaks is not installed")
    def test_SUB_01_SUB_24_swaks_logs_in_with_PLAIN_and_LOGIN_inside_TLS_only(self):
        for mechanism in ("PLAIN", "LOGIN"):
            login = ("--auth", mechanism, "--auth-user", "exchange", "--auth-password", PASSWORD)
            for how in (("--server", f"127.0.0.1:{LOGIN}", "--tls"), ("--server", f"127.0.0.1:{BOTH_IMPLICIT}", "--tlsc")):
                code, said = swaks(*how, *login)
                self.assertEqual(code, 0, said)
                self.assertIn("235 2.7.0", said)
            code, said = swaks("--server", f"127.0.0.1:{LOGIN}", *login)
            self.assertNotEqual(code, 0, said)
            self.assertNotIn("235 ", said)
        self.relay.wait_log(event="accepted", user="exchange")

    def test_SUB_25_smtplib_is_told_535_and_the_right_password_helps(self):
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
            self.client(LOGIN, login=("exchange", "wrong"))
        self.assertEqual(refused.exception.smtp_code, 535)
        self.assertEqual(self.client(LOGIN, login=("exchange", PASSWORD)), [250, 250, 250])
        self.assertFalse([line for line in self.relay.raw if PASSWORD in line or "wrong" in line], "a password is in the log")

    def test_SUB_01_a_certificate_of_client_names_may_relay_and_no_other(self):
        leaf = self.world.authority.leaf
        for port in (MUTUAL, BOTH_IMPLICIT):
            self.assertEqual(self.client(port, leaf("exch01.contoso.test")), [250, 250, 250])
            self.assertEqual(self.client(port, leaf("mail.edge.test")), [250, 250, 250])
            self.assertEqual(self.client(port, leaf("a.mail.edge.test")), [250, 454])  # one label in place of the star
            self.assertEqual(self.client(port, leaf("exch02.contoso.test")), [250, 454])
            self.assertEqual(self.client(port, leaf("exch01.contoso.test", issuer=self.world.authority.stranger)), [250, 454])
            self.assertEqual(self.client(port, leaf("exch01.contoso.test", expired=True)), [250, 454])
            self.assertEqual(self.client(port), [250, 550])

    def test_SUB_01_no_listener_is_an_open_relay(self):
        tricks = ("x@good.test", '"x@good.test"@relay.test', "x%good.test@relay.test", "@relay.test:x@good.test", "good.test!x@relay.test",
                  "x@[127.0.0.1]", "x@good.test@relay.test")
        for port in (LOGIN, MUTUAL, BOTH_IMPLICIT):
            for sender in ("a@client.test", "", "postmaster@relay.test", "admin@good.test"):
                for recipient in tricks:
                    self.assertGreaterEqual(self.client(port, sender=sender, recipient=recipient)[1], 500, (port, sender, recipient))
        with Plain(ALLOWED, greet=False) as client:  # from an address that may
            client.reply()
        stranger = socket.create_connection(("127.0.0.1", ALLOWED), timeout=20, source_address=("127.0.0.2", 0))
        with stranger, stranger.makefile("rb") as lines:
            self.assertEqual(lines.readline()[:3], b"220")  # who talks earlier is cut
            stranger.sendall(b"HELO x\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<x@good.test>\r\nQUIT\r\n")
            self.assertEqual([line[:3] for line in lines][:3], [b"250", b"250", b"550"])

    def test_senders_and_rights_are_each_listeners_own_over_IPv6_too(self):
        with smtplib.SMTP("::1", SIX, timeout=20) as client:
            client.ehlo()
            self.assertFalse(client.has_extn("auth"))
            self.assertEqual(client.mail("a@elsewhere.test")[0], 550)
            self.assertEqual(client.sendmail("a@client.test", ["six@good.test"], b"Subject: x\r\n\r\nx\r\n"), {})
        self.relay.wait_log(event="delivered", to="six@good.test")

    def test_certificates_and_users_are_read_again_on_SIGHUP_and_sessions_go_on(self):
        def shown(port):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, trusting().wrap_socket(plain) as inside:
                return inside.getpeercert(binary_form=True)
        before = shown(BOTH_IMPLICIT)
        with smtplib.SMTP("127.0.0.1", LOGIN, timeout=20) as old:
            old.starttls(context=trusting())
            old.login("exchange", PASSWORD)
            shutil.copy(self.world.authority.leaf("relay.test").path, self.world.path("door.pem"))
            self.assertEqual(self.relay.reload()["ok"], "true")
            self.assertEqual(old.sock.getpeercert(binary_form=True), before)
            self.assertEqual(old.sendmail("a@client.test", ["old@good.test"], b"Subject: x\r\n\r\nx\r\n"), {})
        self.assertNotEqual(shown(BOTH_IMPLICIT), before)
        with open(self.world.path("users"), "a", encoding="utf-8") as file:
            file.write("broken\n")
        mark = len(self.relay.lines)
        self.assertEqual(self.relay.reload()["ok"], "false")
        error = self.relay.wait_log(5, mark, event="config-error")["error"]
        self.assertIn(f"{self.world.path('users')}:3: ", error)
        with open(self.world.path("users"), encoding="utf-8") as file:
            good = file.read().replace("broken\n", "")
        with open(self.world.path("users"), "w", encoding="utf-8") as file:
            file.write(good)
        self.assertEqual(self.relay.reload()["ok"], "true")
        self.assertEqual(self.client(LOGIN, login=("exchange", PASSWORD)), [250, 250, 250])

    def test_SUB_18_SUB_09_five_mebibytes_by_BDAT_arrive_as_they_were(self):
        line = b".8-bit: \xc3\xa4\xc3\xb6\xc3\xbc " + b"x" * 60 + b"\r\n"
        content = b"From: a@client.test\r\nSubject: big\r\n\r\n" + line * (5 * 2**20 // len(line)) + b".\r\n..\r\nend\r\n"
        with Plain(ALLOWED) as client:
            client.ask("MAIL FROM:<a@client.test> BODY=8BITMIME")
            client.ask("RCPT TO:<big@good.test>")
            sent = 0
            for size in (1, 2, 65535, 1048576, 3, 4096, len(content)):
                chunk = content[sent:sent + size]
                sent += len(chunk)
                client.socket.sendall(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if sent == len(content) else b"") + chunk)
                reply = client.reply()
            self.assertRegex(reply, QUEUED)
        self.relay.wait_log(30, event="delivered", to="big@good.test")
        mail = self.arrived("mx.good.test", "big@good.test")[0]
        self.assertTrue(mail.data.endswith(content), "the content is not what was sent")

    def test_SUB_19_a_refused_BDAT_never_runs_as_commands(self):
        with Plain(ALLOWED) as client:
            client.socket.sendall(b"BDAT 6\r\nQUIT\r\nNOOP\r\n")
            self.assertTrue(client.reply().startswith(b"503 5.5.1 "))
            self.assertTrue(client.reply().startswith(b"250 2.0.0 "))
