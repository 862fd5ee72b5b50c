# SPDX-License-Identifier: Apache-2.0
"""What mail clients meet at the relay's door: swaks, smtplib, Postfix, bare sockets, and strace that watches the disk."""

import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import unittest

from case import Case, Domain, Host, Stage
from world import postfix
from world.relay import Relay

DOMAINS = [
    Domain("good.test", "DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("dead.test", "nobody answers", hosts=(Host(smtp={"down": "black hole"}),), send=False),
    Domain("postfix.test", "Postfix is a client", hosts=(Host(smtp={"down": "elsewhere"}),), send=False),
]
STARTTLS, REQUIRED, IMPLICIT, STRANGERS = 2525, 2526, 2527, 2528
SETTINGS = {
    "postmaster": "admin@good.test",
    "listeners": [
        {"address": f"127.0.0.1:{STARTTLS}"},
        {"address": f"127.0.0.1:{REQUIRED}", "tls": "required"},
        {"address": f"127.0.0.1:{IMPLICIT}", "tls": "implicit"},
        {"address": f"127.0.0.1:{STRANGERS}", "allow": ["127.9.9.9"]},
    ],
    "limits": {"command_timeout": "3s", "connections_per_client": 1000},
}
QUEUED = re.compile(rb"250 2\.0\.0 Ok: queued as ([0-9A-Za-z]{8,32})\r\n")


class Plain:
    """A bare socket and its lines."""

    def __init__(self, port=STARTTLS, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        if greet:
            self.reply()
            self.ask("EHLO client.test")

    def reply(self):
        lines = b""
        while True:
            line = self.file.readline()
            lines += line
            if line[3:4] != b"-":
                return lines

    def ask(self, text):
        self.socket.sendall((text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return self.reply()

    def envelope(self, to, options=""):
        self.ask(f"MAIL FROM:<a@client.test>{options}")
        for one in [to] if isinstance(to, str) else to:
            self.ask(f"RCPT TO:<{one}>")
        return self.ask("DATA")

    def deliver(self, to, data, options=""):
        self.envelope(to, options)
        stuffed = re.sub(rb"(?m)^\.", b"..", data)
        return self.ask(stuffed + b".")

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def swaks(*arguments):
    done = subprocess.run(["swaks", "--from", "a@client.test", "--to", "swaks@good.test", "--helo", "client.test", "--suppress-data",
                           *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
                          check=False)
    return done.returncode, done.stdout.decode()


def status_kib(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M).group(1))


class Clients(Case):
    def pid(self):
        return self.relay._process.pid  # pylint: disable=protected-access

    @unittest.skipUnless(shutil.which("swaks"), "swaks is not installed")
    def test_SUB_13_SUB_29_swaks_in_clear_with_STARTTLS_and_with_TLS_from_the_start(self):
        for arguments in (("--server", f"127.0.0.1:{STARTTLS}"), ("--server", f"127.0.0.1:{STARTTLS}", "--tls"),
                          ("--server", f"127.0.0.1:{REQUIRED}", "--tls"), ("--server", f"127.0.0.1:{IMPLICIT}", "--tlsc"),
                          ("--server", f"127.0.0.1:{STARTTLS}", "--pipeline")):
            code, said = swaks(*arguments)
            self.assertEqual(code, 0, said)
            self.assertRegex(said, r"250 2\.0\.0 Ok: queued as [0-9A-Za-z]{8,32}")
        code, said = swaks("--server", f"127.0.0.1:{REQUIRED}")
        self.assertNotEqual(code, 0, said)
        self.assertIn("530 5.7.0", said)

    def test_SUB_01_a_stranger_may_not_relay_but_reaches_the_postmaster(self):
        with Plain(STRANGERS) as client:
            client.ask("MAIL FROM:<a@client.test>")
            self.assertTrue(client.ask("RCPT TO:<x@good.test>").startswith(b"550 5.7.1 "))
            client.ask("RSET")
            self.assertRegex(client.deliver("Postmaster", b"Subject: for the postmaster\r\n\r\nx\r\n"), QUEUED)
        self.relay.outcome("admin@good.test")
        self.assertTrue(self.arrived("mx.good.test", "admin@good.test"))

    def test_SUB_03_SUB_11_SUB_14_smtplib_sees_what_is_offered_and_greets_again_inside_TLS(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP("127.0.0.1", STARTTLS, timeout=10) as client:
            client.ehlo()
            self.assertEqual(client.esmtp_features.get("size"), str(50 << 20))
            for keyword in ("pipelining", "8bitmime", "enhancedstatuscodes", "starttls"):
                self.assertTrue(client.has_extn(keyword), keyword)
            client.starttls(context=context)
            self.assertEqual(client.docmd("MAIL", "FROM:<a@client.test>")[0], 503)
            client.ehlo()
            self.assertFalse(client.has_extn("starttls"))
            self.assertEqual(client.sendmail("a@client.test", ["tls@good.test"], b"Subject: x\r\n\r\nx\r\n"), {})
        self.relay.wait_log(event="accepted", tls="TLSv1.3")
        mail = self._delivered("tls@good.test")
        self.assertRegex(mail.data, rb"(?s)^Received: from .* with ESMTPS id .*Subject: x\r\n\r\nx\r\n$")

    def _delivered(self, recipient):
        self.relay.wait_log(event="delivered", to=recipient)
        return self.arrived("mx.good.test", recipient)[0]

    def test_SUB_06_SUB_07_smuggling_sequences_lead_to_one_refusal_and_no_mail(self):
        for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n")):
            with Plain() as client:
                client.envelope(f"smuggled{number}@good.test")
                client.socket.sendall(b"Subject: one\r\n\r\nx" + end + b"MAIL FROM:<evil@client.test>\r\nRCPT TO:<victim@good.test>\r\nDATA\r\n")
                self.assertTrue(client.ask("\r\n.").startswith(b"554 5.6.0 "), end)
                self.assertTrue(client.ask("QUIT").startswith(b"221 "))
        self.assertFalse([line for line in self.relay.log(event="accepted") if line["from"] == "evil@client.test"])

    def test_SUB_09_SUB_17_dots_and_octets_above_127_arrive_as_they_were_sent(self):
        data = b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n" + bytes(range(0x80, 0x100)) + b"\r\nend\r\n"
        with Plain() as client:
            self.assertRegex(client.deliver("dots@good.test", data, " BODY=8BITMIME"), QUEUED)
        mail = self._delivered("dots@good.test")
        self.assertTrue(mail.data.endswith(b"\r\n" + data), mail.data[-300:])
        self.assertIn("BODY=8BITMIME", [word.upper() for word in mail.parameters])

    def test_SUB_28_a_line_of_a_million_octets_arrives_as_it_was_sent(self):
        data = b"Subject: long\r\n\r\n" + bytes(33 + n * 7 % 90 for n in range(1_000_000)) + b"\r\nend\r\n"
        with Plain() as client:
            self.assertRegex(client.deliver("long@good.test", data), QUEUED)
        self.assertTrue(self._delivered("long@good.test").data.endswith(b"\r\n" + data))

    def test_SUB_27_SUB_31_two_recipients_are_in_no_header_and_a_source_route_is_gone(self):
        with Plain() as client:
            client.deliver(["open@good.test", "@a.example,@b.example:secret@good.test"], b"Subject: x\r\n\r\nx\r\n")
        for name in ("open", "secret"):
            mail = self._delivered(f"{name}@good.test")
            head = mail.data[:mail.data.index(b"Subject:")]
            self.assertEqual(head.count(b"Received:"), 1)
            self.assertIn(b"from client.test ([127.0.0.1])\r\n\tby relay.test with ESMTP id ", head)
            self.assertNotIn(b"open", head)
            self.assertNotIn(b"secret", head)

    def test_SUB_30_250_does_not_wait_for_a_destination_that_does_not_answer(self):
        start = time.monotonic()
        with Plain() as client:
            self.assertRegex(client.deliver("x@dead.test", b"Subject: x\r\n\r\nx\r\n"), QUEUED)
        self.assertLess(time.monotonic() - start, 2)

    def test_SUB_30_clients_that_drip_are_cut_by_the_deadline_of_a_line_while_others_are_served(self):
        slow = [Plain() for _ in range(60)]
        over, served = time.monotonic() + 3.5, 0
        while time.monotonic() < over:
            for client in slow:
                try:
                    client.socket.send(b"N")
                except OSError:
                    pass
            with Plain() as client:
                self.assertTrue(client.ask("NOOP").startswith(b"250 "))
            served += 1
            time.sleep(0.1)
        for client in slow:
            self.assertTrue(client.reply().startswith(b"421 4.4.2 "))
            client.close()
        self.assertGreater(served, 10)

    def test_SUB_16_a_hundred_large_messages_at_once_take_little_memory(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's own memory would be measured")
        clients = [Plain() for _ in range(100)]
        for number, client in enumerate(clients):
            client.envelope(f"large{number}@dead.test")
        before = status_kib(self.pid(), "VmRSS")
        block, most = (b"x" * 62 + b"\r\n") * 1024, 0
        for _ in range(40):  # 2.5 MiB each
            for client in clients:
                client.socket.sendall(block)
            most = max(most, status_kib(self.pid(), "VmRSS"))
        for client in clients[:50]:
            self.assertRegex(client.ask("."), QUEUED)
        for client in clients:
            client.close()
        most = max(most, status_kib(self.pid(), "VmRSS"))
        self.assertLess(most - before, 64 * 1024)
        print(f"100 clients raised the resident set by {(most - before) / 1024:.1f} MiB")

    def test_SUB_30_SIGTERM_tells_open_sessions_421_and_lets_a_message_finish(self):
        settings = SETTINGS | {"listeners": [{"address": "127.0.0.1:2599"}], "shutdown_timeout": "10s"}
        with Relay(Stage.world, Stage.build, settings, name="second", port=2599) as second, Plain(2599) as idle, Plain(2599) as busy:
            busy.envelope("x@good.test")
            busy.socket.sendall(b"Subject: x\r\n")
            time.sleep(0.1)
            second._process.send_signal(signal.SIGTERM)  # pylint: disable=protected-access
            self.assertTrue(idle.reply().startswith(b"421 4.3.2 "))
            self.assertEqual(idle.file.read(), b"")
            idle.close()
            self.assertRegex(busy.ask("\r\nx\r\n."), QUEUED)
            self.assertTrue(busy.reply().startswith(b"421 4.3.2 "))
            busy.close()
            self.assertEqual(second.stop(), 0)


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class Durable(Case):
    """SUB-29: the daemon's system calls, watched from outside."""

    def watch(self, action):
        """The daemon's calls while `action` runs, in order: ("sync",), ("got", fd, octets) and ("said", fd, octets)."""
        out = Stage.world.path("strace.out")
        pid = self.relay._process.pid  # pylint: disable=protected-access
        tracer = subprocess.Popen(["strace", "-f", "-q", "-s", "200", "-o", out, "-p", str(pid), "-e",
                                   "trace=fdatasync,fsync,sync_file_range,recvmsg,recvfrom,read,readv,sendmsg,sendto,write,writev"],
                                  stderr=subprocess.PIPE)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                if not re.search(r"^TracerPid:\s+0$", file.read(), re.M):
                    break
            if tracer.poll() is not None:
                self.skipTest("strace may not attach here: " + tracer.stderr.read().decode())
            time.sleep(0.01)
        time.sleep(0.2)  # the other threads are attached one by one
        try:
            action()
            with Plain() as client:  # once it is greeted, all calls before are traced to their end
                client.ask("NOOP")
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
            tracer.stderr.close()
        return list(self._calls(out))

    @staticmethod
    def _calls(path):
        begun = {}
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                thread, _, call = line.rstrip("\n").partition(" ")
                call = call.strip()
                if call.endswith("<unfinished ...>"):
                    begun[thread] = call.removesuffix("<unfinished ...>")
                    if call.startswith(("send", "write")):  # what is said counts from when it may be seen
                        call, begun[thread] = begun[thread] + ") = 1", ""
                    else:
                        continue
                resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", call)
                if resumed:
                    call = begun.pop(thread, "") + resumed.group(1)
                if re.match(r"f(data)?sync\(\d+ ?\)\s+= 0", call):
                    yield ("sync",)
                found = re.match(r"(\w+)\((\d+), (.*)\s+= (\d+)$", call)
                if found and found.group(4) != "0":
                    kind = "got" if found.group(1).startswith(("recv", "read")) else "said"
                    yield (kind, int(found.group(2)), found.group(3))

    def submit(self, sessions, messages):
        def one():
            with Plain() as client:
                for _ in range(messages):
                    self.assertRegex(client.deliver("strace@dead.test", b"Subject: x\r\n\r\nx\r\n"), QUEUED)

        threads = [threading.Thread(target=one) for _ in range(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def check(self, sessions, messages):
        calls = self.watch(lambda: self.submit(sessions, messages))
        syncs, answers, at_dot = 0, 0, {}
        for call in calls:
            if call[0] == "sync":
                syncs += 1
            elif call[0] == "got" and r"\r\n.\r\n" in call[2]:
                at_dot[call[1]] = syncs
            elif call[0] == "said" and "250 2.0.0 Ok: queued as" in call[2]:
                answers += 1
                self.assertIn(call[1], at_dot)
                self.assertGreater(syncs, at_dot.pop(call[1]), "a 250 without a sync since the final dot")
        self.assertEqual(answers, sessions * messages)
        return syncs, answers

    def test_SUB_29_a_sync_before_each_250_of_one_session(self):
        self.check(1, 20)

    def test_SUB_29_fifty_sessions_share_syncs(self):
        syncs, answers = self.check(50, 10)
        print(f"{answers} messages, {syncs} syncs")
        self.assertLess(syncs, answers)


@unittest.skipUnless(postfix.available(), "Postfix is not installed, or may not become its own user here")
class FromPostfix(Case):
    def test_SUB_10_SUB_16_postfix_pipelines_through_STARTTLS(self):
        with postfix.Postfix(Stage.world, "postfix.test", "mx.postfix.test", STARTTLS) as sender:
            recipients = [f"p{number}@good.test" for number in range(20)]
            sender.send("a@client.test", recipients, b"Subject: x\r\n\r\n.dots\r\n..\r\n")
            for recipient in recipients:
                self.relay.wait_log(event="delivered", to=recipient)
            end = time.monotonic() + 10  # its log may come later than the mail
            while "status=sent (250 2.0.0 Ok: queued as " not in sender.log() and time.monotonic() < end:
                time.sleep(0.05)
            self.assertIn("status=sent (250 2.0.0 Ok: queued as ", sender.log())
        accepted = self.relay.wait_log(event="accepted", helo="mx.postfix.test")
        self.assertEqual((accepted["tls"], accepted["nrcpt"]), ("TLSv1.3", "20"))
        self.assertIn(b"\r\n\r\n.dots\r\n..\r\n", self.arrived("mx.good.test", recipients[0])[0].data)
