# SPDX-License-Identifier: Apache-2.0
"""The two ends of the mail that the walk sends: a receiver that keeps what it took, and senders that know what they were promised."""

import contextlib
import re
import smtplib
import socket
import socketserver
import threading
import time

SINK = ("127.0.0.1", 2626)


class Sink(socketserver.ThreadingTCPServer):
    """Takes every message, once it is `open`, and remembers each by its Subject; until then each recipient is 451."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(SINK, Session)
        self.open = True
        self.taken = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, message):
        subject = re.search(rb"^Subject: (.*?)\r\n", message, re.M | re.I)
        name = subject[1].decode() if subject else ""
        with self.lock:
            self.taken[name] = self.taken.get(name, 0) + 1


class Session(socketserver.StreamRequestHandler):
    timeout = 60

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        with contextlib.suppress(OSError):
            self.say("220 sink.example.org ESMTP")
            while (line := self.rfile.readline()) and self.answer(line.strip().upper()):
                pass

    def answer(self, command):
        if command == b"DATA":
            self.say("354 go on")
            message = b""
            while not message.endswith(b"\r\n.\r\n"):
                line = self.rfile.readline()
                if not line:
                    return False
                message += line
            self.server.take(message)
            self.say("250 2.0.0 taken")
        elif command.startswith(b"RCPT") and not self.server.open:
            self.say("451 4.2.0 not yet")
        elif command == b"QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("250 ok")
        return True


def send(subject, host="127.0.0.1", port=2525):
    """One message; the ID that hoplock gave it."""
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.ehlo()
        return hand_over(client, subject)


def hand_over(client, subject):
    client.mail("ann@contoso.com")
    code, said = client.rcpt("you@example.org")
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)
    code, said = client.data(f"From: ann@contoso.com\r\nTo: you@example.org\r\nSubject: {subject}\r\n\r\nfrom the walk\r\n".encode())
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)
    return re.search(rb"queued as ([0-9A-Za-z]{8,32})", said)[1].decode()


class Load:
    """Senders that do not let up. A message counts as promised only when its 250 was read; everything else is tried again as a new one."""

    def __init__(self, senders=6):
        self.promised, self.refused, self.longest_pause = [], 0, 0.0
        self.last, self.lock, self.done = time.monotonic(), threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(senders)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(60)

    def run(self, number):
        count = 0
        while not self.done.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", 2525, timeout=30) as client:
                    client.ehlo()
                    for _ in range(5):
                        count += 1
                        subject = f"load {number} {count}"
                        hand_over(client, subject)
                        self.keep(subject)
            except (OSError, smtplib.SMTPException, socket.timeout):
                with self.lock:
                    self.refused += 1
                time.sleep(0.05)

    def keep(self, subject):
        with self.lock:
            now = time.monotonic()
            self.longest_pause = max(self.longest_pause, now - self.last)
            self.last = now
            self.promised.append(subject)
