# SPDX-License-Identifier: Apache-2.0
"""REQUIRETLS and `TLS-Required: No` (RFC 8689): what a message asks of every hop, and what becomes of it where that cannot be had."""

import email
import email.policy
import re
import smtplib
import ssl
import time

from case import Case, Domain, Host, Sts
from world.receiver import EXTENSIONS

OFFERS = {"tls_extensions": (*EXTENSIONS, "REQUIRETLS", "DSN")}
EARLY = {"extensions": (*EXTENSIONS, "REQUIRETLS"), "tls_extensions": EXTENSIONS}  # said before TLS only
CLEAR = {"extensions": (*EXTENSIONS, "REQUIRETLS"), "starttls": "none"}
DEMANDS = {"handshake": "close", "mail": "530 5.7.0 Must issue a STARTTLS command first"}
OTHER = {"names": ("somebody.else.example",)}
SELF_SIGNED = {"self_signed": True}
TWO = ("10 mx1", "20 mx2")
WRONG = "3 1 1 wrong"
ANN = "ann@back.test"
RECORD = ('_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@{}"',)


def one(name, what, host=None, **more):
    """A domain with one MX host that offers REQUIRETLS, signed when its name ends in .test."""
    more.setdefault("signed", name.endswith(".test"))
    return Domain(name, what, hosts=(host or Host(smtp=OFFERS),), send=False, **more)


# The domain; what becomes of mail with REQUIRETLS: the auth of the session it went over, or the status with which it came back.
ROWS = [
    (one("dane.test", "DANE-EE", Host(tlsa=("3 1 1",), smtp=OFFERS)), "dane-ee"),
    (one("ta.test", "DANE-TA", Host(tlsa=("2 0 1",), smtp=OFFERS)), "dane-ta"),
    (one("pkix.test", "a signed MX record, no TLSA", Host(smtp=OFFERS)), "pkix"),
    (one("sts.lab", "MTA-STS in mode enforce", sts=Sts()), "pkix"),
    (one("implicit.lab", "no MX: the domain's own name", Host("@", smtp=OFFERS), mx=()), "pkix"),
    (one("routed.lab", "a route with a host"), "pkix"),
    (one("unusable.test", "no TLSA record is usable, a public certificate", Host(tlsa=("1 1 1",), smtp=OFFERS)), "pkix"),
    (one("alias.test", "an MX alias, certificate of the MX record's name", Host("host", cert={"names": ("mx.alias.test",)}, smtp=OFFERS),
         records=("mx CNAME host",)), "pkix"),
    (one("alias-end.test", "an MX alias, certificate of its end", Host("host", smtp=OFFERS), records=("mx CNAME host",)), "5.7.10"),
    (one("name.test", "DANE-EE matches, a certificate of another name", Host(tlsa=("3 1 1",), cert=OTHER, smtp=OFFERS)), "5.7.10"),
    (one("testing.lab", "MTA-STS in mode testing", sts=Sts("testing")), "5.7.10"),
    (one("open.lab", "neither DNSSEC nor MTA-STS"), "5.7.10"),
    (one("self.test", "a self-signed certificate", Host(cert=SELF_SIGNED, smtp=OFFERS)), "5.7.10"),
    (one("unusable-self.test", "no TLSA record is usable, a self-signed certificate", Host(tlsa=("1 1 1",), cert=SELF_SIGNED, smtp=OFFERS)),
     "5.7.10"),
    (one("clear.test", "REQUIRETLS without STARTTLS", Host(smtp=CLEAR)), "5.7.10"),
    (one("forbidden.test", "a route with tls: none"), "5.7.10"),
    (one("early.test", "REQUIRETLS listed before TLS only", Host(smtp=EARLY)), "5.7.30"),
    (one("lacks.test", "no REQUIRETLS", Host(tlsa=("3 1 1",))), "5.7.30"),
]
DOMAINS = [domain for domain, _ in ROWS] + [
    Domain("second.test", "the second host offers it", TWO, (Host("mx1"), Host("mx2", smtp=OFFERS)), send=False),
    Domain("later.test", "one lacks it, one is down", TWO, (Host("mx1"), Host("mx2", smtp={"down": "refused"})), send=False),
    one("mismatch.test", "a TLSA record that does not match", Host(tlsa=(WRONG,), smtp=OFFERS)),
    one("kept.test", "says 451 at first", Host(smtp=OFFERS)),
    one("moved.test", "says 451 at first, then a route leads elsewhere", Host(smtp=OFFERS)),
    one("back.test", "the sender: REQUIRETLS on the way back", Host(smtp=OFFERS)),
    one("bare.test", "a sender without REQUIRETLS", Host()),
    one("both.test", "lax and strict mail to one host", Host(smtp=OFFERS)),
    one("no-dane.test", "a TLSA record that does not match", Host(tlsa=(WRONG,)), records=tuple(r.format("no-dane.test") for r in RECORD)),
    one("no-sts.lab", "not in the policy", Host(), sts=Sts(mx=("nobody",))),
    one("no-clear.lab", "an enforced policy, no STARTTLS", Host(smtp={"starttls": "none"}), sts=Sts()),
    one("no-broken.test", "DANE, the handshake breaks", Host(tlsa=("3 1 1",), smtp={"handshake": "garbage"})),
    one("no-demands.lab", "the handshake breaks, and the server wants TLS", Host(smtp=DEMANDS)),
    one("no-policy.lab", "nothing to waive", Host()),
    one("no-held.test", "mail waits for a TLSA record that does not match", Host(tlsa=(WRONG,))),
]
SETTINGS = {
    "security": {"mta_sts": "enforce"},
    "tls_rpt": {"enabled": True},
    "delivery": {"retry": {"first": "2s", "factor": 1}},
    "routes": [{"match": ["routed.lab"], "hosts": ["mx.routed.lab:25"]}, {"match": ["forbidden.test"], "tls": "none"}],
}


def lenient():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def parts_of(mail):
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert not [defect for part in message.walk() for defect in part.defects], mail.data
    return message, list(message.iter_parts())


class RequireTls(Case):
    def client(self):
        client = smtplib.SMTP("127.0.0.1", self.relay.port, local_hostname="client.test", timeout=30)
        client.ehlo()
        client.starttls(context=lenient())
        client.ehlo()
        return client

    def ask(self, recipient, sender=ANN, options=("REQUIRETLS",), headers="", rcpt_options=()):
        """Submits a message over TLS; its queue id."""
        recipient = recipient if "@" in recipient else f"user@{recipient}"
        text = f"From: {sender}\r\nTo: {recipient}\r\nSubject: secret plans\r\nMessage-ID: <orig@back.test>\r\n{headers}\r\nhello\r\n"
        with self.client() as client:
            code, reply = client.mail(sender, list(options))
            self.assertEqual(code, 250, reply)
            self.assertEqual(client.rcpt(recipient, list(rcpt_options))[0], 250)
            code, reply = client.data(text.encode())
        self.assertEqual(code, 250, reply)
        return re.fullmatch(rb"2\.0\.0 Ok: queued as (\w+)", reply)[1].decode()

    def ended(self, queue_id, event=("delivered", "deferred", "bounced", "expired"), timeout=20, **keys):
        return self.relay.wait_log(timeout, id=queue_id, event=event, **keys)

    def mail_lines(self, host):
        return [line for session in self.sessions(host) for line, _ in session.commands if line.upper().startswith("MAIL")]

    def notice(self, queue_id, host, timeout=20):
        """The one notice about this message that came to this host."""
        end = time.monotonic() + timeout
        mark = f"X-Hoplock-Queue-ID: {queue_id}\r\n".encode()
        while time.monotonic() < end:
            found = [mail for mail in self.world.receiver(host).mails() if mark in mail.data]
            if found:
                self.assertEqual(len(found), 1)
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no notice about {queue_id}\n{self.relay.tail()}")

    def test_RTLS_01_RTLS_02_SUB_03_offered_and_taken_inside_tls_only(self):
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=10) as client:
            client.ehlo()
            self.assertFalse(client.has_extn("requiretls"))
            self.assertTrue(client.docmd("MAIL", "FROM:<a@back.test> REQUIRETLS")[1].startswith(b"5.7.10 "))
            client.starttls(context=lenient())
            client.ehlo()
            self.assertEqual(client.esmtp_features.get("requiretls"), "")
            self.assertEqual(client.docmd("MAIL", "FROM:<a@back.test> REQUIRETLS=yes")[0], 501)
            self.assertEqual(client.docmd("MAIL", "FROM:<a@back.test> REQUIRETLS REQUIRETLS")[0], 501)
            self.assertEqual(client.docmd("MAIL", "FROM:<a@back.test> requiretls")[0], 250)

    def test_RTLS_04_RTLS_05_RTLS_06_RTLS_07_RTLS_08_RTLS_09_MX_08_TLS_09_each_condition_alone_decides(self):
        ids = {domain.name: self.ask(domain.name) for domain, _ in ROWS}
        for domain, wanted in ROWS:
            with self.subTest(domain.name, what=domain.publishes):
                line = self.ended(ids[domain.name])
                host = domain.hosts[0].fqdn(domain.name)
                if not wanted.startswith("5."):
                    self.assertEqual((line["event"], line["policy"], line["auth"]), ("delivered", "requiretls", wanted), line)
                    self.assertEqual(self.mail_lines(host), [line for line in self.mail_lines(host) if " REQUIRETLS" in line])
                    self.assertTrue(self.arrived(host)[0].tls)
                    continue
                self.assertEqual((line["event"], line["reason"], line["dsn"]), ("bounced", "requiretls-not-supported", wanted), line)
                self.assertTrue(line["reply"].startswith(f"550 {wanted} "), line)
                self.no_mail_command(host)

    def test_RTLS_08_the_host_that_is_refused_hears_quit_and_nothing_else(self):
        self.ended(self.ask("lacks.test"))
        session = self.sessions("mx.lacks.test")[-1]
        end = time.monotonic() + 20
        while "QUIT" not in session.verbs() and time.monotonic() < end:  # it may come behind the log line
            time.sleep(0.01)
        self.assertEqual(session.verbs(), ["EHLO", "STARTTLS", "EHLO", "QUIT"])

    def test_RTLS_08_the_next_host_gets_it(self):
        line = self.ended(self.ask("second.test"))
        self.assertEqual((line["event"], line["mx"]), ("delivered", "mx2.second.test"), line)
        self.refused_first("second.test", "requiretls-not-supported", mx="mx1.second.test")
        self.no_mail_command("mx1.second.test")

    def test_RTLS_08_a_host_that_is_only_down_leaves_the_mail_waiting(self):
        queue_id = self.ask("later.test")
        self.assertEqual(self.ended(queue_id)["event"], "deferred")
        self.assertIs(self.relay.tool("queue", "show", queue_id)[1]["requiretls"], True)
        self.assertIn("REQUIRETLS", self.relay.text("queue", "show", queue_id)[1])
        other = self.relay.send("other@later.test")
        self.assertEqual(self.ended(other)["event"], "delivered", "mail that asks for nothing is not kept waiting")

    def test_RTLS_08_what_the_domains_own_policy_refuses_waits_as_other_mail_does(self):
        line = self.ended(self.ask("mismatch.test"))
        self.assertEqual((line["event"], line["dsn"], line["reason"]), ("deferred", "4.7.323", "tlsa-invalid"), line)

    def test_RTLS_03_the_option_survives_a_kill_and_governs_the_next_attempt(self):
        receiver = self.world.receiver("mx.kept.test")
        receiver.behaviour.mail = "451 4.3.0 not now"
        queue_id = self.ask("kept.test")
        self.ended(queue_id, "deferred")
        self.relay.kill9()
        receiver.behaviour.mail = "250 2.1.0 Ok"
        self.relay.start()
        self.relay.tool("queue", "retry", queue_id)
        line = self.ended(queue_id, "delivered")
        self.assertEqual(line["policy"], "requiretls")
        self.assertTrue(all(" REQUIRETLS" in said for said in self.mail_lines("mx.kept.test")))

    def test_RTLS_03_a_new_route_is_held_to_it_too(self):
        self.world.receiver("mx.moved.test").behaviour.mail = "451 4.3.0 not now"
        queue_id = self.ask("moved.test")
        self.ended(queue_id, "deferred")
        self.relay.settings["routes"].append({"match": ["moved.test"], "hosts": ["mx.bare.test:25"]})
        self.relay.write_config()
        self.relay.reload()
        self.relay.tool("queue", "retry", queue_id)
        line = self.ended(queue_id, "bounced")
        self.assertEqual((line["mx"], line["dsn"]), ("mx.bare.test", "5.7.30"), line)

    def test_RTLS_09_TLS_08_strict_and_lax_mail_never_share_a_session(self):
        ids = [self.ask("both.test", options=["REQUIRETLS"] if n % 2 else []) for n in range(6)]
        lines = [self.ended(queue_id, "delivered") for queue_id in ids]
        self.assertEqual([line["policy"] for line in lines], ["opportunistic", "requiretls"] * 3)
        for session in self.sessions("mx.both.test"):
            said = {" REQUIRETLS" in line for line, _ in session.commands if line.startswith("MAIL")}
            self.assertLessEqual(len(said), 1, session.commands)

    def test_RTLS_10_DSN_12_a_notice_returns_the_header_only_and_asks_for_requiretls_itself(self):
        queue_id = self.ask("lacks.test", options=["REQUIRETLS", "RET=FULL", "ENVID=e1"])
        mail = self.notice(queue_id, "mx.back.test")
        self.assertEqual((mail.sender, mail.recipients), ("", [ANN]))
        self.assertIn("REQUIRETLS", mail.parameters)
        message, parts = parts_of(mail)
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(parts[2].get_content_type(), "text/rfc822-headers")
        self.assertIn("secret plans", parts[2].get_payload())
        self.assertNotIn(b"hello", mail.data)
        self.assertIn(b"Status: 5.7.30\r\n", mail.data)

    def test_RTLS_10_where_the_way_back_lacks_it_the_notice_leaves_without_anything_of_the_message(self):
        queue_id = self.ask("lacks.test", sender="ann@bare.test")
        mail = self.notice(queue_id, "mx.bare.test")
        self.assertNotIn("REQUIRETLS", mail.parameters)
        _, parts = parts_of(mail)
        self.assertEqual([part.get_content_type() for part in parts], ["text/plain", "message/delivery-status"])
        for word in (b"secret", b"orig@back.test"):
            self.assertNotIn(word, mail.data)
        line = self.relay.wait_log(10, event="delivered", to="ann@bare.test")
        self.assertEqual((line["from"], line["redacted"], line["policy"]), ("<>", "yes", "opportunistic"), line)

    def test_RTLS_10_success_is_told_under_the_same_protection(self):
        queue_id = self.ask("sts.lab", rcpt_options=["NOTIFY=SUCCESS"])
        self.ended(queue_id, "delivered")
        bare = self.ask("routed.lab", rcpt_options=["NOTIFY=SUCCESS"])
        self.ended(bare, "delivered")
        for host in ("mx.sts.lab", "mx.routed.lab"):
            self.assertTrue(any("NOTIFY=SUCCESS" in line for session in self.sessions(host) for line, _ in session.commands))

    def test_RTLS_11_with_the_option_the_header_field_means_nothing(self):
        queue_id = self.ask("open.lab", headers="TLS-Required: No\r\n")
        self.assertEqual(self.ended(queue_id)["dsn"], "5.7.10")
        self.no_mail_command("mx.open.lab")
        kept = self.ask("mismatch.test", headers="TLS-Required: No\r\n")
        self.assertEqual(self.ended(kept)["event"], "deferred")

    def relaxed(self, domain, **keys):
        line = self.ended(self.ask(domain, options=(), headers="TLS-Required: No\r\n"))
        wanted = {"event": "delivered", "policy": "opportunistic", "reason": "tls-required-no"} | keys
        self.assertEqual({key: line.get(key) for key in wanted}, wanted, line)
        return line

    def test_RTLS_11_RTLS_13_the_header_field_waives_what_the_domain_published(self):
        for domain, tls in (("no-dane.test", "TLSv1.3"), ("no-sts.lab", "TLSv1.3"), ("no-clear.lab", "none"), ("no-broken.test", "none")):
            with self.subTest(domain):
                other = self.relay.send(f"other@{domain}")
                self.relaxed(domain, tls=tls)
                self.assertEqual(self.ended(other)["event"], "deferred", "for other mail the policy stands")
                self.assertIn(b"TLS-Required: No\r\n", self.arrived(f"mx.{domain}")[0].data)

    def test_RTLS_13_nothing_is_waived_where_there_is_nothing(self):
        self.relaxed("no-policy.lab", reason=None, tls="TLSv1.3")

    def test_RTLS_13_a_server_that_wants_tls_itself_brings_a_notice(self):
        queue_id = self.ask("no-demands.lab", options=(), headers="TLS-Required: No\r\n")
        line = self.ended(queue_id)
        self.assertEqual((line["event"], line["dsn"], line["tls"]), ("bounced", "5.7.0", "none"), line)
        self.assertIn(b"530 5.7.0", self.notice(queue_id, "mx.back.test").data)

    def test_RTLS_13_relaxed_mail_does_not_wait_behind_what_the_policy_holds_back(self):
        held = [self.relay.send(f"held{n}@no-held.test") for n in range(8)]
        self.ended(held[0], "deferred")
        self.relaxed("no-held.test")
        tried = {line["id"] for line in self.relay.log(event="deferred", domain="no-held.test")}
        self.assertLess(len(tried & set(held)), 4, "it went before most of those that wait")

    def test_RTLS_13_MX_12_relaxed_mail_under_way_as_the_daemon_stops_is_not_sent_again(self):
        receiver = self.world.receiver("mx.no-held.test")
        held = [self.relay.send(f"stop{n}@no-held.test") for n in range(8)]
        self.ended(held[0], "deferred")
        receiver.behaviour.slow = 0.7
        try:
            queue_id = self.ask("last@no-held.test", options=(), headers="TLS-Required: No\r\n")
            end = time.monotonic() + 30
            while not self.arrived("mx.no-held.test", "last@no-held.test") and time.monotonic() < end:
                time.sleep(0.01)
            self.relay.stop()  # the server has the message, and its answer is on the way
        finally:
            receiver.behaviour.slow = 0
        self.relay.start()
        self.ended(queue_id, "delivered")
        time.sleep(3)
        self.assertEqual(len(self.arrived("mx.no-held.test", "last@no-held.test")), 1)

    def test_RTLS_13_such_sessions_are_in_no_report(self):
        self.relaxed("no-dane.test")
        _, before = self.relay.tool("tlsrpt", "list")
        for _ in range(3):
            self.ended(self.ask("no-dane.test", options=(), headers="TLS-Required: No\r\n"), "delivered")
        _, after = self.relay.tool("tlsrpt", "list")
        mine = [[row for row in rows or [] if row.get("domain") == "no-dane.test"] for rows in (before, after)]
        successes = [row.get("successes", 0) for rows in mine for row in rows]
        self.assertFalse(any(successes), mine)

    def test_RTLS_12_another_value_a_second_field_and_one_in_a_part_relax_nothing(self):
        mime = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nTLS-Required: No\r\n\r\nx\r\n--b--\r\n'
        for headers in ("TLS-Required: Yes\r\n", "TLS-Required: No\r\nTLS-Required: No\r\n", "TLS-Required: No\r\nTLS-Required: Yes\r\n",
                        "TLS-Required: No (really)\r\n", "X: y\r\n\r\nTLS-Required: No\r\n", mime):
            with self.subTest(headers=headers):
                line = self.ended(self.ask("mismatch.test", options=(), headers=headers))
                self.assertEqual((line["event"], line["policy"]), ("deferred", "dane"), line)

    def test_RTLS_13_the_operator_may_ignore_the_header_field(self):
        self.relay.settings["security"]["tls_required_no"] = "ignore"
        self.relay.write_config()
        self.relay.reload()
        try:
            line = self.ended(self.ask("no-sts.lab", options=(), headers="TLS-Required: No\r\n"))
            self.assertEqual((line["event"], line["policy"]), ("deferred", "sts"), line)
        finally:
            self.relay.settings["security"]["tls_required_no"] = "honor"
            self.relay.write_config()
            self.relay.reload()
