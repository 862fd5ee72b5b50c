# SPDX-License-Identifier: Apache-2.0
"""A real Postfix: on port 25 of one address as a receiver, and as a client that hands its mail to the relay."""

import grp
import os
import pwd
import signal
import smtplib
import subprocess
import time

from . import ns

MASTER = "/usr/lib/postfix/sbin/master"

MAIN_CF = """compatibility_level = 3.6
config_directory = {d}/etc
queue_directory = {d}/queue
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = {host}
mydestination =
inet_interfaces = {ip}
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
maillog_file = {d}/log/mail.log
maillog_file_prefixes = {d}
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {d}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_security_level = may
smtpd_tls_chain_files = {chain}
smtpd_tls_received_header = yes
smtpd_tls_session_cache_database =
smtp_tls_security_level = may
disable_dns_lookups = yes
relayhost = [127.0.0.1]:{relay_port}
"""

MASTER_CF = """25 inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "private", "public", "saved",
          "trace")


def available():
    """Postfix is installed, and we may become its user."""
    try:
        pwd.getpwnam("postfix")
        grp.getgrnam("postdrop")
        with open("/proc/self/uid_map", encoding="ascii") as file:
            whole = int(file.read().split()[2]) > 65535
        return whole and os.geteuid() == 0 and os.path.exists(MASTER)
    except KeyError:
        return False


class Postfix:
    """Receives for `domain` at the address of the world's host `host` (whose behaviour is {"down": "elsewhere"})."""

    def __init__(self, world, domain, host, relay_port=2525):
        self.directory = world.path("postfix")
        self.host = host
        placed = world.host(host)
        self.ip = placed.ip[0]
        ns.add_address(self.ip + "/32")  # Postfix listens only on addresses that an interface carries by itself
        user = pwd.getpwnam("postfix")
        self._make_directories(user)
        certificate = os.path.join(self.directory, "etc", "chain.pem")
        with open(certificate, "wb") as file:
            file.write(placed.certificate.pem())
        os.chmod(certificate, 0o600)
        main = MAIN_CF.format(d=self.directory, host=host, ip=self.ip, domain=domain, uid=user.pw_uid, gid=user.pw_gid,
                              chain=certificate, relay_port=relay_port)
        for name, text in (("main.cf", main), ("master.cf", MASTER_CF)):
            path = os.path.join(self.directory, "etc", name)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            os.utime(path, (0, 0))  # Postfix waits until its configuration is some seconds old
        self._process = None

    def _make_directories(self, user):
        drop = grp.getgrnam("postdrop").gr_gid
        for name in ("", "etc", "queue", "queue/pid", "data", "log", "mail", *(f"queue/{queue}" for queue in QUEUES)):
            path = os.path.join(self.directory, name)
            os.makedirs(path, mode=0o755)
            short = name.removeprefix("queue/")
            if name in ("data", "mail") or short in QUEUES:
                os.chown(path, user.pw_uid, drop if short in ("maildrop", "public") else -1)
            if short in QUEUES:
                os.chmod(path, {"maildrop": 0o730, "public": 0o710}.get(short, 0o700))

    def __enter__(self):
        self._process = subprocess.Popen([MASTER, "-c", os.path.join(self.directory, "etc")], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=ns.die_with_parent)
        end = time.monotonic() + 15
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with smtplib.SMTP(self.ip, 25, timeout=5):
                    return self
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)
        raise RuntimeError(f"Postfix does not answer on {self.ip}:\n{self.log()[-3000:]}")

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def log(self):
        try:
            with open(os.path.join(self.directory, "log", "mail.log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return "(no log)"

    def mails(self):
        """What lies in the mailbox, as octets with LF line ends."""
        box = os.path.join(self.directory, "mail", "inbox", "new")
        if not os.path.isdir(box):
            return []
        found = []
        for name in sorted(os.listdir(box)):
            with open(os.path.join(box, name), "rb") as file:
                found.append(file.read())
        return found

    def send(self, sender, recipients, text):
        """Gives Postfix a message that it passes to the relay."""
        with smtplib.SMTP(self.ip, 25, local_hostname="client.test", timeout=20) as client:
            client.sendmail(sender, recipients, text)
