# SPDX-License-Identifier: Apache-2.0
"""A real Postfix on both sides of the relay."""

import time
import unittest

from case import Case, Domain, Host, Stage
from world import postfix

ELSEWHERE = {"down": "elsewhere"}
DOMAINS = [
    Domain("postfix.test", "Postfix behind DANE", hosts=(Host(tlsa=("3 1 1",), smtp=ELSEWHERE),), send=False),
    Domain("good.test", "DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("bad.test", "mismatch", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
]
BODY = "first\r\n.\r\n..two dots\r\n" + "long " * 100 + "\r\n\r\nlast\r\n"


@unittest.skipUnless(postfix.available(), "Postfix is not installed, or may not become its own user here")
class WithPostfix(Case):
    @classmethod
    def setUpClass(cls):
        cls.postfix = postfix.Postfix(Stage.world, "postfix.test", "mx.postfix.test", Stage.relay.port)
        cls.enterClassContext(cls.postfix)

    def test_DANE_14_postfix_as_a_receiver_takes_the_message_whole(self):
        self.send("someone@postfix.test", body=BODY, subject="to Postfix")
        self.delivered("someone@postfix.test", policy="dane", auth="dane-ee", tls="TLSv1.3")
        end = time.monotonic() + 10
        while not self.postfix.mails() and time.monotonic() < end:
            time.sleep(0.05)
        mail = self.postfix.mails()[0]
        self.assertTrue(mail.endswith(b"\n\n" + BODY.replace("\r\n", "\n").encode()), mail)
        self.assertIn(b"Received: from client.test", mail)

    def test_DANE_07_postfix_as_a_client_hands_over_and_the_relay_decides(self):
        text = b"Subject: from Postfix\r\nFrom: a@client.test\r\n\r\nthrough two relays\r\n"
        self.postfix.send("a@client.test", ["x@good.test", "x@bad.test"], text)
        self.delivered("x@good.test", policy="dane", auth="dane-ee")
        self.deferred("x@bad.test", "tlsa-invalid", "4.7.323")
        mail = self.arrived("mx.good.test", "x@good.test")[0]
        self.assertTrue(mail.data.endswith(b"\r\n\r\nthrough two relays\r\n"))
        self.assertIn("status=sent (250 2.0.0 Ok: queued as ", self.postfix.log())


