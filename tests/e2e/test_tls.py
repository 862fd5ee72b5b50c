# SPDX-License-Identifier: Apache-2.0
"""TLS: versions, names, what is offered, what is reused, and when clear text may follow."""

import smtplib
import ssl
import time

from case import Case, Domain, Host, Stage
from world import hello
from world.relay import Relay

AGED = {"min_tls": "TLSv1_1", "max_tls": "TLSv1_1", "ciphers": "ALL:@SECLEVEL=0"}


def expired_intermediate(ca, name):
    return ca.leaf(name, issuer=ca.sub("Expired", expired=True))


def leaf_as_issuer(ca, name):
    middle = ca.leaf("middle.example")
    return ca.leaf(name, issuer=middle)


def huge(ca, name):
    """2 MB of certificates, which no client should swallow."""
    leaf = ca.leaf(name)
    leaf.chain = [ca.sub(f"Padding {i}", padding=1024) for i in range(1)] * 1
    leaf.chain += [leaf.chain[0]] * 1400
    ca.save(leaf)
    return leaf


VERIFY = {  # name: (certificate, reason), all by routes with tls: verify
    "cn": ({"cn": "mx.v-cn.test", "names": ()}, "certificate-host-mismatch"),
    "part": ({"names": ("m*.v-part.test",)}, "certificate-host-mismatch"),
    "deep": ({"names": ("*.test",)}, "certificate-host-mismatch"),
    "other": ({"names": ("mx.somebody.example",)}, "certificate-host-mismatch"),
    "ip": ({"names": (), "ips": ("127.1.0.1",)}, "certificate-host-mismatch"),
    "expired": ({"expired": True}, "certificate-expired"),
    "unknown": (lambda ca, name: ca.leaf(name, issuer=ca.stranger, send="full"), "certificate-not-trusted"),
    "self": ({"self_signed": True}, "certificate-not-trusted"),
    "nochain": ({"send": "leaf"}, "certificate-not-trusted"),
    "oldissuer": (expired_intermediate, "certificate-expired"),
    "noca": (leaf_as_issuer, None),
    "early": ({"not_yet": True}, None),
    "weak": ({"bits": 1024}, None),
}

DOMAINS = [
    Domain("t01old.test", "TLS 1.1 only", hosts=(Host(smtp=AGED),)),
    Domain("t01olddane.test", "TLS 1.1 only, DANE", hosts=(Host(tlsa=("3 1 1",), smtp=AGED),)),
    Domain("t01two.test", "TLS 1.2 only", hosts=(Host(smtp={"max_tls": "TLSv1_2"}),)),
    Domain("t01three.test", "TLS 1.3 only", hosts=(Host(smtp={"min_tls": "TLSv1_3"}),)),
    Domain("t02.test", "opportunistic, RSA 1024", hosts=(Host(cert={"bits": 1024, "self_signed": True}),)),
    Domain("t04good.test", "verify", hosts=(Host(),)),
    Domain("t04star.test", "verify, wildcard", hosts=(Host(cert={"names": ("*.t04star.test",)}),)),
    Domain("t07.test", "TLSA comes up later", hosts=(Host(),), ttl=1),
    Domain("t08.test", "one host, DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("t08plain.test", "the same host, a route without TLS", ("10 mx.t08.test.",), send=False),
    Domain("t09.test", "octets injected after STARTTLS", hosts=(Host(smtp={"inject": b"250-evil\r\n250 AUTH PLAIN\r\n"}),)),
    Domain("t09dane.test", "injected, DANE", hosts=(Host(tlsa=("3 1 1",), smtp={"inject": b"250 2.0.0 Ok\r\n"}),)),
    Domain("t09ext.test", "other extensions inside TLS",
           hosts=(Host(smtp={"extensions": ("SIZE 1", "PIPELINING"), "tls_extensions": ("8BITMIME",)}),)),
    Domain("t10break.test", "broken handshake", hosts=(Host(smtp={"handshake": "garbage"}),)),
    Domain("t10reset.test", "handshake reset", hosts=(Host(smtp={"handshake": "reset"}),)),
    Domain("t10encrypt.test", "broken handshake, route encrypt", hosts=(Host(smtp={"handshake": "garbage"}),)),
    Domain("t10plain.test", "no STARTTLS", hosts=(Host(smtp={"starttls": "none"}),), send=False),
    Domain("t10none.test", "no STARTTLS, route encrypt", hosts=(Host(smtp={"starttls": "none"}),)),
    Domain("t10dane.test", "broken handshake, DANE", hosts=(Host(tlsa=("3 1 1",), smtp={"handshake": "garbage"}),)),
    Domain("t10never.test", "route without TLS", hosts=(Host(),)),
    Domain("t11.test", "cut after the dot", hosts=(Host(smtp={"drop": "dot"}),)),
    Domain("t11notify.test", "cut after the dot, close_notify", hosts=(Host(smtp={"drop": "dot-notify"}),)),
    Domain("t12.test", "DANE", hosts=(Host(tlsa=("3 1 1",)),)),
    Domain("t12.lab", "insecure MX to DANE", ("10 mx.t12.test.",), signed=False),
    Domain("t12none.lab", "opportunistic", hosts=(Host(),), signed=False),
    Domain("t13.test", "asks for a client certificate", hosts=(Host(smtp={"ask_client": True}),)),
    Domain("t13huge.test", "2 MB chain, DANE", hosts=(Host(tlsa=("3 1 1",), cert=huge),)),
    Domain("t13stall.test", "stalled handshake, DANE", hosts=(Host(tlsa=("3 1 1",), smtp={"handshake": "stall"}),)),
]
RESPONDER = "127.3.0.80"
DOMAINS += [
    Domain("t06good.test", "stapled: good", hosts=(Host(cert={"responder": RESPONDER}, smtp={"staple": "good"}),)),
    Domain("t06revoked.test", "stapled: revoked", hosts=(Host(cert={"responder": RESPONDER}, smtp={"staple": "revoked"}),)),
    Domain("t06none.test", "names a responder, staples nothing", hosts=(Host(cert={"responder": RESPONDER}),)),
]
DOMAINS += [Domain(f"v-{name}.test", f"verify: {name}", hosts=(Host(cert=cert),)) for name, (cert, _) in VERIFY.items()]

SETTINGS = {
    "routes": [
        {"match": ["t04good.test", "t04star.test", "t06good.test", "t06revoked.test", "t06none.test", *(f"v-{name}.test" for name in VERIFY)], "tls": "verify"},
        {"match": ["t10encrypt.test", "t10none.test"], "tls": "encrypt"},
        {"match": ["t08plain.test", "t10never.test"], "tls": "none"},
    ],
}


class Tls(Case):
    def test_TLS_01_only_tls_1_2_and_1_3_are_spoken_to_mx_hosts(self):
        self.delivered("t01two.test", tls="TLSv1.2")
        self.delivered("t01three.test", tls="TLSv1.3")
        self.deferred("t01olddane.test", policy="dane")
        self.no_mail_command("mx.t01olddane.test")
        self.deferred("t01old.test", "validation-failure")  # TLS-14: in clear once it has waited
        self.relay.wait_log(event="delivered", to="user@t01old.test", tls="none")
        self.assertEqual({session.tls for session in self.sessions("mx.t01old.test")}, {""})

    def test_TLS_01_the_listener_refuses_tls_1_1(self):
        for version, fine in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
            with self.subTest(version), smtplib.SMTP("127.0.0.1", self.relay.port, timeout=10) as client:
                if fine:
                    self.assertEqual(client.starttls(context=context)[0], 220)
                else:
                    with self.assertRaises((ssl.SSLError, OSError)):
                        client.starttls(context=context)
                    client.close()

    def test_TLS_02_nothing_obsolete_is_offered(self):
        for domain in ("t12.test", "t12none.lab", "t04good.test"):
            self.delivered(domain)
            host = "mx.t12.test" if domain == "t12.lab" else f"mx.{domain}"
            greeting = hello.parse(self.sessions(host)[0].client_hello)
            for kind in (hello.ANONYMOUS, hello.NULL, hello.EXPORT, hello.RC4, hello.TRIPLE_DES):
                self.assertEqual(kind & set(greeting.ciphers), set(), domain)
            self.assertEqual(greeting.compressions, [0])
            self.assertNotIn(hello.EARLY_DATA, greeting.extensions)
            self.assertEqual(set(greeting.versions()), {0x0303, 0x0304})
        self.delivered("t02.test", auth="none", tls="TLSv1.3")

    def test_TLS_03_sni_is_the_host_without_a_trailing_dot(self):
        self.delivered("t12none.lab", sni="mx.t12none.lab")
        self.assertEqual(self.sessions("mx.t12none.lab")[0].sni, "mx.t12none.lab")

    def test_TLS_04_TLS_05_web_pki_verification_fails_for_each_defect_with_its_reason(self):
        self.delivered("t04good.test", policy="route", auth="pkix")
        self.delivered("t04star.test", policy="route", auth="pkix")
        for name, (_, reason) in VERIFY.items():
            with self.subTest(name):
                self.deferred(f"v-{name}.test", reason, policy="route")
                self.no_mail_command(f"mx.v-{name}.test")

    def test_TLS_06_a_stapled_revocation_is_honoured_and_nothing_is_fetched(self):
        self.delivered("t06good.test", policy="route", auth="pkix")
        self.delivered("t06none.test", policy="route", auth="pkix")
        self.deferred("t06revoked.test", policy="route")
        self.no_mail_command("mx.t06revoked.test")
        self.assertEqual(self.world.wire.connections(RESPONDER, 80), [])

    def test_TLS_07_no_session_is_resumed_under_other_trust_inputs(self):
        self.delivered("t07.test", policy="opportunistic")
        self.world.domain("t07.test").hosts[0].tlsa = ("3 1 1 wrong",)
        self.world.change("t07.test")
        time.sleep(2.5)  # the idle session and the cached denial are over
        self.send("later@t07.test")
        self.deferred("later@t07.test", "tlsa-invalid")
        last = self.sessions("mx.t07.test")[-1]
        self.assertFalse(last.resumed)
        self.assertNotIn("MAIL", last.verbs())

    def test_TLS_08_a_connection_is_reused_only_under_the_policy_it_satisfied(self):
        for i in range(4):
            self.send(f"p{i}@t08plain.test")
            self.send(f"d{i}@t08.test")
        for i in range(4):
            self.delivered(f"p{i}@t08plain.test", tls="none", policy="route")
            self.delivered(f"d{i}@t08.test", policy="dane", auth="dane-ee")
        for mail in self.arrived("mx.t08.test"):
            self.assertEqual(mail.tls, "t08.test" in mail.recipients[0].split("@"), mail.recipients)

    def test_TLS_08_waiting_mail_for_one_domain_shares_connections(self):
        before = self.world.connections("mx.t12.test")
        people = [f"w{i}@t12.test" for i in range(60)]
        for person in people:
            self.send(person)
        for person in people:
            self.delivered(person, policy="dane", auth="dane-ee")
        self.assertLess(self.world.connections("mx.t12.test") - before, 60)

    def test_TLS_09_clear_octets_after_the_220_end_the_attempt(self):
        line = self.outcome("t09.test")
        self.assertIn(line["event"], ("deferred", "delivered"))
        injected = [s for s in self.sessions("mx.t09.test") if "STARTTLS" in s.verbs()]
        self.assertTrue(injected)
        for session in injected:
            self.assertNotIn("MAIL", session.verbs())
            self.assertEqual(session.tls, "")
        self.deferred("t09dane.test", policy="dane")
        self.no_mail_command("mx.t09dane.test")

    def test_TLS_09_extensions_come_from_the_second_ehlo_only(self):
        self.delivered("t09ext.test", tls="TLSv1.3")
        session = self.sessions("mx.t09ext.test")[0]
        self.assertEqual(session.verbs(inside_tls=True)[0], "EHLO")
        self.assertFalse([word for word in session.mails[0].parameters if word.upper().startswith("SIZE")])

    def test_TLS_10_TLS_14_clear_text_after_a_failed_handshake_only_without_a_policy_and_not_at_once(self):
        for domain in ("t10break.test", "t10reset.test"):
            with self.subTest(domain):
                self.deferred(domain, "validation-failure", "4.7.5", tls="none", policy="opportunistic")
                line = self.relay.wait_log(event="delivered", to=f"user@{domain}")
                self.assertEqual((line["attempt"], line["tls"], line["auth"]), ("2", "none", "none"))
                hop = self.relay.wait_log(5, event="hop", domain=domain)
                self.assertEqual((hop["action"], hop["level"]), ("plaintext", "warn"))
                mail_sessions = [s for s in self.sessions(f"mx.{domain}") if "MAIL" in s.verbs()]
                self.assertNotIn("STARTTLS", mail_sessions[0].verbs())
        for domain in ("t10encrypt.test", "t10dane.test", "t10none.test"):
            with self.subTest(domain):
                self.deferred(domain)
                self.no_mail_command(f"mx.{domain}")
        self.deferred("t10none.test", "starttls-not-supported", "4.7.321")
        self.delivered("t10never.test", tls="none", policy="route")
        self.assertNotIn("STARTTLS", self.sessions("mx.t10never.test")[0].verbs())

    def test_TLS_10_a_global_option_forbids_clear_text(self):
        with Relay(self.world, Stage.build, {"security": {"default_tls": "encrypt"}}, "encrypting", 2600) as encrypting:
            for domain in ("t10break.test", "t10plain.test", "t12none.lab"):
                encrypting.send(f"strict@{domain}")
            line = encrypting.outcome("strict@t10plain.test")
            self.assertEqual((line["event"], line["reason"]), ("deferred", "starttls-not-supported"))
            self.assertEqual(encrypting.outcome("strict@t10break.test")["event"], "deferred")
            self.assertEqual(encrypting.outcome("strict@t12none.lab")["event"], "delivered")
        self.assertEqual(self.arrived("mx.t10break.test", "strict@t10break.test"), [])

    def test_TLS_11_a_cut_after_the_dot_is_temporary(self):
        for domain in ("t11.test", "t11notify.test"):
            with self.subTest(domain):
                self.deferred(domain, "connection-lost", "4.4.2")

    def test_TLS_12_the_log_tells_each_kind_of_session_apart(self):
        kinds = [self.delivered("t12.test", policy="dane", auth="dane-ee", mx_dnssec="secure", tlsa="3 1 1"),
                 self.delivered("t12.lab", policy="dane", auth="dane-ee", mx_dnssec="insecure", tlsa="3 1 1"),
                 self.delivered("t12none.lab", policy="opportunistic", auth="none", mx_dnssec="insecure")]
        self.assertEqual(len({(line["policy"], line["auth"], line["mx_dnssec"]) for line in kinds}), 3)
        for line in kinds:
            session = next(s for s in self.sessions(line["mx"]) if s.tls)
            self.assertEqual((line["tls"], line["cipher"], line["sni"]), (session.tls, session.cipher, session.sni))
            self.assertEqual(line["cert"], self.world.host(line["mx"]).certificate.key_digest())
        self.assertFalse(kinds[2].get("tlsa"))

    def test_TLS_13_no_client_certificate_and_bounded_handshakes(self):
        self.delivered("t13.test", tls="TLSv1.3")
        self.assertIsNone(self.sessions("mx.t13.test")[0].client_certificate)
        for domain in ("t13huge.test", "t13stall.test"):
            with self.subTest(domain):
                self.deferred(domain, policy="dane")
                self.no_mail_command(f"mx.{domain}")
