# SPDX-License-Identifier: Apache-2.0
"""The service manager's side of the daemon (sd_notify(3)): this file is the service manager. A start that gets on has more time, the
watchdog is fed while loop and disk live, and a hung disk or a hung program starves it."""

import contextlib
import os
import pathlib
import queue
import shutil
import signal
import smtplib
import socket
import threading
import time

from case import Case, Domain, Host, Stage

from world.relay import Relay

DOMAINS = [Domain("one.test", "takes mail", ("10 mx1",), (Host("mx1"),), send=False)]
STORES = pathlib.Path(__file__).resolve().parent.parent / "daemon/stores"
PATIENCE = 2.0  # of the watchdog, in seconds


class Manager:
    """A NOTIFY_SOCKET and all that came by it."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self.environment = {"NOTIFY_SOCKET": path}
        self.told = []  # (when, line)
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            text = self._socket.recv(4096).decode()
            with self._news:
                self.told += [(time.monotonic(), line) for line in text.splitlines()]
                self._news.notify_all()

    def lines(self, word):
        with self._news:
            return [when for when, line in self.told if line.startswith(word)]

    def wait(self, word, count=1, timeout=30):
        end = time.monotonic() + timeout
        with self._news:
            while len([1 for _, line in self.told if line.startswith(word)]) < count:
                if not self._news.wait(max(0, end - time.monotonic())):
                    raise AssertionError(f"no {word} ({count}) within {timeout} s: {self.told}")


class Watchdog(Case):
    @contextlib.contextmanager
    def watched(self, name, port, watchdog=True, **extra):
        manager = Manager(self.world.path(f"{name}.notify"))
        relay = Relay(self.world, Stage.build, {}, name, port)
        before = dict(os.environ)
        os.environ.update(manager.environment, **extra)
        if watchdog:
            os.environ["WATCHDOG_USEC"] = str(int(PATIENCE * 1e6))
        try:
            relay.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        try:
            yield relay, manager
        finally:
            if relay._process.poll() is None:
                relay.stop()

    def assert_starves(self, manager):
        """Longer than the watchdog's patience nothing feeds it."""
        time.sleep(PATIENCE / 2)  # what was on its way
        mark = len(manager.lines("WATCHDOG=1"))
        time.sleep(PATIENCE * 1.5)
        self.assertEqual(len(manager.lines("WATCHDOG=1")), mark, manager.told[-5:])

    def test_a_start_is_told_and_has_more_time_and_so_has_an_end(self):
        with self.watched("told", 2551) as (relay, manager):
            manager.wait("READY=1")
            extended = manager.lines("EXTEND_TIMEOUT_USEC=30000000")
            self.assertTrue(extended, manager.told)
            self.assertLess(extended[-1], manager.lines("READY=1")[0] + 0.001)
            manager.wait("WATCHDOG=1", 8)
            relay.reload()
            manager.wait("RELOADING=1")
            manager.wait("READY=1", 2)
            self.assertEqual(relay.stop(), 0)
            self.assertTrue(manager.lines("STOPPING=1"))
            self.assertTrue(manager.lines("EXTEND_TIMEOUT_USEC=23000000"), manager.told[-5:])  # shutdown_timeout is 3 s here

    def test_the_pauses_of_the_watchdog_are_shorter_than_half_its_patience(self):
        with self.watched("fed", 2552) as (relay, manager):
            for i in range(20):
                relay.send(f"u{i}@one.test")
            manager.wait("WATCHDOG=1", 12)
            fed = manager.lines("WATCHDOG=1")
            self.assertLess(max(b - a for a, b in zip(fed, fed[1:])), PATIENCE / 2 + 0.5)

    def test_who_has_no_watchdog_is_not_fed(self):
        with self.watched("unwatched", 2553, watchdog=False) as (relay, manager):
            manager.wait("READY=1")
            relay.send("user@one.test")
            relay.outcome("user@one.test")
            self.assertEqual(manager.lines("WATCHDOG=1"), [])

    def test_a_hung_program_starves_it(self):
        with self.watched("hung", 2554) as (relay, manager):
            manager.wait("WATCHDOG=1", 3)
            relay._process.send_signal(signal.SIGSTOP)
            try:
                self.assert_starves(manager)
            finally:
                relay._process.send_signal(signal.SIGCONT)
            manager.wait("WATCHDOG=1", len(manager.lines("WATCHDOG=1")) + 1)

    def test_a_hung_disk_starves_it_while_the_loop_runs_and_what_waited_is_taken_afterwards(self):
        library = pathlib.Path(Stage.build, "tests/bench/bench_storage.so")
        if Stage.is_sanitized() or not library.exists():
            self.skipTest("the library that makes a disk hang cannot be loaded here")
        data = os.path.join(self.world.path("slow"), "data")
        control = self.world.path("slow.control")
        with self.watched("slow", 2555, LD_PRELOAD=str(library), STORAGE_DIRECTORY=data, STORAGE_CONTROL=control) as (relay, manager):
            manager.wait("WATCHDOG=1", 3)
            pathlib.Path(control).write_text("sync queue.db-wal hang\n", encoding="ascii")
            taken = queue.Queue()
            threading.Thread(target=lambda: taken.put(relay.send("late@one.test")), daemon=True).start()
            try:
                self.assert_starves(manager)
                with smtplib.SMTP("127.0.0.1", relay.port, local_hostname="client.test", timeout=10) as client:
                    self.assertEqual(client.ehlo()[0], 250)  # the loop is well
                self.assertTrue(taken.empty())
            finally:
                os.unlink(control)
            self.assertTrue(taken.get(timeout=20))
            manager.wait("WATCHDOG=1", len(manager.lines("WATCHDOG=1")) + 2)

    def test_a_start_that_waits_for_a_disk_that_hangs_has_no_more_time(self):
        """The deadline moves with the work, not with the clock: nothing comes while the disk stands still."""
        library = pathlib.Path(Stage.build, "tests/bench/bench_storage.so")
        if Stage.is_sanitized() or not library.exists():
            self.skipTest("the library that makes a disk hang cannot be loaded here")
        relay = Relay(self.world, Stage.build, {}, "stuck", 2556)
        data = os.path.join(relay.directory, "data")
        shutil.copy(STORES / "schema-5.db", os.path.join(data, "queue.db"))  # an older version's: the start changes it
        control = self.world.path("stuck.control")
        pathlib.Path(control).write_text("sync queue.db-wal hang\n", encoding="ascii")
        manager = Manager(self.world.path("stuck.notify2"))
        before = dict(os.environ)
        os.environ.update(manager.environment, LD_PRELOAD=str(library), STORAGE_DIRECTORY=data, STORAGE_CONTROL=control)
        over = threading.Event()  # the daemon dies with the thread that started it
        threading.Thread(target=lambda: (relay.start(), over.wait()), daemon=True).start()
        self.addCleanup(over.set)
        try:
            manager.wait("EXTEND_TIMEOUT_USEC=")
            time.sleep(1)
            mark = len(manager.told)
            time.sleep(3)
            self.assertEqual(len(manager.told), mark, manager.told)
            self.assertEqual(manager.lines("READY=1"), [])
        finally:
            os.environ.clear()
            os.environ.update(before)
            os.unlink(control)
        manager.wait("READY=1")
        self.assertEqual(relay.stop(), 0)
