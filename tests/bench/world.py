# SPDX-License-Identifier: Apache-2.0
"""The little world that the bench delivers into: a signed root, a signed TLD with 500 signed zones that publish DANE-EE, an
unsigned TLD, one authoritative server for all of them, and a validating resolver for the relay that does not bring its own.

    dNNN.dane    MX mx.dNNN.dane   A 127.1.x.y   TLSA 3 1 1 of the sink's certificate     every zone signed on its own
    dNNN.clear   MX mx.dNNN.clear  A 127.2.x.y                                           an unsigned TLD under the signed root
    d000.sts     MX mx.d000.sts    A 127.3.0.1   TXT at _mta-sts                         likewise
    dN.many      MX mx.dN.many     A 127.4.x.y   10,000 of them, N from 000 to 9999       likewise

All but d000.sts and those of `many` ask for TLS reports, so that hoplock counts every session.
"""
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import socket
import struct
import subprocess
import time

AUTHORITY = "127.53.0.1"
FORWARDER = "127.53.0.2"
DOMAINS = 500
MANY = 10_000
REPORTING = 'TXT "v=TLSRPTv1; rua=mailto:tls@reports.bench"'
SOA = "$TTL 3600\n@ SOA ns.dane. hostmaster.dane. 1 7200 3600 604800 300\n"


def host_address(net, number):
    return f"127.{net}.{number // 250}.{number % 250 + 1}"


def run(*command, cwd=None):
    return subprocess.run([str(part) for part in command], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


class World:
    """Zones, keys, certificate and configuration under `base`; `start` serves them in the namespace we are in."""

    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.base.mkdir(mode=0o755)
        self.certificate = self.base / "sink.pem"
        self.key = self.base / "sink.key"
        self.hints = self.base / "root.hints"
        self.anchor = self.base / "root.key"
        self.unbound_conf = self.base / "relay-unbound.conf"
        self.nsd = None
        self._make_certificate()
        self._make_zones()
        self._configure()

    def _make_certificate(self):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
            "/CN=sink.bench", "-addext", "subjectAltName=DNS:mx.d000.sts", "-keyout", self.key, "-out", self.certificate)
        public = subprocess.run(["openssl", "x509", "-in", self.certificate, "-noout", "-pubkey"], check=True, stdout=subprocess.PIPE)
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.stdout, check=True, stdout=subprocess.PIPE)
        self.digest = hashlib.sha256(der.stdout).hexdigest()

    def _sign(self, zone, text):
        """One key signs the whole zone; returns the zone's DS record."""
        name = zone.rstrip(".") or "root"
        (self.base / name).write_text(text)
        key = run("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", zone, cwd=self.base).strip()
        run("ldns-signzone", "-e", "20370101000000", "-o", zone, "-f", f"{name}.signed", name, key, cwd=self.base)
        if zone == ".":
            self.anchor.write_text((self.base / f"{key}.key").read_text())
        return (self.base / f"{key}.ds").read_text()

    def _make_zones(self):
        def domain(number):
            return self._sign(f"d{number:03}.dane", SOA + f"@ NS ns.dane.\n@ MX 10 mx\nmx A {host_address(1, number)}\n"
                              f"_25._tcp.mx TLSA 3 1 1 {self.digest}\n_smtp._tls {REPORTING}\n")

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            delegations = list(pool.map(domain, range(DOMAINS)))
        tld = SOA + f"@ NS ns.dane.\nns A {AUTHORITY}\n"
        tld += "".join(f"d{n:03} NS ns.dane.\n{ds}" for n, ds in enumerate(delegations))
        delegation = self._sign("dane", tld)
        clear = SOA + "@ NS ns.dane.\n"
        clear += "".join(f"d{n:03} MX 10 mx.d{n:03}\nmx.d{n:03} A {host_address(2, n)}\n_smtp._tls.d{n:03} {REPORTING}\n" for n in range(DOMAINS))
        (self.base / "clear.signed").write_text(clear)
        (self.base / "sts.signed").write_text(SOA + f"@ NS ns.dane.\nd000 MX 10 mx.d000\nmx.d000 A {host_address(3, 0)}\n"
                                              "_mta-sts.d000 TXT \"v=STSv1; id=1;\"\n")
        many = SOA + "@ NS ns.dane.\n"
        many += "".join(f"d{n:03} MX 10 mx.d{n:03}\nmx.d{n:03} A {host_address(4, n)}\n" for n in range(MANY))
        (self.base / "many.signed").write_text(many)
        self._sign(".", SOA + f"@ NS a.root.\na.root. A {AUTHORITY}\ndane. NS ns.dane.\nns.dane. A {AUTHORITY}\n{delegation}"
                   "clear. NS ns.dane.\nsts. NS ns.dane.\nmany. NS ns.dane.\n")

    def _configure(self):
        self.hints.write_text(f". 3600000 NS a.root.\na.root. 3600000 A {AUTHORITY}\n")
        self.unbound_conf.write_text("server:\n    do-not-query-localhost: no\n")
        zones = [("." , "root")] + [(name, name) for name in ("dane", "clear", "sts", "many")] + [(f"d{n:03}.dane", f"d{n:03}.dane") for n in range(DOMAINS)]
        (self.base / "nsd.conf").write_text(
            f'server:\n  ip-address: {AUTHORITY}\n  port: 53\n  username: ""\n  pidfile: ""\n  database: ""\n  zonesdir: "{self.base}"\n'
            f'  xfrdfile: "{self.base}/xfrd.state"\n  zonelistfile: "{self.base}/zone.list"\n  server-count: 1\n  rrl-ratelimit: 0\n'
            'remote-control:\n  control-enable: no\n' +
            "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{name}.signed"\n' for zone, name in zones))
        for name, address in (("resolver", "127.0.0.1"), ("forwarder", FORWARDER)):
            (self.base / f"{name}.conf").write_text(
                f'server:\n  interface: {address}\n  port: 53\n  access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n'
                f'  username: ""\n  chroot: ""\n  pidfile: ""\n  directory: "{self.base}"\n  root-hints: "{self.hints}"\n'
                f'  trust-anchor-file: "{self.anchor}"\n  use-syslog: no\n  logfile: "{self.base}/{name}.log"\n  num-threads: 1\n'
                'remote-control:\n  control-enable: no\n')

    def start(self):
        self.nsd = subprocess.Popen(["nsd", "-d", "-c", str(self.base / "nsd.conf")], stdout=subprocess.DEVNULL,
                                    stderr=(self.base / "nsd.log").open("w"))

    @contextlib.contextmanager
    def warm_forwarder(self, tld):
        """A validating resolver on FORWARDER, as the site's own that everybody asks: what mail to all domains needs is in its cache."""
        command = ["unbound", "-d", "-c", str(self.base / "forwarder.conf")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                for zone in (".", tld):
                    self._ask(zone, 48)
                for number in range(DOMAINS):
                    zone = f"d{number:03}.{tld}"
                    for name, kind in ((zone, 15), (f"mx.{zone}", 1), (f"mx.{zone}", 28), (f"_25._tcp.mx.{zone}", 52), (f"_mta-sts.{zone}", 16),
                                       (f"_smtp._tls.{zone}", 16), (zone, 48), (zone, 43)):
                        self._ask(name, kind)
                yield
            finally:
                process.kill()

    def _ask(self, name, kind):
        """One question with DO, until it is answered; the resolver may be starting."""
        labels = [label.encode() for label in name.split(".") if label]
        question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack(">HH", kind, 1)
        query = struct.pack(">6H", 1, 0x0110, 1, 0, 0, 1) + question + b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000, 0)
        for _ in range(50):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.settimeout(1)
                try:
                    peer.connect((FORWARDER, 53))
                    peer.send(query)
                    code = peer.recv(4096)[3] & 15
                except OSError:
                    time.sleep(0.05)
                    continue
            if code in (0, 3):
                return
            raise RuntimeError(f"the forwarder answers {name} type {kind} with code {code}")
        raise RuntimeError(f"the forwarder does not answer {name} type {kind}")

    def resolver_command(self):
        """A validating resolver on 127.0.0.1:53, to which /etc/resolv.conf of our mount namespace points."""
        return ["unbound", "-d", "-c", str(self.base / "resolver.conf")]

    def point_resolv_conf(self):
        self.name_server("127.0.0.1")
        run("mount", "--bind", self.base / "resolv.conf", "/etc/resolv.conf")

    def name_server(self, address):
        """Of programs that are started from now on; ours is bound over /etc/resolv.conf and must stay the same file."""
        (self.base / "resolv.conf").write_text(f"nameserver {address}\noptions edns0 trust-ad\n")

    def stop(self):
        if self.nsd:
            self.nsd.terminate()
            self.nsd.wait()
