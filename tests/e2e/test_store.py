# SPDX-License-Identifier: Apache-2.0
"""The store under the hands of others: programs that open it, people who delete it, backups."""

import os
import pathlib
import shutil
import smtplib
import subprocess

from case import Case

DOMAINS = []
# nobody listens there: mail is taken and stays
SETTINGS = {"routes": [{"match": ["stays.test"], "hosts": ["[127.0.0.9]:9"]}],
            "delivery": {"retry": {"first": "1h", "factor": 1, "max": "1h", "jitter": 0}}}


class Store(Case):
    @property
    def data(self):
        return pathlib.Path(self.relay.directory, "data")

    def fill(self, count, octets):
        body = "x" * 70 + "\r\n"
        return {self.relay.send("user@stays.test", body=body * (octets // len(body))) for _ in range(count)}

    def listed(self):
        code, messages = self.relay.tool("queue", "list")
        self.assertEqual(code, 0)
        return {message["id"] for message in messages}

    def ends_with(self, code):
        self.assertEqual(self.relay._process.wait(20), code, self.relay.tail())  # pylint: disable=protected-access

    def shell(self, *commands):
        return subprocess.run(["sqlite3", str(self.data / "queue.db"), *commands], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=30, check=False).returncode

    def test_DUR_01_another_programs_connection_takes_no_acknowledged_mail_with_it(self):
        sent = self.fill(40, 1_000_000)  # more than one checkpoint
        log = os.stat(self.data / "queue.db-wal").st_ino
        self.assertEqual(self.shell(f".backup {self.data}/elsewhere.db"), 0)
        self.assertEqual(self.shell("CREATE TABLE IF NOT EXISTS scratch (x)", "INSERT INTO scratch VALUES (1)", "DROP TABLE scratch"), 0)
        self.assertEqual(os.stat(self.data / "queue.db-wal").st_ino, log)
        sent |= self.fill(20, 1000)
        self.relay.kill9()
        self.relay.start()
        self.assertLessEqual(sent, self.listed())

    def test_DUR_03_a_log_that_is_deleted_ends_the_250s_and_loses_nothing(self):
        for name in ("queue.db-wal", "queue.db", "queue.db-shm"):
            sent = self.fill(20, 1000)
            (self.data / name).unlink()
            with self.assertRaises((smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected)) as refused:
                self.relay.send("user@stays.test")
            problem = refused.exception
            if not isinstance(problem, (smtplib.SMTPDataError, smtplib.SMTPServerDisconnected)):
                self.assertEqual(problem.smtp_code, 421)  # to the QUIT behind it
                problem = problem.__context__
            if not isinstance(problem, smtplib.SMTPServerDisconnected):
                self.assertIsInstance(problem, smtplib.SMTPDataError)
                self.assertEqual(problem.smtp_code, 451)
                self.assertIn(b"4.3.0", problem.smtp_error)
            self.ends_with(74)
            self.relay.wait_log(1, event="store-failed", level="error", error=lambda text, n=name: text and f"{n} was deleted" in text)
            self.relay.start()
            self.assertLessEqual(sent, self.listed())

    def test_DUR_03_what_the_end_finds_is_told_and_is_exit_74(self):
        sent = self.fill(5, 1000)
        database = self.data / "queue.db"
        ours = database.read_bytes()
        with open(database, "r+b") as file:
            file.write(ours[:4096] + bytes(~octet & 255 for octet in ours[4096:]))
        self.assertEqual(self.relay.stop(), 74, self.relay.tail())
        self.relay.wait_log(1, event="store-failed", level="error", error=lambda text: text and "queue.db was overwritten" in text)
        with open(database, "r+b") as file:
            file.write(ours)
        done = subprocess.run([os.path.join(self.relay.build, "hoplockd"), "--config", self.relay.config], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn(b"was overwritten while the daemon used it", done.stderr)
        (self.data / "queue.db-synced").unlink()  # the very file is back, and its log belongs to it
        self.relay.start()
        self.assertLessEqual(sent, self.listed())

    def test_the_lock_is_on_the_data_not_on_its_file(self):
        (self.data / "lock").unlink()
        second = subprocess.run([os.path.join(self.relay.build, "hoplockd"), "--config", self.relay.config], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(second.returncode, 69, second.stderr)
        self.assertIn(b"lock", second.stderr)

    def test_DUR_05_a_damaged_log_is_exit_74_and_a_copy_of_it_is_kept(self):
        sent = self.fill(50, 1000)
        self.relay.kill9()
        log = self.data / "queue.db-wal"
        whole = log.read_bytes()
        with open(log, "r+b") as file:
            file.seek(32 + 20 * 4120 + 1000)
            octet = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([octet[0] ^ 4]))
        done = subprocess.run([os.path.join(self.relay.build, "hoplockd"), "--config", self.relay.config], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertRegex(done.stderr.decode(), r"frame 21 of its log queue\.db-wal.* [0-9]+ whole frames lie behind it")
        self.assertTrue((self.data / "queue.db-wal.damaged").exists())
        log.write_bytes(whole)
        self.relay.start()
        self.assertLessEqual(sent, self.listed())
        (self.data / "queue.db-wal.damaged").unlink()

    def test_BND_03_damage_that_the_start_had_no_time_for_is_exit_74_when_it_is_found(self):
        many = [f"user{n}@stays.test" for n in range(1000)]
        for _ in range(3):
            self.relay.send(many)
        self.assertEqual(self.relay.stop(), 0)
        database = self.data / "queue.db"
        for sql in ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO history"
                    " SELECT (1 << 40) + (i << 15), strftime('%s') * 1000, printf('{\"x\":\"%04000d\"}', i) FROM n",
                    "PRAGMA wal_checkpoint(TRUNCATE)"):
            self.assertEqual(self.shell(sql), 0)  # it is large now
        shutil.copy(database, self.data / "before.db")
        leaves = subprocess.run(["sqlite3", str(database), "SELECT pageno FROM dbstat WHERE name = 'recipient_place' AND pagetype = 'leaf'"
                                 " ORDER BY path"], stdout=subprocess.PIPE, timeout=30, check=True).stdout.split()
        with open(database, "r+b") as file:
            file.seek((int(leaves[len(leaves) // 2]) - 1) * 4096)
            file.write(b"\x5a" * 4096)
        self.relay.start()
        self.ends_with(74)
        self.relay.wait_log(1, event="store-damaged", level="error",
                            error=lambda text: text and f"{database}: the database is damaged" in text)
        for name in ("queue.db", "queue.db-wal", "queue.db-shm"):
            (self.data / name).unlink(missing_ok=True)
        (self.data / "before.db").rename(database)
        self.relay.start()

    def test_backup_and_restore(self):
        sent = self.fill(30, 30_000)
        copy = pathlib.Path(self.relay.directory, "copy.db")
        copy.unlink(missing_ok=True)
        code, out, err = self.relay.text("backup", str(copy))
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"^backed up to .*: \d+ messages, \d+ recipients; verified$")
        self.assertEqual(copy.stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.relay.text("backup", str(copy))[0], 73)  # never over a file
        self.assertEqual(self.relay.text("backup", "/nowhere/copy.db")[0], 73)
        before = self.listed()
        self.assertLessEqual(sent, before)
        self.assertEqual(self.relay.text("restore", str(copy))[0], 69)  # it runs
        self.relay.stop()
        self.assertEqual(self.relay.text("restore", str(copy))[0], 73)  # there is a store
        shutil.move(self.data, str(self.data) + ".old")
        code, out, err = self.relay.text("restore", str(copy))
        self.assertEqual(code, 0, err)
        self.assertIn("; verified", out)
        self.assertEqual(self.listed(), before)
        self.relay.start()
        self.assertEqual(self.listed(), before)
        self.fill(1, 1000)

    def test_a_restore_that_is_cut_short_leaves_no_empty_store(self):
        self.fill(20, 30_000)
        copy = pathlib.Path(self.relay.directory, "short.db")
        copy.unlink(missing_ok=True)
        self.assertEqual(self.relay.text("backup", str(copy))[0], 0)
        before = self.listed()
        self.relay.kill9()
        for name in ("queue.db", "queue.db-wal", "queue.db-shm"):
            (self.data / name).unlink()
        command = ["prlimit", f"--fsize={copy.stat().st_size // 2}", os.path.join(self.relay.build, "hoplock"), "--config", self.relay.config,
                   "restore", str(copy)]
        self.assertNotEqual(subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False).returncode, 0)
        done = subprocess.run([os.path.join(self.relay.build, "hoplockd"), "--config", self.relay.config], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(self.relay.text("restore", str(copy))[0], 0)
        self.relay.start()
        self.assertEqual(self.listed(), before)

    def test_what_is_given_back(self):
        self.fill(60, 300_000)
        self.relay.stop()  # what the log holds is in the database then
        full = (self.data / "queue.db").stat().st_size
        self.relay.start()
        self.assertEqual(self.relay.tool("queue", "remove", "--all", "--yes")[0], 0)
        code, done = self.relay.tool("compact")
        self.assertEqual(code, 0)
        self.assertGreater(done["pages"], 1000)
        self.relay.stop()
        # the history of other tests stays
        self.assertLess((self.data / "queue.db").stat().st_size, full - 17_000_000)
        self.relay.start()

    def test_who_may_read_the_queue_of_a_stopped_daemon(self):
        self.fill(3, 1000)
        self.relay.stop()
        for path in pathlib.Path(self.relay.directory).parents:
            if path.stat().st_mode & 0o005 != 0o005 and path.owner() == "root":
                os.chmod(path, 0o755)
        os.chmod(self.relay.directory, 0o755)
        os.chmod(self.relay.config, 0o644)
        os.chmod(self.data, 0o750)
        os.chown(self.data, 0, 4242)
        os.chown(self.data / "queue.db", 0, 4242)

        def as_user(*groups):
            command = ["setpriv", "--reuid", "4343", "--regid", "4343", *groups, os.path.join(self.relay.build, "hoplock"), "--config",
                       self.relay.config, "queue", "list"]
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)

        member = as_user("--groups", "4242")
        self.assertEqual(member.returncode, 0, member.stderr)
        self.assertIn(b"stays.test", member.stdout)
        stranger = as_user("--clear-groups")
        self.assertEqual(stranger.returncode, 74)
        self.assertIn(b"Permission denied", stranger.stderr)
        self.relay.start()
        self.relay.kill9()  # the log stays
        for name in ("queue.db-wal", "queue.db-shm"):
            os.chown(self.data / name, 0, 4242)
        member = as_user("--groups", "4242")
        self.assertEqual(member.returncode, 0, member.stderr)
        self.assertIn(b"stays.test", member.stdout)
        self.relay.start()
