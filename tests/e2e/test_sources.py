# SPDX-License-Identifier: Apache-2.0
"""`sources`: which address mail leaves from and under which name, as the servers see it; the log and the trace say the same."""

from case import Case, Domain, Host

DOMAINS = [
    Domain("one.lab", "a server", hosts=(Host(),), signed=False, send=False),
    Domain("two.lab", "a server with a source of its own", hosts=(Host(),), signed=False, send=False),
    Domain("three.lab", "behind an address that this machine does not have", hosts=(Host(),), signed=False, send=False),
    Domain("both.lab", "a server with addresses of both families", hosts=(Host(aaaa=("fd00::61",)),), signed=False, send=False),
    Domain("six.lab", "a server with IPv6 alone", hosts=(Host(a=False, aaaa=("fd00::62",)),), signed=False, send=False),
    Domain("hub.lab", "takes mail for several domains", hosts=(Host(),), signed=False, send=False),
]
SETTINGS = {
    "hostname": "relay.test",
    "delivery": {"idle_session": "5s"},
    "routes": [{"match": ["x.example", "y.example"], "hosts": ["mx.hub.lab:25"]}],
    "sources": [
        {"match": ["three.lab"], "ipv4": "192.0.2.77"},
        {"match": ["y.example"], "ipv4": "127.0.0.79", "hostname": "out79.test"},
        {"senders": ["contoso.com"], "ipv4": "127.0.0.77", "hostname": "out77.contoso.com"},
        {"match": ["two.lab"], "ipv4": "127.0.0.78"},
    ],
}


class Sources(Case):
    def came(self, host, recipient):
        """(from where, under which name) the mail to this recipient came; each session said one name."""
        for session in self.sessions(host):
            if any(recipient in mail.recipients for mail in session.mails):
                names = {line.split()[1] for line, _ in session.commands if line.upper().startswith("EHLO")}
                self.assertEqual(len(names), 1, session.commands)
                return session.peer, names.pop()
        self.fail(f"{recipient} is not at {host}")

    def test_the_first_source_that_matches_decides_and_no_session_serves_two(self):
        rows = (("ann@contoso.com", "a@one.lab", ("127.0.0.77", "out77.contoso.com")),
                ("ann@contoso.com", "b@two.lab", ("127.0.0.77", "out77.contoso.com")),
                ("ann@other.example", "c@two.lab", ("127.0.0.78", "relay.test")),
                ("ann@other.example", "d@one.lab", (None, "relay.test")),
                ("bob@CONTOSO.com", "e@one.lab", ("127.0.0.77", "out77.contoso.com")),
                ("", "f@two.lab", ("127.0.0.78", "relay.test")))
        for sender, recipient, _ in rows:
            self.relay.send(recipient, sender=sender)
            self.relay.outcome(recipient)
        for _, recipient, (address, name) in rows:
            with self.subTest(recipient):
                peer, said = self.came("mx." + recipient.split("@")[1], recipient)
                self.assertEqual(said, name)
                if address:
                    self.assertEqual(peer, address)
                else:
                    self.assertNotIn(peer, ("127.0.0.77", "127.0.0.78"))
                line = self.relay.outcome(recipient)
                self.assertEqual((line["event"], line["src"]), ("delivered", peer))
                code, text, _ = self.relay.text("trace", recipient)
                self.assertEqual(code, 0)
                self.assertIn(f", from {peer}", text)

    def test_recipients_of_one_message_whose_sources_differ_share_no_session(self):
        self.relay.send(["x@x.example", "y@y.example", "z@x.example"], sender="ann@other.example")
        for recipient in ("x@x.example", "y@y.example", "z@x.example"):
            self.assertEqual(self.relay.outcome(recipient)["event"], "delivered")
        self.assertEqual(self.came("mx.hub.lab", "y@y.example"), ("127.0.0.79", "out79.test"))
        self.assertEqual(self.came("mx.hub.lab", "x@x.example")[1], "relay.test")
        first = [mail.recipients for mail in self.arrived("mx.hub.lab")]
        self.assertCountEqual([sorted(one) for one in first], [["x@x.example", "z@x.example"], ["y@y.example"]])

    def test_a_source_of_one_family_leaves_over_no_other(self):
        for number in range(6):
            self.relay.send(f"s{number}@both.lab", sender="ann@contoso.com")
            line = self.relay.outcome(f"s{number}@both.lab")
            self.assertEqual((line["event"], line["src"]), ("delivered", "127.0.0.77"))
        self.relay.send("s@six.lab", sender="ann@contoso.com")
        line = self.relay.outcome("s@six.lab")
        self.assertEqual(line["event"], "deferred")
        self.assertIn("it has no IPv4 address, and sources names no address of another family to leave from", str(line))
        self.untouched("mx.six.lab")
        self.relay.send("t@six.lab", sender="ann@other.example")
        self.assertEqual(self.relay.outcome("t@six.lab")["event"], "delivered")

    def test_mail_whose_source_is_not_there_waits_and_leaves_from_no_other(self):
        warned = self.relay.wait_log(5, event="config-warning", error=lambda text: "192.0.2.77" in (text or ""))
        self.assertIn("not an address of this machine", warned["error"])
        self.relay.send("q@three.lab", sender="ann@other.example")
        line = self.relay.outcome("q@three.lab")
        self.assertEqual((line["event"], line["src"]), ("deferred", "192.0.2.77"))
        self.untouched("mx.three.lab")
