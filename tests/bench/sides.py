# SPDX-License-Identifier: Apache-2.0
"""The two relays that are compared, each with its own configuration, queue and log under one directory on the same disk.

Both are as durable as they come: Postfix syncs a queue file before it says 250, hoplock commits and syncs its database.
Postfix is Debian's, its defaults changed only where they would hold it back in this test or where they do work that hoplock
does not: nothing is chrooted, no limit on a client's connections or rates (anvil is never asked), no look-up of the client's
name, up to 200 smtpd and 200 smtp processes (hoplock opens up to 200 sessions), no in_flow_delay, its log written by its own
postlogd to a file, as hoplock writes its own. Its TLS reuses connections (tlsproxy) and resumes sessions.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from measure import Meter

POSTFIX_MASTER = """
127.0.0.2:2525 inet n - n - 200 smtpd
pickup    unix  n - n 60    1   pickup
cleanup   unix  n - n -     0   cleanup
qmgr      unix  n - n 300   1   qmgr
tlsmgr    unix  - - n 1000? 1   tlsmgr
rewrite   unix  - - n -     -   trivial-rewrite
bounce    unix  - - n -     0   bounce
defer     unix  - - n -     0   bounce
trace     unix  - - n -     0   bounce
verify    unix  - - n -     1   verify
flush     unix  n - n 1000? 0   flush
proxymap  unix  - - n -     -   proxymap
proxywrite unix - - n -     1   proxymap
smtp      unix  - - n -     200 smtp
relay     unix  - - n -     200 smtp
showq     unix  n - n -     -   showq
error     unix  - - n -     -   error
retry     unix  - - n -     -   error
discard   unix  - - n -     -   discard
anvil     unix  - - n -     1   anvil
scache    unix  - - n -     1   scache
tlsproxy  unix  - - n -     0   tlsproxy
postlog   unix-dgram n - n - 1  postlogd
"""

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log
maillog_file_prefixes = {base}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = postfix.bench
mydomain = bench
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
default_process_limit = 200
in_flow_delay = 0
message_size_limit = 52428800
notify_classes =
import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME LD_PRELOAD SLOWSYNC_US
smtp_dns_support_level = {dns}
smtp_tls_security_level = {tls}
smtp_tls_connection_reuse = yes
smtp_tls_session_cache_database = btree:{base}/data/smtp_scache
smtp_tls_loglevel = 1
{more}
"""

HOPLOCK = """
hostname: hoplock.bench
postmaster: postmaster@d000.clear
data_dir: {base}/data
log:
  file: {base}/log
listeners:
  - address: "127.0.0.3:2525"
    tls: none
dns:
  trust_anchor: {world.anchor}
  root_hints: {world.hints}
  unbound_conf: {world.unbound_conf}
  local_targets: allow
  forward: [{forward}]
{more}
"""


class Side:
    """`hold` keeps what was accepted in the queue, `dane` holds every hop to TLSA, `slow` is the shim of the slow disk. With a `forwarder`
    all names come from there, and it is nobody's; else the relay has a resolver of its own."""

    forwarder = ""

    def __init__(self, base, world):
        self.base = pathlib.Path(base)
        self.world = world
        self.meter = None
        self.process = None  # hoplockd
        self.resolver = None
        self.master = 0  # Postfix's

    def environment(self, slow):
        return dict(os.environ, LD_PRELOAD=str(slow)) if slow else dict(os.environ)

    def fresh(self):
        shutil.rmtree(self.base, ignore_errors=True)
        self.base.mkdir(mode=0o755)
        self.meter = Meter(self.name)

    def wait_until_ready(self, alive=lambda: True, limit=20):
        end = time.monotonic() + limit
        while time.monotonic() < end and alive():
            try:
                with socket.create_connection(self.address, timeout=5) as peer:
                    if peer.recv(512).startswith(b"220"):
                        peer.sendall(b"QUIT\r\n")
                        return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not answer on {self.address}: {self.log()[-2000:]}")

    def log(self):
        path = self.base / "log"
        return path.read_text(errors="replace") if path.exists() else ""


class Postfix(Side):
    name = "postfix"
    address = ("127.0.0.2", 2525)

    def settings(self, hold):
        # mail for the hold queue never meets the queue manager: the cheapest way Postfix has of keeping it
        return "smtpd_client_restrictions = check_client_access static:HOLD" if hold else ""

    def start(self, hold=False, dane=False, slow=None):
        self.fresh()
        config = self.base / "etc"
        config.mkdir()
        (self.base / "data").mkdir(mode=0o700)
        shutil.chown(self.base / "data", "postfix", "postfix")
        (self.base / "queue").mkdir(mode=0o755)
        (config / "main.cf").write_text(POSTFIX_MAIN.format(base=self.base, tls="dane" if dane else "",
                                                           dns="dnssec" if dane else "enabled", more=self.settings(hold)))
        (config / "master.cf").write_text(POSTFIX_MASTER)
        self.world.name_server(self.forwarder or "127.0.0.1")
        if not hold and not self.forwarder:
            self.resolver = subprocess.Popen(self.meter.command(self.world.resolver_command()), stderr=subprocess.DEVNULL)
            self.meter.roots.append(self.resolver.pid)
        started = subprocess.run(self.meter.command(["postfix", "-c", str(config), "start"]), env=self.environment(slow),
                                 stdout=subprocess.DEVNULL, stderr=(self.base / "start.log").open("w"))
        if started.returncode != 0:
            raise RuntimeError(f"Postfix does not start: {(self.base / 'start.log').read_text()} {self.log()}")
        self.master = int((self.base / "queue/pid/master.pid").read_text())
        self.meter.roots.append(self.master)
        self.wait_until_ready()

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.base / "etc"), "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while self.master and time.monotonic() < end and pathlib.Path(f"/proc/{self.master}").exists():
            try:
                os.waitpid(self.master, os.WNOHANG)  # in a pid namespace of our own its orphans are ours
            except ChildProcessError:
                pass
            time.sleep(0.05)
        self.master = 0
        if self.resolver:
            self.resolver.terminate()
            self.resolver.wait()
            self.resolver = None
        self.meter.close()

    def unverified(self):
        """Connections that DANE did not verify, from the log."""
        lines = [line for line in self.log().splitlines() if "TLS connection established" in line]
        return sum("Verified TLS" not in line for line in lines) if lines else None


class Hoplock(Side):
    name = "hoplock"
    address = ("127.0.0.3", 2525)

    def __init__(self, base, world, program, more=""):
        super().__init__(base, world)
        self.program = program
        self.more = more

    def template(self):
        return HOPLOCK

    def start(self, hold=False, dane=False, slow=None, more=""):
        self.fresh()
        if hold:
            # a next hop that refuses: the destination backs off and its mail waits
            more += 'routes:\n  - match: ["*"]\n    hosts: ["[127.9.9.9]:9"]\ndelivery:\n  retry: {first: 4h, max: 4h}\n'
        (self.base / "data").mkdir(mode=0o700)
        forward = f'"{self.forwarder}"' if self.forwarder else ""
        text = self.template().format(base=self.base, world=self.world, forward=forward, more=more + self.more)
        (self.base / "hoplock.yaml").write_text(text)
        self.launch(slow)

    def spawn(self, slow=None):
        command = self.meter.command([str(self.program), "--config", str(self.base / "hoplock.yaml")])
        self.process = subprocess.Popen(command, env=self.environment(slow), stdout=subprocess.DEVNULL,
                                        stderr=(self.base / "stderr").open("a"))
        self.meter.roots = [self.process.pid]

    def launch(self, slow=None):
        self.spawn(slow)
        self.wait_until_ready(lambda: self.process.poll() is None)

    def log(self):
        return super().log() + (self.base / "stderr").read_text(errors="replace")

    def end(self):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.end()
        self.launch()

    def stop(self):
        self.end()
        self.meter.close()

    def unverified(self):
        lines = [line for line in self.log().splitlines() if "event=delivered" in line]
        return sum("policy=dane" not in line or "auth=dane-ee" not in line for line in lines) if lines else None
