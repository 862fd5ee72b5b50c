# SPDX-License-Identifier: Apache-2.0
"""The service between installation and removal: set up after the guide, reloaded, restarted, used by operators, killed."""

import os
import pathlib
import re
import shutil
import smtplib
import subprocess
import time

import mail
from administrator import (CONFIG, DATA, DROP_INS, ETC, LOGS, NEW, OLDER, PASSWORD, RELAY, apt, as_user, booted, configure, exists,
                           expect, guide, has, journal, reload, rights, run, state, typed, unit, until)

ROUTE = f"""
delivery:
  retry: {{first: 2s, factor: 1, max: 2s, jitter: 0}}
routes:
  - match: ["*"]
    hosts: ["[{mail.SINK[0]}]:{mail.SINK[1]}"]
"""


class Service:
    """What the steps share: the receiving end, and the version under test."""

    def __init__(self):
        self.sink = mail.Sink()
        self.version = run("dpkg-deb", "-f", NEW, "Version").strip()
        self.older = run("dpkg-deb", "-f", OLDER, "Version").strip()

    def arrives(self, subject, seconds=30):
        until(f"{subject!r} arrives", lambda: subject in self.sink.taken, seconds)

    # --- as it comes

    def booted(self):
        """the system is bare and up"""
        up = until("systemd has booted", booted, 60)
        expect(not exists("hoplock"), "there is a user hoplock already")
        run("ip", "address", "add", f"{RELAY}/32", "dev", "lo")
        with open("/etc/hosts", "a", encoding="utf-8") as hosts:
            hosts.write(f"{RELAY} relay.contoso.com relay\n")
        return f"{up}, {run('systemctl', '--version').splitlines()[0]}"

    def install(self):
        """apt install: the service runs, and starts at boot"""
        apt("install", NEW)
        expect(state() == "active", f"hoplockd is {state()}")
        expect(run("systemctl", "is-enabled", "hoplockd").strip() == "enabled", "not enabled")
        expect(subprocess.run(["systemctl", "is-enabled", "-q", "hoplockd.socket"], check=False).returncode, "the socket is on without being asked for")
        expect(run("dpkg", "--audit") == "", "dpkg --audit")
        return has(run("hoplock", "version"), self.version).strip()

    def rights(self):
        """user, group, directories and modes; nothing but loopback listens"""
        has(run("getent", "passwd", "hoplock"), "/var/lib/hoplock:/usr/sbin/nologin")
        wanted = {ETC: "root:hoplock 750", ETC / "dkim": "root:hoplock 750", DATA: "hoplock:hoplock 750", LOGS: "hoplock:hoplock 750"}
        for path, right in wanted.items():
            expect(rights(path) == right, f"{path}: {rights(path)}, not {right}")
        for path in DATA.iterdir():
            expect(re.fullmatch("hoplock:hoplock [0-7]*0", rights(path)), f"{path}: {rights(path)}")
        ports = [line.split()[3] for line in run("ss", "-Hltn").splitlines()]
        expect(set(ports) - {"127.0.0.1:2626"} == {"127.0.0.1:2525"}, f"listening: {ports}")
        return "127.0.0.1:2525 alone"

    def follow_the_guide(self):
        """the guide for Exchange, hoplock's side: three ways to relay, as they are written"""
        os.chdir(ETC)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=Contoso CA",
            "-keyout", "/root/ca.key", "-out", "contoso-ca.pem")
        for name, person in (("relay", "relay.contoso.com"), ("exch01", "exch01.contoso.com")):
            run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={person}",
                "-keyout", f"{name}.key", "-out", f"/root/{name}.csr", "-addext", f"subjectAltName=DNS:{person}")
            run("openssl", "x509", "-req", "-in", f"/root/{name}.csr", "-CA", "contoso-ca.pem", "-CAkey", "/root/ca.key", "-CAcreateserial",
                "-days", "90", "-copy_extensions", "copy", "-out", f"{name}.pem")
        hashed = run("mkpasswd", "-m", "yescrypt", PASSWORD).strip()
        pathlib.Path("users").write_text(f"exchange:{hashed}\n", "utf-8")
        steps = [*typed("cd"), *typed("chown")]
        expect(len(steps) == 4, f"the guide gives rights in {len(steps)} lines")
        run("sh", "-ec", "umask 077\n" + "\n".join(steps))
        listeners = next(block for block in guide("yaml") if "client_ca" in block)
        self.listeners = listeners.replace("allow: [192.0.2.10,", f"allow: [{RELAY}, 192.0.2.10,")  # "the host's own address must be in allow"
        configure(self.listeners + ROUTE)
        run("hoplock", "config", "check")
        reload()
        lines = typed("swaks")
        expect(len(lines) == 3, f"the guide has {len(lines)} lines of swaks")
        for number, line in enumerate(lines, 1):
            subject = f"way {number}"
            said = has(run("sh", "-c", f"{line.replace('SECRET', repr(PASSWORD))} --h-Subject '{subject}'"), "250 2.0.0 Ok: queued as ", " TLSv1.")
            self.arrives(subject)
            ID = re.search("queued as (\\w+)", said)[1]
            until("trace tells the delivery", lambda ID=ID: "delivered" in run("hoplock", "trace", ID), 10)
        return "address, login, certificate"

    # --- reload and restart

    def bad_reload(self):
        """reload of a broken file fails, says why, and changes nothing"""
        good, pid = CONFIG.read_text("utf-8"), unit("MainPID")
        configure(good.partition("\n")[2] + "postmster: ann@contoso.com\n")
        line = CONFIG.read_text("utf-8").count("\n")
        said = has(reload(code=1), f"{CONFIG}:{line}:1: ", "postmster", "postmaster")
        has(run("systemctl", "status", "--no-pager", "-n", "20", "hoplockd"), f"{CONFIG}:{line}:1: ", "active (running)")
        expect((state(), unit("MainPID")) == ("active", pid), "the daemon did not go on")
        mail.send("under the old configuration", RELAY)
        self.arrives("under the old configuration")
        CONFIG.write_text(good, "utf-8")
        return next(line for line in said.splitlines() if "postmster" in line)[:100]

    def good_reload(self):
        """reload of a good file takes effect, sessions go on"""
        with smtplib.SMTP(RELAY, 2525, timeout=30) as client:
            client.ehlo()
            pid = unit("MainPID")
            configure(self.listeners + ROUTE + "limits:\n  message_size: 12MiB\n")
            has(reload(), "ok=true")
            mail.hand_over(client, "across the reload")
        self.arrives("across the reload")
        with smtplib.SMTP(RELAY, 2525, timeout=30) as client:
            has(client.ehlo()[1].decode(), f"SIZE {12 << 20}")
        expect(unit("MainPID") == pid, "another process")
        return f"SIZE {12 << 20}"

    def bad_start(self):
        """a restart with a broken file stays down, with exit 78, and does not go round"""
        good = CONFIG.read_text("utf-8")
        CONFIG.write_text(good + "no_such_key: 1\n", "utf-8")
        since = time.time()
        run("systemctl", "restart", "hoplockd", code=None)
        time.sleep(5)  # RestartSec twice: nothing may come
        expect((state(), unit("ExecMainStatus"), unit("NRestarts")) == ("failed", "78", "0"), f"{state()} {unit('ExecMainStatus')} {unit('NRestarts')}")
        has(journal(since), "no_such_key")
        CONFIG.write_text(good, "utf-8")
        run("systemctl", "start", "hoplockd")
        return "failed, ExecMainStatus=78, NRestarts=0"

    def unreadable_key(self):
        """a key that only root can read: the reload is refused with words; chown root:hoplock mends it"""
        key = ETC / "relay.key"
        os.chown(key, 0, 0)
        key.chmod(0o600)
        said = has(reload(code=1), str(key))
        expect(state() == "active", "down")
        run("chown", "root:hoplock", str(key))
        key.chmod(0o640)
        has(reload(), "ok=true")
        return re.search(r"/etc/hoplock/hoplock\.yaml:\d+:\d+: [^\"]*", said)[0]

    def credential(self):
        """LoadCredential: a key that stays root's"""
        private = pathlib.Path("/etc/ssl/private/relay.key")
        private.parent.mkdir(exist_ok=True)
        run("useradd", "-m", "-G", "hoplock", "ann")
        run("useradd", "-m", "bob")
        shutil.move(ETC / "relay.key", private)
        os.chown(private, 0, 0)
        private.chmod(0o600)
        DROP_INS.mkdir(exist_ok=True)
        (DROP_INS / "key.conf").write_text(f"[Service]\nLoadCredential=relay.key:{private}\n", "utf-8")
        self.listeners = self.listeners.replace("key: relay.key", "key: /run/credentials/hoplockd.service/relay.key")
        configure(self.listeners + ROUTE)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "hoplockd")
        has(run("sh", "-c", f"openssl s_client -connect {RELAY}:2587 -starttls smtp -CAfile contoso-ca.pem -verify_hostname relay.contoso.com </dev/null 2>&1"),
            "Verify return code: 0 (ok)")
        run("hoplock", "config", "check")
        has(reload(), "ok=true")
        as_user("ann", "status")
        shutil.move(private, ETC / "relay.key")
        run("chown", "root:hoplock", str(ETC / "relay.key"))
        (ETC / "relay.key").chmod(0o640)
        shutil.rmtree(DROP_INS)
        self.listeners = self.listeners.replace("/run/credentials/hoplockd.service/", "")
        configure(self.listeners + ROUTE)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "hoplockd")
        return "root:root 600: served, reloaded, and ann of group hoplock uses the tool"

    def log_file(self):
        """log.file: below /var/log/hoplock it works; elsewhere it is refused with words, and does not go round"""
        configure(self.listeners + ROUTE + "log:\n  file: /var/log/hoplock/hoplock.log\n")
        reload()
        run("systemctl", "restart", "hoplockd")
        until("the log has a line", lambda: "event=started" in (LOGS / "hoplock.log").read_text("utf-8"))
        expect(rights(LOGS / "hoplock.log") == "hoplock:hoplock 640", rights(LOGS / "hoplock.log"))
        configure(self.listeners + ROUTE + "log:\n  file: /var/log/relay.log\n")
        since = time.time()
        reload(code=1)
        expect(state() == "active", "down")
        run("systemctl", "restart", "hoplockd", code=None)
        until("it stays down", lambda: state() == "failed", 60)
        said = has(journal(since), "/var/log/relay.log")
        ended = f"exit {unit('ExecMainStatus')}, {unit('NRestarts')} restarts"
        configure(self.listeners + ROUTE)
        run("systemctl", "reset-failed", "hoplockd")
        run("systemctl", "start", "hoplockd")
        return ended + ": " + re.search(r"the log file '/var/log/relay\.log'[^\"\n]*", said)[0]

    # --- operators

    def operators(self):
        """members of group hoplock use the tool, running and stopped; others are told what they lack"""
        self.sink.open = False
        waiting = mail.send("for operators", RELAY)
        for command in (("status",), ("config", "check"), ("queue", "stats"), ("queue", "retry", "--all"), ("reload",)):
            as_user("ann", *command)
        has(as_user("ann", "queue", "list"), waiting)
        refused = has(as_user("bob", "queue", "list", code=None), "permission denied", "members of the group")
        expect(refused.count("\n") == 1, f"bob is told:\n{refused}")
        for reader in ("ann", "root"):
            run("systemctl", "stop", "hoplockd")
            has(as_user(reader, "queue", "list"), waiting)
            has(as_user(reader, "trace", "you@example.org"), waiting)
            run("systemctl", "start", "hoplockd")
            for path in DATA.iterdir():
                expect(rights(path).startswith("hoplock:hoplock "), f"after {reader} looked: {path} is {rights(path)}")
        self.sink.open = True
        self.arrives("for operators")
        return refused.strip()

    def priorities(self):
        """journalctl -p warning has the warnings and no more"""
        all_of_it, warnings = (run("journalctl", "-u", "hoplockd", "-o", "cat", "--no-pager", *more) for more in ((), ("-p", "warning")))
        has(all_of_it, "level=info")
        expect("level=info" not in warnings and "level=error" in warnings, warnings[:2000])
        return f"{warnings.count(chr(10))} of {all_of_it.count(chr(10))} lines"

    def exposure(self):
        """systemd-analyze security: exposure at most 1.1"""
        said = run("systemd-analyze", "security", "--no-pager", "hoplockd.service")
        score = re.search(r"Overall exposure level for hoplockd\.service: ([0-9.]+)", said)
        expect(score and float(score[1]) <= 1.1, "\n".join(line for line in said.splitlines() if not line.startswith("✓")))
        return f"{score[1]}"

    # --- ends that are not asked for

    def killed(self):
        """kill -9: systemd starts it again, what it promised is delivered"""
        self.sink.open = False
        mail.send("before the kill", RELAY)
        pid = unit("MainPID")
        run("systemctl", "kill", "-s", "KILL", "hoplockd")
        until("another process is ready", lambda: state() == "active" and unit("MainPID") not in (pid, "0"))
        self.sink.open = True
        self.arrives("before the kill")
        return "started again once"

    def restart_limit(self):
        """a store that no restart mends: ten starts, then it stays down"""
        run("systemctl", "stop", "hoplockd")
        run("systemctl", "reset-failed", "hoplockd")
        good = DATA / "queue.db"
        aside = DATA / "good.db"
        good.rename(aside)
        good.write_bytes(b"no database" * 1000)
        shutil.chown(good, "hoplock", "hoplock")
        since = time.time()
        run("systemctl", "start", "hoplockd", code=None)
        until("the restarts end", lambda: state() == "failed", 120)
        time.sleep(5)
        restarts, ended = unit("NRestarts"), f"exit {unit('ExecMainStatus')}, {unit('NRestarts')} restarts, {unit('Result')}"
        expect(state() == "failed" and int(restarts) <= 10, f"{state()}, {restarts} restarts")
        has(journal(since), "queue.db")
        for path in DATA.glob("queue.db*"):
            path.unlink()
        aside.rename(good)
        run("systemctl", "reset-failed", "hoplockd")
        run("systemctl", "start", "hoplockd")
        return ended

    def low_port(self):
        """port 25 by hoplockd.socket, without a privilege of the daemon's"""
        override = pathlib.Path("/etc/systemd/system/hoplockd.socket.d")
        override.mkdir(exist_ok=True)
        (override / "override.conf").write_text(f"[Socket]\nListenStream=\nListenStream={RELAY}:25\n", "utf-8")
        self.listeners += f'  - address: "{RELAY}:25"\n    allow: [{RELAY}]\n'
        configure(self.listeners + ROUTE)
        run("systemctl", "daemon-reload")
        run("systemctl", "stop", "hoplockd")
        run("systemctl", "enable", "--now", "hoplockd.socket")
        mail.send("on port 25", RELAY, 25)
        self.arrives("on port 25")
        expect(state() == "active", state())
        return f"{RELAY}:25 started it"
