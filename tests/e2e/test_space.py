# SPDX-License-Identifier: Apache-2.0
"""A real file system that its clients fill, and one that somebody else fills to the last block (DUR-04)."""

import os
import smtplib
import socket
import socketserver
import sqlite3
import subprocess
import threading
import time

from case import Case, Stage
from world.relay import Relay

DOMAINS = []
SETTINGS = {}
MIB = 1 << 20
SINK = ("127.0.0.9", 2025)
LINE = b"z" * 998 + b"\r\n"


class Sink(socketserver.ThreadingTCPServer):
    """A next hop that takes everything."""

    allow_reuse_address = daemon_threads = True

    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 sink\r\n")
            for line in self.rfile:
                if line[:4].upper() == b"DATA":
                    self.wfile.write(b"354 go\r\n")
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self.server.count += 1
                self.wfile.write(b"250 ok\r\n")

    def __init__(self):
        super().__init__(SINK, Sink.Session)
        self.count = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Space(Case):
    def disk(self, name, mib):
        """An ext4 of its own, without blocks that only root may take."""
        image, mount = Stage.world.path(name + ".img"), Stage.world.path(name)
        os.makedirs(mount)
        with open(image, "wb") as file:
            file.truncate(mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        self.addCleanup(os.unlink, image)
        self.addCleanup(subprocess.run, ["umount", "-l", mount], check=False)
        return mount

    def relay_on(self, mount, port, reserve, **settings):
        settings = {"data_dir": os.path.join(mount, "data"), "limits": {"min_free_space": f"{reserve}MiB"},
                    "routes": [{"match": ["*"], "hosts": [f"[{SINK[0]}]:{SINK[1]}"]}],
                    "delivery": {"retry": {"first": "1s", "factor": 1, "max": "1s", "jitter": 0}}, **settings}
        relay = Relay(Stage.world, Stage.build, settings, name=f"on-{os.path.basename(mount)}", port=port)
        self.addCleanup(relay.stop)
        return relay

    @staticmethod
    def free(mount):
        system = os.statvfs(mount)
        return system.f_bavail * system.f_frsize

    @staticmethod
    def fill(mount):
        """What a foreign program does: to the last block."""
        with open(os.path.join(mount, "foreign"), "ab", buffering=0) as file:
            for octets in (MIB, 4096, 512):
                try:
                    while file.write(b"x" * octets) == octets:
                        pass
                except OSError:
                    pass

    def crowd(self, relay, mail, megabytes, clients=25):
        """The replies to the end of content of all of them at once, and what was free at worst."""
        replies, least, done = [None] * clients, [1 << 60], threading.Event()

        def watch():
            while not done.wait(0.01):
                least[0] = min(least[0], self.free(relay.settings["data_dir"]))

        def send(i, barrier):
            with socket.create_connection(("127.0.0.1", relay.port), timeout=120) as client, client.makefile("rb") as file:
                def ask(text):
                    client.sendall(text + b"\r\n")
                    while (line := file.readline())[3:4] == b"-":
                        pass
                    return line.decode()
                file.readline()
                ask(b"EHLO client.test")
                replies[i] = ask(mail)
                ask(f"RCPT TO:<u{i}@full.test>".encode())
                barrier.wait()
                if replies[i].startswith("250 "):
                    replies[i] = ask(b"DATA")
                if replies[i].startswith("354 "):
                    client.sendall(b"Subject: x\r\n\r\n")
                    for _ in range(megabytes):
                        client.sendall(LINE * 1000)
                    replies[i] = ask(b".")

        barrier = threading.Barrier(clients)
        threads = [threading.Thread(target=send, args=(i, barrier)) for i in range(clients)]
        threading.Thread(target=watch, daemon=True).start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        done.set()
        return replies, least[0]

    def taken_within(self, relay, seconds):
        end = time.monotonic() + seconds
        while True:
            try:
                return relay.send("new@full.test")
            except smtplib.SMTPResponseException as refused:
                self.assertEqual(refused.smtp_code, 452, refused)
                self.assertLess(time.monotonic(), end, f"no mail is taken though there is room\n{relay.tail()}")
            time.sleep(0.1)

    def refused(self, relay):
        with self.assertRaises(smtplib.SMTPResponseException) as refused:
            relay.send("more@full.test")
        self.assertEqual((refused.exception.smtp_code, refused.exception.smtp_error[:6]), (452, b"4.3.1 "), relay.tail())

    def touched(self, relay, *order):
        code, answer = relay.tool("queue", *order)
        self.assertEqual(code, 0, f"{order[0]}: {answer}\n{relay.tail()}")
        return answer["touched"]

    def test_dur_04_clients_that_announce_more_than_there_is_are_refused_at_data_and_the_reserve_holds(self):
        mount = self.disk("announced", 256)
        with self.relay_on(mount, 2611, 128) as relay:
            # it brings half of what it announced: the log may lie beside the database for as long as the disk is slow to copy it
            replies, least = self.crowd(relay, b"MAIL FROM:<a@client.test> SIZE=48000000", 24)
            self.assertEqual({reply[:9] for reply in replies}, {"250 2.0.0", "452 4.3.1"}, replies)
            self.assertGreaterEqual(least, 126 * MIB, "announced streams went below min_free_space")
            self.assertEqual(len(relay.tool("queue", "list")[1]), sum(reply.startswith("250") for reply in replies))
            relay.tool("queue", "remove", "--all", "--yes")
            self.taken_within(relay, 5)

    def test_dur_04_clients_that_announce_nothing_are_cut_short_at_the_reserve(self):
        mount = self.disk("streams", 256)
        with self.relay_on(mount, 2612, 128) as relay:
            replies, least = self.crowd(relay, b"MAIL FROM:<a@client.test>", 10)
            self.assertTrue(all(reply.startswith(("250 2.0.0", "452 4.3.1")) for reply in replies), replies)
            self.assertTrue(any(reply.startswith("452") for reply in replies), replies)
            # what was cut short is free in the database, and counts; the log through which others fill it takes up to 24 MiB
            self.assertGreaterEqual(least, (128 - 24) * MIB, "streams went below min_free_space")
            relay.tool("queue", "remove", "--all", "--yes")
            self.taken_within(relay, 5)  # what was cut short is dropped

    def test_dur_04_a_disk_that_somebody_filled_stops_intake_only(self):
        mount = self.disk("foreign", 128)
        relay = self.relay_on(mount, 2613, 16)
        relay.start()
        ids = [relay.send(f"u{n}@full.test", body="x" * 70 * n + "\r\n") for n in range(60)]
        self.assertTrue(os.path.exists(os.path.join(mount, "data", "ballast")))
        self.fill(mount)
        self.assertEqual(self.free(mount), 0)
        time.sleep(1.2)
        self.refused(relay)
        for order in ("hold", "release", "retry"):
            self.assertEqual(self.touched(relay, order, "--all"), 60)
        self.assertEqual(self.touched(relay, "remove", *ids[:10]), 10)
        for end in (relay.stop, relay.kill9):
            self.fill(mount)
            end()
            self.fill(mount)
            relay.start()
            self.refused(relay)
            self.assertEqual(len(relay.tool("queue", "list")[1]), 50)
        self.assertEqual(self.touched(relay, "remove", ids[10]), 1)
        with Sink() as sink:
            relay.tool("queue", "retry", "--all")
            end = time.monotonic() + 30
            while relay.tool("queue", "list")[1] and time.monotonic() < end:
                time.sleep(0.1)
            self.assertEqual(relay.tool("queue", "list")[1], [], relay.tail())
            self.assertEqual(sink.count, 49)
            self.assertEqual(relay.log(event="results-lost"), [])
            self.refused(relay)
            os.unlink(os.path.join(mount, "foreign"))
            self.taken_within(relay, 5)
        self.assertEqual(relay.stop(), 0)

    def test_dur_04_a_stranger_writes_few_messages_to_postmaster(self):
        mount = self.disk("stranger", 64)
        with self.relay_on(mount, 2614, 8, listeners=[{"address": "127.0.0.1:2614", "allow": ["192.0.2.1"]}]) as relay:
            for n in range(20):
                relay.send("postmaster@relay.test", subject=f"n{n}")
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                relay.send("postmaster@relay.test")
            code, reply = refused.exception.recipients["postmaster@relay.test"]
            self.assertEqual((code, reply[:6]), (450, b"4.7.1 "))
            relay.wait_log(event="rejected", code="450")

    def test_a_database_that_another_program_locks_is_no_lack_of_space(self):
        mount = self.disk("locked", 64)
        with self.relay_on(mount, 2615, 8) as relay:
            other = sqlite3.connect(os.path.join(mount, "data", "queue.db"), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaises(smtplib.SMTPResponseException) as refused:
                relay.send("u@full.test")
            self.assertEqual((refused.exception.smtp_code, refused.exception.smtp_error[:6]), (451, b"4.3.0 "))
            relay.wait_log(event="store-failed", error=lambda text: text and "locked by another process" in text)
            other.execute("ROLLBACK")
            other.close()
            relay.send("u@full.test")
