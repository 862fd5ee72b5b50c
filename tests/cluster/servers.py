# SPDX-License-Identifier: Apache-2.0
"""Two PostgreSQL servers in synchronous streaming, in a folder of their own, as a user without rights: what several nodes share."""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

LEAST = 15
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
synchronous_standby_names = '*'
synchronous_commit = on
hot_standby_feedback = off
wal_sender_timeout = 4s
wal_receiver_timeout = 4s
wal_receiver_status_interval = 1s
tcp_keepalives_idle = 2
idle_in_transaction_session_timeout = 60s
max_connections = 60
shared_buffers = 32MB
max_wal_size = 256MB
log_min_messages = warning
"""


class Missing(Exception):
    """What is needed is not installed; says what."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def programs():
    """The folder of the newest PostgreSQL's programs."""
    found = [(int(path.split("/")[4]), path) for path in glob.glob("/usr/lib/postgresql/[0-9]*/bin")]
    if not found or max(found)[0] < LEAST:
        raise Missing(f"PostgreSQL {LEAST} or newer is not installed (apt-get install postgresql-{LEAST})")
    return max(found)[1]


def user():
    """Whom the servers run as: they refuse root. None: whoever we are."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("there is no user but root for the servers to run as")


class Server:
    """One of them."""

    def __init__(self, pair, name):
        self.pair, self.name = pair, name
        self.port = free_port()
        self.folder = pair.folder / name
        self.process = None

    def start(self):
        log = open(self.pair.folder / f"{self.name}.log", "ab")
        self.process = subprocess.Popen([f"{self.pair.bin}/postgres", "-D", str(self.folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        preexec_fn=self.pair.become, start_new_session=True)
        log.close()
        self.wait_for("SELECT 1", "1")

    def kill(self):
        """As a power cut of the machine would: all its processes at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def ask(self, sql, database="postgres", timeout=10, options=""):
        """What psql prints of it; "" when the server does not answer."""
        command = [f"{self.pair.bin}/psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hoplock", "-d", database, "-c", sql]
        environment = {**os.environ, "PGCONNECT_TIMEOUT": "2", "PGOPTIONS": options}
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False,
                                  env=environment)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.decode().strip() if done.returncode == 0 else ""

    def wait_for(self, sql, answer, seconds=60):
        end = time.monotonic() + seconds
        while self.ask(sql) != answer:
            if time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL {self.name} does not say {answer!r} to {sql!r}:\n{self.pair.log(self.name)}")
            time.sleep(0.05)


class Pair:
    """A primary and its synchronous standby; `primary` and `standby` say which is which, None: it is dead."""

    def __init__(self, folder):
        self.bin = programs()
        self.user = user()
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.a, self.b = Server(self, "a"), Server(self, "b")
        self.primary, self.standby = self.a, None

    def become(self):
        if self.user:
            os.setgid(self.user.pw_gid)
            os.setgroups([])
            os.setuid(self.user.pw_uid)

    def run(self, program, *arguments):
        done = subprocess.run([f"{self.bin}/{program}", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, preexec_fn=self.become, cwd=self.folder, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout.decode()}")

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def configure(self, server):
        with open(server.folder / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(SETTINGS.format(port=server.port, folder=self.folder))

    def start(self):
        self.run("initdb", "-D", self.a.folder, "-U", "hoplock", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        with open(self.a.folder / "pg_hba.conf", "a", encoding="utf-8") as file:
            file.write("host replication all 127.0.0.1/32 trust\n")
        self.configure(self.a)
        self.a.start()
        # what is committed before there is a standby waits for none
        self.a.ask("CREATE DATABASE hoplock", options="-c synchronous_commit=local")
        self.join(self.b)

    def join(self, server):
        """From nothing to the standby of the primary."""
        shutil.rmtree(server.folder, ignore_errors=True)
        slot = f"slot_{server.name}"
        self.primary.ask(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'")
        self.run("pg_basebackup", "-h", "127.0.0.1", "-p", self.primary.port, "-U", "hoplock", "-D", server.folder, "-R", "-C", "-S", slot, "-X",
                 "stream", "-c", "fast", "--no-sync")
        self.configure(server)
        server.start()
        self.primary.wait_for("SELECT sync_state FROM pg_stat_replication", "sync")
        self.standby = server

    def fail_over(self):
        """The primary's machine dies, the standby takes its place; there is no standby until rejoin()."""
        dead, self.primary, self.standby = self.primary, self.standby, None
        dead.kill()
        self.primary.ask("SELECT pg_promote(true, 30)", timeout=40)
        self.primary.wait_for("SELECT pg_is_in_recovery()", "f")

    def rejoin(self):
        self.join(self.b if self.primary is self.a else self.a)

    def ask(self, sql):
        return self.primary.ask(sql, "hoplock")

    def url(self, ports=None):
        a, b = ports or (self.a.port, self.b.port)
        return f"postgresql://hoplock@127.0.0.1:{a},127.0.0.1:{b}/hoplock"

    def stop(self):
        for server in (self.a, self.b):
            server.stop()
