# SPDX-License-Identifier: Apache-2.0
"""Conversations as a send connector of Exchange holds them (tests/exchange), replayed octet by octet."""

import email
import email.policy
import os
import pathlib
import shutil
import socket
import subprocess
import unittest

from case import Case, Domain, Host
from test_door import DOMAINS as DOOR
from test_door import LOGIN, PASSWORD, settings, trusting

DSN = ("PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES", "DSN")
DOMAINS = [*DOOR, Domain("knows.test", "a host with DSN", hosts=(Host(tlsa=("3 1 1",), smtp={"extensions": DSN}),), send=False)]
ALLOWED = 2530
NODE_PATH = os.pathsep.join(("/usr/share/nodejs", os.environ.get("NODE_PATH", "")))
SCRIPTS = pathlib.Path(__file__).parent.parent / "exchange"


def SETTINGS(world):  # pylint: disable=invalid-name
    made = settings(world)
    made["listeners"].append({"address": f"127.0.0.1:{ALLOWED}"})
    return made


def has_nodemailer():
    found = shutil.which("node") and subprocess.run(["node", "-e", "require('nodemailer')"], env={**os.environ, "NODE_PATH": NODE_PATH},
                                                    capture_output=True, check=False)
    return bool(found) and found.returncode == 0


class Exchange(Case):
    def replay(self, name, port):
        """Everything that was sent as content."""
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        lines, pending, content = connection.makefile("rb"), b"", b""
        for number, step in enumerate((SCRIPTS / name).read_text("utf-8").split("\n"), 1):
            kind, _, text = step.partition(":")
            text = text.removeprefix(" ").encode()
            if kind in ("C", "D"):
                pending += text + b"\r\n"
                content += text + b"\r\n" if kind == "D" else b""
                continue
            if pending:
                connection.sendall(pending)
                pending = b""
            if kind == "T":
                connection = trusting().wrap_socket(connection)
                lines = connection.makefile("rb")
            elif kind == "S":
                reply = lines.readline()
                while reply[3:4] == b"-":
                    reply = lines.readline()
                self.assertTrue(reply.startswith(text), f"{name}:{number}: expected {text}, got {reply}")
        self.assertEqual(lines.readline(), b"", "the session goes on")
        connection.close()
        return content

    def contents(self, recipient):
        return [mail.data for mail in self.arrived("mx.good.test", recipient)]

    def test_SUB_09_SUB_16_SUB_18_messages_of_a_send_connector_arrive_as_they_were_sent(self):
        for name, port in (("starttls_bdat.txt", ALLOWED), ("clear_data.txt", ALLOWED), ("binary_rset.txt", ALLOWED), ("auth_login.txt", LOGIN)):
            mark = len(self.relay.lines)
            content = self.replay(name, port)
            taken = self.relay.wait_log(20, mark, event="accepted")
            self.relay.wait_log(20, mark, event="delivered", to="bob@good.test", id=taken["id"])
            if name == "auth_login.txt":
                self.assertTrue(any(mail.endswith(content) for mail in self.contents("bob@good.test")))
        self.relay.wait_log(20, event="delivered", to="carl@good.test")
        half = self.contents("carl@good.test")[0]
        self.assertTrue(half.endswith("Grüße\r\n.\r\n..two dots\r\n".encode()), half)

    def test_DSN_10_SUB_16_what_a_connector_says_of_notices_and_logins_goes_on_as_it_came(self):
        mark = len(self.relay.lines)
        content = self.replay("dsn_pipelined.txt", LOGIN)
        taken = self.relay.wait_logs(3, since=mark, event="accepted")
        self.assertEqual(len(taken), 3)
        for line in taken:
            self.relay.wait_log(20, mark, event="delivered", to="bob@knows.test", id=line["id"])
        for name, times in (("bob", 3), ("carl", 1), ("eve", 1)):
            mails = self.arrived("mx.knows.test", f"{name}@knows.test")
            self.assertEqual(len(mails), times, name)
        self.assertEqual([mail for mail in self.arrived("mx.knows.test") if "dave@knows.test" in mail.recipients], [], "given up by RSET")
        sent = "\n".join(line for session in self.sessions("mx.knows.test") for line, _ in session.commands)
        for words in ("RET=HDRS ENVID=52+2B7f4c+3DEXCH01", "RET=FULL", "NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bob@Knows.Test",
                      "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;carl+2Bnews@knows.test", "NOTIFY=NEVER"):
            self.assertIn(words, sent)
        self.assertNotIn("AUTH=", sent)
        arrived = [mail.data.split(b"\r\nFrom: ", 1)[1] for mail in self.arrived("mx.knows.test")]
        for text in content.split(b"From: ")[1:]:
            if b"given up" not in text:
                self.assertIn(text, arrived)

    @unittest.skipUnless(has_nodemailer(), "nodemailer is not here: Debian's node-nodemailer (scripts/deps), or NODE_PATH")
    def test_SUB_01_SUB_24_nodemailer_is_a_client_as_any(self):
        done = subprocess.run(["node", str(pathlib.Path(__file__).with_name("nodemailer.js")), str(LOGIN), "exchange", PASSWORD, "node@good.test"],
                              env={**os.environ, "NODE_PATH": NODE_PATH}, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        ids = [line.rsplit(" ", 1)[1] for line in done.stdout.splitlines()]
        self.assertEqual(len(ids), 4, done.stdout)
        for each in ids:
            self.relay.wait_log(20, event="delivered", id=each)
        mails = [email.message_from_bytes(mail.data, policy=email.policy.default) for mail in self.arrived("mx.good.test", "node@good.test")]
        by_subject = {mail["subject"]: mail for mail in mails}
        self.assertEqual(sorted(by_subject), ["Grüße", "attached", "plain", "told"])
        self.assertEqual(by_subject["plain"].get_content().replace("\r\n", "\n"), "first\n.\n..two dots\n")
        self.assertEqual(by_subject["Grüße"].get_body(("plain",)).get_content().replace("\r\n", "\n"), "Ärger über Öl\n")
        attached = next(by_subject["attached"].iter_attachments())
        self.assertEqual((attached.get_filename(), attached.get_content()), ("räume.bin", (b"hoplock\0" * 37500)))
