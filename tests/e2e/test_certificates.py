# SPDX-License-Identifier: Apache-2.0
"""Own certificates: their end is told, and files that are renewed under their names are taken up by themselves; no pair that does not fit."""

import contextlib
import datetime
import http.client
import os
import socket
import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from case import Case, Stage

from world.relay import Relay

DOMAINS = []


def pair(days):
    """(certificate, key) in PEM, of relay.test, which end that many days (and an hour) from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay.test")])
    now = datetime.datetime.utcnow()
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=400))
                   .not_valid_after(now + datetime.timedelta(days=days, hours=1))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName("relay.test")]), critical=False).sign(key, hashes.SHA256()))
    return (certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())


class Certificates(Case):
    @contextlib.contextmanager
    def serving(self, name, port, days, **over):
        """A relay with a certificate of its own, and a function that puts other files in their place."""
        files = {"certificate": self.world.path(f"{name}.pem"), "key": self.world.path(f"{name}.key")}

        def place(certificate=None, key=None):
            for path, text in ((files["certificate"], certificate), (files["key"], key)):
                if text is not None:
                    with open(path + ".new", "w", encoding="ascii") as file:
                        file.write(text)
                    os.chmod(path + ".new", 0o600)
                    os.replace(path + ".new", path)

        place(*pair(days))
        settings = {"listeners": [{"address": f"127.0.0.1:{port}", **files}], **over}
        with Relay(self.world, Stage.build, settings, name, port) as relay:
            yield relay, place

    def presented(self, port):
        """The certificate that a new session sees."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            lines = plain.makefile("rb")
            lines.readline()
            plain.sendall(b"EHLO client.test\r\n")
            while lines.readline()[3:4] == b"-":
                pass
            plain.sendall(b"STARTTLS\r\n")
            self.assertTrue(lines.readline().startswith(b"220"))
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as secured:
                return ssl.DER_cert_to_PEM_cert(secured.getpeercert(True))

    def health(self, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/healthz")
        reply = client.getresponse()
        return reply.status, reply.read().decode()

    def metrics(self, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/metrics")
        return client.getresponse().read().decode()

    def test_the_end_is_told_and_at_the_end_health_is_red(self):
        with self.serving("ends", 2561, 9, http={"address": "127.0.0.1:9472"}) as (relay, place):
            line = relay.wait_log(10, event="certificate-expires")
            self.assertEqual((line["level"], line["use"], line["subject"], line["days"]), ("warn", "listener", "relay.test", "9"), line)
            self.assertEqual(self.health(9472)[0], 200)
            self.assertRegex(self.metrics(9472), r'hoplock_certificate_expiry_timestamp_seconds\{use="listener",subject="relay.test"\} 1\d{9}\n')
            place(*pair(-2))
            line = relay.wait_log(30, event="certificate-expires", level="error")
            self.assertEqual((line["use"], line["days"]), ("listener", "-2"))
            status, text = self.health(9472)
            self.assertEqual(status, 503)
            self.assertRegex(text, "^certificates: listener relay.test ended 20")
            place(*pair(90))
            relay.wait_logs(2, 30, event="certificate-files-changed", ok="true")
            self.assertEqual(self.health(9472)[0], 200)

    def test_a_renewed_pair_is_taken_up_without_a_reload_and_sessions_go_on(self):
        with self.serving("renewed", 2562, 90) as (relay, place):
            before = self.presented(2562)
            with socket.create_connection(("127.0.0.1", 2562), timeout=10) as running:
                lines = running.makefile("rb")
                lines.readline()
                certificate, key = pair(60)
                place(certificate, key)
                line = relay.wait_log(30, event="certificate-files-changed")
                self.assertEqual((line["ok"], line["level"]), ("true", "info"))
                self.assertIn("renewed.pem", line["files"])
                self.assertEqual(self.presented(2562), certificate)
                self.assertNotEqual(before, certificate)
                running.sendall(b"NOOP\r\n")
                self.assertTrue(lines.readline().startswith(b"250"))
            self.assertEqual(relay.log(event="reloaded"), [])
            self.assertEqual(relay.log(event="certificate-expires"), [])

    def test_half_a_pair_is_refused_with_words_and_the_old_one_stays_until_the_other_half_comes(self):
        with self.serving("half", 2563, 90) as (relay, place):
            before = self.presented(2563)
            certificate, key = pair(60)
            for wrong in (certificate, certificate[:200], ""):
                mark = len(relay.lines)
                place(certificate=wrong)
                line = relay.wait_log(30, mark, event="certificate-files-changed")
                self.assertEqual((line["ok"], line["level"]), ("false", "error"))
                self.assertIn("listeners[0].certificate", line["error"])
                self.assertIn("stays in use", line["error"])
                self.assertEqual(self.presented(2563), before)
            mark = len(relay.lines)
            place(certificate, key)
            self.assertEqual(relay.wait_log(30, mark, event="certificate-files-changed")["ok"], "true")
            self.assertEqual(self.presented(2563), certificate)

    def test_what_is_no_file_or_far_too_large_keeps_nobody_waiting(self):
        with self.serving("odd", 2565, 90) as (relay, place):
            before = self.presented(2565)
            path = self.world.path("odd.pem")

            def fifo():
                os.mkfifo(path + ".new")

            def device():
                os.symlink("/dev/zero", path + ".new")

            def huge():
                with open(path + ".new", "wb") as file:
                    file.truncate(1 << 30)

            for make, words in ((fifo, "no regular file"), (device, "no regular file"), (huge, "larger than")):
                with self.subTest(make.__name__):
                    mark = len(relay.lines)
                    make()
                    os.replace(path + ".new", path)
                    line = relay.wait_log(30, mark, event="certificate-files-changed")
                    self.assertEqual((line["ok"], line["level"]), ("false", "error"))
                    self.assertIn(words, line["error"])
                    self.assertIn("listeners[0].certificate", line["error"])
                    self.assertEqual(self.presented(2565), before)
            mark = len(relay.lines)
            certificate, key = pair(60)
            place(certificate, key)
            self.assertEqual(relay.wait_log(30, mark, event="certificate-files-changed")["ok"], "true")
            self.assertEqual(self.presented(2565), certificate)

    def test_a_refused_file_is_tried_again_when_its_owner_or_mode_changes(self):
        with self.serving("mode", 2566, 90) as (relay, place):
            place(certificate="nothing")
            relay.wait_log(30, event="certificate-files-changed", ok="false")
            os.chmod(self.world.path("mode.pem"), 0o640)
            relay.wait_logs(2, 30, event="certificate-files-changed", ok="false")

    def test_a_refusal_is_told_once_and_not_at_each_look(self):
        with self.serving("once", 2564, 90) as (relay, place):
            place(certificate="nothing")
            relay.wait_log(30, event="certificate-files-changed", ok="false")
            time.sleep(11)  # two looks: that nothing comes has no event to wait for
            self.assertEqual(len(relay.log(event="certificate-files-changed")), 1)
