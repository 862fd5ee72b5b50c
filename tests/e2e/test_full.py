# SPDX-License-Identifier: Apache-2.0
"""A small disk that somebody fills, for real: what was acknowledged leaves once there is room, and new mail is taken again."""

import os
import smtplib
import socket
import subprocess
import threading
import time

from case import Case, Stage
from world.relay import Relay

DOMAINS = []
SETTINGS = {}
SINK = ("127.0.0.9", 2025)
SETTINGS_OF_FULL = {"routes": [{"match": ["*"], "hosts": [f"[{SINK[0]}]:{SINK[1]}"]}],
                    "limits": {"min_free_space": "256KiB"},
                    "delivery": {"retry": {"first": "1s", "factor": 1, "max": "1s", "jitter": 0}}}


class Sink:
    """Takes mail while its door is open; sessions that it has go on behind that."""

    def __init__(self, subjects, pause=0.0):
        self.subjects = subjects
        self.pause = pause
        self._socket = socket.create_server(SINK)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client):
        with client, client.makefile("rwb") as lines:
            def say(text):
                lines.write(text + b"\r\n")
                lines.flush()
            say(b"220 sink")
            while line := lines.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    say(b"354 go")
                    subject = None
                    while (line := lines.readline()) not in (b".\r\n", b""):
                        if line.startswith(b"Subject: "):
                            subject = line[9:].strip().decode()
                    time.sleep(self.pause)
                    self.subjects.append(subject)
                say(b"250 ok" if verb != b"QUIT" else b"221 bye")

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Full(Case):
    def setUp(self):
        self.full = Relay(Stage.world, Stage.build, SETTINGS_OF_FULL, name="full", port=2600)
        self.data = os.path.join(self.full.directory, "data")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", self.data], check=True)
        self.full.start()
        self.sink = None
        self.subjects = []
        self.count = 0

    def tearDown(self):
        if self.sink:
            self.sink.close()
        self.full.stop()
        subprocess.run(["umount", "-l", self.data], check=True)

    def try_to_send(self, octets):
        """The subject, where the answer was 250; else None, and the answer was one for a full disk."""
        self.count += 1
        subject = f"n{self.count}"
        try:
            self.full.send(f"user@d{self.count % 7}.test", subject=subject, body=("x" * 70 + "\r\n") * (octets // 72))
        except smtplib.SMTPResponseException as refused:
            self.assertEqual(refused.smtp_code, 452, refused)
            return None
        return subject

    def send_until_full(self, octets):
        sent = set()
        while subject := self.try_to_send(octets):
            sent.add(subject)
        self.assertGreater(len(sent), 3)
        return sent

    def fill(self, rest=0):
        """What a foreign program does: all but `rest` octets."""
        with open(os.path.join(self.data, "foreign"), "ab", buffering=0) as file:
            while True:
                free = os.statvfs(self.data)
                octets = min(free.f_bavail * free.f_frsize - rest, 1 << 16)
                if octets <= 0:
                    return
                try:
                    file.write(b"x" * octets)
                except OSError:
                    return

    def refused_soon(self, octets):
        """What came through before: pages that the database has free are room, and so is what is set aside, once."""
        came_through = set()
        for _ in range(500):
            if not (subject := self.try_to_send(octets)):
                return came_through
            came_through.add(subject)
        self.fail("a full disk goes on taking mail\n" + self.full.tail())
        return came_through

    def unfill(self):
        os.unlink(os.path.join(self.data, "foreign"))

    def all_leave(self, sent, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not sent <= set(self.subjects):
            time.sleep(0.05)
        missing = sent - set(self.subjects)
        self.assertFalse(missing, f"{len(missing)} of {len(sent)} acknowledged messages did not leave\n" + self.full.tail())
        while time.monotonic() < end and self.full.tool("queue", "list")[1]:
            time.sleep(0.1)
        self.assertEqual(self.full.tool("queue", "list"), (0, []), self.full.tail())

    def taken_again(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if subject := self.try_to_send(500):
                return subject
            time.sleep(0.1)
        self.fail("no mail is taken though there is room\n" + self.full.tail())
        return None

    def test_what_waited_while_somebody_filled_the_disk_leaves_once_there_is_room(self):
        for octets in (500, 40_000, 300_000):
            with self.subTest(octets=octets):
                sent = {self.try_to_send(octets) for _ in range(20)} - {None}
                self.fill()
                sent |= self.refused_soon(octets)
                time.sleep(3)  # attempts fail meanwhile, and cannot be written down
                self.sink = Sink(self.subjects)
                self.unfill()
                sent.add(self.taken_again(5))
                self.all_leave(sent, 15)
                self.sink.close()
                self.sink = None

    def test_a_disk_that_fills_while_mail_leaves_holds_nothing_up_for_good(self):
        self.sink = Sink(self.subjects, pause=0.05)
        for _ in range(5):
            sent = {self.try_to_send(20_000) for _ in range(40)} - {None}
            self.fill()
            time.sleep(2)
            self.unfill()
            sent.add(self.taken_again(5))
            self.all_leave(sent, 20)

    def test_own_mail_that_fills_the_disk_leaves_and_makes_room(self):
        for octets in (20_000, 200_000):
            sent = self.send_until_full(octets)
            self.sink = Sink(self.subjects)
            self.all_leave(sent, 60)
            self.taken_again(5)
            self.sink.close()
            self.sink = None

    def test_a_restart_on_a_full_disk_loses_nothing_and_goes_on(self):
        sent = {self.try_to_send(40_000) for _ in range(20)} - {None}
        self.fill()
        self.full.kill9()
        self.full.start()
        self.sink = Sink(self.subjects)
        self.unfill()
        sent.add(self.taken_again(5))
        self.all_leave(sent, 15)

    def test_a_change_of_partners_that_the_disk_does_not_hold_is_refused_in_words_and_changes_nothing(self):
        def partners():
            return [one["domain"] for one in self.full.tool("partner", "list")[1]]

        def imported(name, count, note):
            rows = "".join(f"p{one:06}.test,encrypt,,,{note}\n" for one in range(count))
            return self.full.text("partner", "import", Stage.world.write(name, "domain,level,exceptions,until,note\n" + rows))

        self.assertEqual(self.full.tool("partner", "require", "kept.test", "encrypt")[0], 0)
        code, out, error = imported("large.csv", 60_000, "x" * 500)  # 30 MB and more, on a disk of 24
        self.assertEqual((code, out), (74, ""), error)
        self.assertRegex(error, r"partners cannot be changed now: \d+ MiB are needed for it, and \d+ MiB are free beyond limits.min_free_space")
        self.assertEqual(partners(), ["kept.test"])
        self.assertEqual(self.full.log(event="partner", action="required", domain="p000000.test"), [])
        sent = {self.taken_again(10)}
        self.full.kill9()
        self.full.start()
        self.assertEqual(partners(), ["kept.test"])
        self.sink = Sink(self.subjects)
        self.all_leave(sent, 15)
        code, out, error = imported("small.csv", 100, "y")
        self.assertEqual(code, 0, error)
        self.assertEqual(len(partners()), 101)
        self.fill()
        code, _, error = self.full.text("partner", "require", "late.test", "encrypt", "--note", "z" * 900)
        self.assertIn(code, (0, 74), error)  # there may be room left that is set aside
        self.assertEqual("late.test" in partners(), code == 0)
        self.unfill()
