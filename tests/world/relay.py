# SPDX-License-Identifier: Apache-2.0
"""The real daemon, started for a world, and its log as data."""

import json
import os
import re
import resource
import signal
import smtplib
import subprocess
import threading
import time

from . import ns

_PAIR = re.compile(r'([A-Za-z0-9_-]+)=("(?:[^"\\]|\\.)*"|[^ ]*)')
PATIENCE = 3  # a wait ends with what it waits for; that it took long is a busy machine's affair, and no failure
FINAL = ("delivered", "deferred", "bounced", "expired")


def parse_logfmt(line):
    """{"event": "delivered", …} of one log line; {} of a line that is none."""
    found = {}
    for key, value in _PAIR.findall(line):
        if value.startswith('"'):
            try:
                value = json.loads(value)
            except ValueError:
                value = value[1:-1]
        found[key] = value
    return found if "event" in found else {}


def merged(base, over):
    """`over` laid upon `base`, section by section."""
    result = dict(base)
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


class Relay:
    """`hoplockd` with a configuration for this world. `settings` is laid over it: {"security": {"dane": "audit"}}."""

    def __init__(self, world, build, settings=None, name="relay", port=2525):
        self.world = world
        self.build = build
        self.port = port
        self.directory = world.path(name)
        os.makedirs(os.path.join(self.directory, "data"), exist_ok=True)
        self.config = os.path.join(self.directory, "hoplock.yaml")
        self.settings = merged(self._defaults(), settings or {})
        self.write_config()
        self.lines = []  # every event so far, as a dict
        self.raw = []  # every line on standard error
        self._news = threading.Condition()
        self.open_files = None  # at most, for the whole process
        self._process = None
        self._reader = None

    def _defaults(self):
        w = self.world
        return {
            "hostname": "relay.test",
            "postmaster": "postmaster@relay.test",
            "data_dir": "data",
            "shutdown_timeout": "3s",
            "log": {"level": "debug", "format": "logfmt", "file": "-"},
            "listeners": [{"address": f"127.0.0.1:{self.port}"}],
            "limits": {"min_free_space": "1MiB"},
            "dns": {"trust_anchor": w.path("root.key"), "root_hints": w.path("root.hints"), "unbound_conf": w.path("unbound.conf"),
                    "timeout": "3s", "local_targets": "allow"},
            "tls": {"ca_file": w.authority.ca_file},
            "security": {"mta_sts": "off"},
            "delivery": {"connect_timeout": "2s", "command_timeout": "4s", "data_timeout": "4s", "idle_session": "1s",
                         "retry": {"first": "1s", "factor": 3, "max": "1h", "jitter": 0}, "delay_notice": "0s"},
            "tls_rpt": {"enabled": False},
        }

    def write_config(self):
        """JSON is YAML, and this is the whole file."""
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(self.settings, file, indent=1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, timeout=20):
        mark = len(self.lines)
        self._process = subprocess.Popen([os.path.join(self.build, "hoplockd"), "--config", self.config], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=self._prepare)
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        self.wait_log(timeout, mark, event="started")
        return self

    def _prepare(self):
        ns.die_with_parent()
        if self.open_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, self.open_files))

    def stop(self):
        """SIGTERM; the exit code, which must be 0."""
        if self._process is None:
            return 0
        if self._process.poll() is not None:
            return self._ended()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
            return self._ended()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RuntimeError("hoplockd did not end within 20 s of SIGTERM\n" + self.tail()) from None

    def kill9(self):
        self._process.kill()
        self._process.wait()
        self._ended()

    def _ended(self):
        """The exit code, once everything that it wrote has been read."""
        self._reader.join(5)
        return self._process.returncode

    def hang_up(self):
        self._process.send_signal(signal.SIGHUP)

    def reload(self):
        mark = len(self.lines)
        self.hang_up()
        return self.wait_log(10, mark, event="reloaded")

    def tail(self, count=40):
        return "\n".join(self.raw[-count:])

    def _read(self, stream):
        for raw in stream:
            text = raw.decode("utf-8", "replace").rstrip("\n")
            event = parse_logfmt(text)
            with self._news:
                self.raw.append(text)
                if event:
                    self.lines.append(event)
                self._news.notify_all()

    @staticmethod
    def _fits(line, wanted):
        for key, value in wanted.items():
            have = line.get(key)
            if callable(value):
                if not value(have):
                    return False
            elif isinstance(value, (tuple, list, set)):
                if have not in value:
                    return False
            elif have != value:
                return False
        return True

    def log(self, since=0, **wanted):
        """Events so far with these keys; a value may be a tuple of allowed ones or a function. The relay's log is written behind its
        back: what has just happened may not be here yet, so whoever counts waits first (wait_log, wait_logs)."""
        with self._news:
            return [line for line in self.lines[since:] if self._fits(line, wanted)]

    def wait_log(self, timeout=20, since=0, **wanted):
        """The first event with these keys, waiting for it; an AssertionError with the log's end when it does not come."""
        end = time.monotonic() + timeout * PATIENCE
        with self._news:
            position = since
            while True:
                dead = self._process is not None and self._process.poll() is not None and not self._reader.is_alive()
                while position < len(self.lines):
                    if self._fits(self.lines[position], wanted):
                        return self.lines[position]
                    position += 1
                left = end - time.monotonic()
                if left <= 0 or dead:
                    break
                self._news.wait(min(left, 0.2))
        state = f"hoplockd ended with {self._process.returncode}" if dead else f"not within {timeout * PATIENCE} s"
        related = "\n".join(str(line) for line in self.log(to=wanted["to"])) if "to" in wanted else ""
        raise AssertionError(f"no log line {wanted}: {state}\n{related}\n{self.tail()}")

    def wait_text(self, *words, timeout=10):
        """The first line that holds all these words, whatever its event."""
        end = time.monotonic() + timeout
        with self._news:
            while not (found := [line for line in self.raw if all(word in line for word in words)]):
                if time.monotonic() > end:
                    raise AssertionError(f"nothing in the log says {words}")
                self._news.wait(0.2)
        return found[0]

    def wait_logs(self, count, timeout=20, since=0, **wanted):
        """Every event with these keys, once there are `count` of them."""
        end, position = time.monotonic() + timeout * PATIENCE, since
        for _ in range(count):
            line = self.wait_log(max(0, end - time.monotonic()) / PATIENCE, position, **wanted)
            with self._news:
                position = next(n for n in range(position, len(self.lines)) if self.lines[n] is line) + 1
        return self.log(since, **wanted)

    def outcome(self, recipient, timeout=30):
        """The log line that ended this recipient's first attempt."""
        return self.wait_log(timeout, event=FINAL, to=recipient)

    def hops(self, domain):
        return self.log(event="hop", domain=domain)

    def send(self, recipients, sender="sender@relay.test", body="hello\r\n", subject="test", headers="", options=(), rcpt_options=()):
        """Submits one message and returns its queue id."""
        recipients = [recipients] if isinstance(recipients, str) else list(recipients)
        text = f"From: {sender}\r\nTo: {recipients[0]}\r\nSubject: {subject}\r\n{headers}\r\n{body}"
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test", timeout=30) as client:
            client.ehlo()
            code, reply = client.mail(sender, options)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, reply, sender)
            for recipient in recipients:
                code, reply = client.rcpt(recipient, rcpt_options)
                if code != 250:
                    raise smtplib.SMTPRecipientsRefused({recipient: (code, reply)})
            code, reply = client.data(text.encode())
            found = re.match(rb"2\.0\.0 Ok: queued as ([0-9A-Za-z]{8,32})$", reply)
            if code != 250 or not found:
                raise smtplib.SMTPDataError(code, reply)
            return found.group(1).decode()

    def tool(self, *arguments, timeout=30):
        """`hoplock --config … --json ARGUMENTS`: (exit code, what it printed as data)."""
        done = subprocess.run([os.path.join(self.build, "hoplock"), "--config", self.config, "--json", *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        try:
            data = json.loads(done.stdout)
        except ValueError:
            data = None
        return done.returncode, data

    def text(self, *arguments, timeout=30):
        """What people see: the exit code, standard output and standard error."""
        done = subprocess.run([os.path.join(self.build, "hoplock"), "--config", self.config, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def peak_memory(self):
        """The most that the daemon's memory ever was, in octets."""
        return self.memory("VmHWM")

    def memory(self, key="VmRSS"):
        """What of the daemon is in memory now, in octets."""
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))
