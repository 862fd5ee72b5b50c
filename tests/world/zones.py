# SPDX-License-Identifier: Apache-2.0
"""What domains publish, as data, and its way into zone files that ldns-signzone signs.

A `Domain` is one zone with the MX hosts that live in it. Every zone shares one ECDSA P-256 key, so that a hundred of them are
signed in about a second. A host's TLSA records are written in a small language, see `Host.tlsa`.
"""

import concurrent.futures
import datetime
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field

import dns.dnssec
import dns.name
import dns.rdata
from cryptography.hazmat.primitives import serialization


@dataclass
class Host:
    """An MX host: an address record (or several), a certificate, TLSA records, and how its SMTP server behaves.

    tlsa: each "U S M" takes the data from the host's own certificate (usages 1 and 3) or from its issuer's (0 and 2); a fourth
          word names another source: leaf, issuer, root, chain:N (what the server sends after the leaf), wrong (a key that nobody
          has), bits (SHA-256 of the bare key bits), of:HOST (another host's leaf or issuer), hex:DATA as it is ("hex:" is empty).
          Those at a name of their own: "name: U S M …", relative to the zone.
    cert: the keywords of ca.Authority.leaf, or a function of (authority, host name) that makes a Certificate.
    smtp: the keywords of receiver.Behaviour.
    """

    name: str = "mx"
    tlsa: tuple = ()
    cert: object = field(default_factory=dict)
    smtp: dict = field(default_factory=dict)
    addresses: int = 1  # how many addresses the A RRset has, all of the same receiver
    dead: int = 0  # so many of them are black holes
    a: bool = True  # publish A records
    aaaa: tuple = ()  # AAAA records to publish, as text; those in fd00::/16 are put on lo and served, those in fd00:dead::/32 are black holes
    port: int = 25
    ip: list = field(default_factory=list)  # filled in by the world
    certificate: object = None  # filled in by the world

    def fqdn(self, zone):
        return self.name[:-1] if self.name.endswith(".") else (zone if self.name == "@" else f"{self.name}.{zone}")


@dataclass
class Domain:
    """One zone. `spoil` and `expire` name RRsets whose signatures are broken or long over: "MX", or "mx A" for one owner only
    (relative to the zone, "*" any). `ds`: good, none, algorithm (an unassigned one), digest (an unassigned one), wrong.
    `lies`: {"name TYPE": what the liar does instead of the truth}, see liar.py; any makes the liar serve the zone, as does `liar`
    for lies that are told later. `sts`: see sts.py, `webs`: further web hosts, see web.py.
    """

    name: str
    publishes: str = ""
    mx: tuple = ("10 mx",)
    hosts: tuple = ()
    records: tuple = ()
    signed: bool = True
    ds: str = "good"
    spoil: tuple = ()
    expire: tuple = ()
    nsec3: str = ""  # options of ldns-signzone for NSEC3: "-n -p" with opt-out, "-n -t 500" with too many iterations
    lies: dict = field(default_factory=dict)
    liar: bool = False
    sts: object = None
    webs: tuple = ()
    tlsa: tuple = ()  # further TLSA records, "owner: U S M of:HOST"
    send: bool = True  # the tests send a message to user@NAME at the start
    ttl: int = 60
    negative_ttl: int = 1
    serial: int = 1

    def __post_init__(self):
        if self.sts:
            self.sts.belong_to(self)

    def web_hosts(self):
        return [*self.webs, *([self.sts.host] if self.sts else [])]

    def absolute(self, name):
        if name.endswith("."):
            return name
        return f"{self.name}." if name == "@" else f"{name}.{self.name}."


ROOT_SERVER, TLD_SERVER, DOMAIN_SERVER, LIAR = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"


def _bare_bits(certificate):
    numbers = certificate.key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return hashlib.sha256(numbers).hexdigest()


def tlsa_data(spec, host, authority, find):
    """(owner or None, "U S M hex") of one entry of Host.tlsa; find(name) is the Host of that name."""
    owner = None
    if not spec.split()[0].isdigit():
        owner, spec = (part.strip() for part in spec.split(": ", 1))
    words = spec.split()
    usage, selector, matching = (int(word) for word in words[:3])
    source = words[3] if len(words) > 3 else ("issuer" if usage in (0, 2) else "leaf")
    if source.startswith("of:"):
        host, source = find(source[3:]), "issuer" if usage in (0, 2) else "leaf"
    if source.startswith("hex:"):
        data = source[4:]
    elif source == "wrong":
        data = (hashlib.sha512(spec.encode()).hexdigest() * 2)[:{0: 182, 1: 64, 2: 128}[matching]]
    elif source == "bits":
        data = _bare_bits(host.certificate)
    else:
        chain = host.certificate.chain or [authority.intermediate]
        index = int(source[6:]) if source.startswith("chain:") else 0
        certificate = {"leaf": host.certificate, "root": authority.root}.get(source, chain[index])
        data = certificate.association(selector, matching)
    return owner, f"{usage} {selector} {matching} {data}"


def _tlsa_record(owner, data):
    """dnspython and ldns refuse an empty association field, so every TLSA goes in as unknown rdata (RFC 3597)."""
    words = data.split()
    rdata = bytes(int(word) for word in words[:3]) + bytes.fromhex("".join(words[3:]))
    return f"{owner} TYPE52 \\# {len(rdata)} {rdata.hex()}"


class Zones:
    """All zones: renders, signs, and knows who delegates to whom."""

    def __init__(self, directory, authority, domains):
        self.directory = directory
        self.authority = authority
        self.domains = {domain.name: domain for domain in domains}
        self._keys = os.path.join(directory, "keys")
        os.makedirs(self._keys)
        self._make_key()

    def host(self, name):
        """The Host with this full name."""
        for domain in self.domains.values():
            for host in domain.hosts:
                if host.fqdn(domain.name) == name:
                    return host
        raise KeyError(name)

    def server_of(self, name):
        """The address of the server that is authoritative for this zone."""
        if name == "":
            return ROOT_SERVER
        if "." not in name:
            return TLD_SERVER
        return LIAR if self.domains[name].lies or self.domains[name].liar else DOMAIN_SERVER

    def path(self, name):
        return os.path.join(self.directory, f"{name or 'root'}.zone")

    def sign_all(self):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(self.sign, self.domains))

    def trust_anchor(self, name=""):
        return f"{name}. IN DS {self._ds(name, 2)}\n"

    def _make_key(self):
        stem = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "."], cwd=self._keys, check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()
        with open(os.path.join(self._keys, stem + ".key"), encoding="ascii") as file:
            self._dnskey = re.search(r"DNSKEY\s+([^;]*)", file.read()).group(1).strip()
        self._private = os.path.join(self._keys, stem + ".private")

    def _ds(self, name, digest, algorithm=None):
        key = dns.rdata.from_text("IN", "DNSKEY", self._dnskey)
        words = dns.dnssec.make_ds(dns.name.from_text(name or "."), key, "SHA256").to_text().split(" ", 3)
        return f"{words[0]} {algorithm or words[1]} {digest} {words[3].replace(' ', '')}"

    def children(self, parent):
        """The zones that `parent` delegates to: those whose nearest enclosing zone it is."""
        def enclosing(name):
            labels = name.split(".")
            return next((".".join(labels[i:]) for i in range(1, len(labels)) if ".".join(labels[i:]) in self.domains), "")
        return [domain for name, domain in self.domains.items() if name and enclosing(name) == parent]

    def _delegations(self, parent):
        for child in self.children(parent):
            yield f"{child.name}. 60 NS ns.{child.name}."
            yield f"ns.{child.name}. 60 A {self.server_of(child.name)}"
            if not child.signed or child.ds == "none":
                continue
            ds = {"good": lambda: self._ds(child.name, 2), "algorithm": lambda: self._ds(child.name, 2, 200),
                  "digest": lambda: self._ds(child.name, 200),
                  "wrong": lambda: f"4711 13 2 {hashlib.sha256(b'nobody').hexdigest()}"}[child.ds]()
            yield f"{child.name}. 60 DS {ds}"

    def _render(self, domain):
        origin = f"{domain.name}."
        server_name = "a.root." if domain.name == "" else f"ns.{origin}"
        lines = [f"$ORIGIN {origin}", f"$TTL {domain.ttl}",
                 f"{origin} SOA {server_name} hostmaster.nic.test. {domain.serial} 3600 600 86400 {domain.negative_ttl}",
                 f"{origin} NS {server_name}", f"{server_name} A {self.server_of(domain.name)}"]
        if "." in domain.name:
            lines += [f"@ MX {record}" for record in domain.mx]
        for host in domain.hosts:
            owner = domain.absolute(host.name)
            lines += [f"{owner} A {ip}" for ip in host.ip if host.a and ":" not in ip]
            lines += [f"{owner} AAAA {ip}" for ip in host.aaaa]
            for spec in host.tlsa:
                where, data = tlsa_data(spec, host, self.authority, self.host)
                lines.append(_tlsa_record(domain.absolute(where) if where else f"_{host.port}._tcp.{owner}", data))
        for spec in domain.tlsa:
            where, data = tlsa_data(spec, None, self.authority, self.host)
            lines.append(_tlsa_record(domain.absolute(where), data))
        for host in domain.web_hosts():
            lines += host.records(domain.absolute(host.name))
        lines += [*(domain.sts.records() if domain.sts else ()), *domain.records]
        lines += self._delegations(domain.name)
        return "\n".join(lines) + "\n"

    def sign(self, name):
        """Writes the zone's file, signed when it is a signed zone."""
        domain = self.domains[name]
        plain, final = self.path(name) + ".plain", self.path(name)
        with open(plain, "w", encoding="utf-8") as file:
            file.write(self._render(domain))
        if not domain.signed:
            os.replace(plain, final)
            return
        key = os.path.join(self._keys, f"K{name or 'root'}+013+00001")
        if not os.path.exists(key + ".private"):
            shutil.copy(self._private, key + ".private")
            with open(key + ".key", "w", encoding="ascii") as file:
                file.write(f"{name}. 60 IN DNSKEY {self._dnskey}\n")
        signed = self._run_signer(domain, key, plain, [])
        if domain.expire:
            today = datetime.datetime.utcnow()
            dates = [f"-i{today - datetime.timedelta(days=40):%Y%m%d}", f"-e{today - datetime.timedelta(days=10):%Y%m%d}"]
            signed = self._replace(domain, signed, self._run_signer(domain, key, plain, dates))
        temporary = final + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("".join(self._spoiled(domain, line) for line in signed))
        os.replace(temporary, final)

    def _run_signer(self, domain, key, plain, dates):
        output = plain + ".signed"
        command = ["ldns-signzone", *dates, *domain.nsec3.split(), "-o", f"{domain.name}.", "-f", output, plain, key]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"ldns-signzone {domain.name}: {done.stdout}\n{self._render(domain)}")
        with open(output, encoding="utf-8") as file:
            return file.readlines()

    @staticmethod
    def _concerns(domain, patterns, line):
        """Is this line an RRSIG of an RRset that one of the patterns names?"""
        words = line.split()
        if len(words) < 5 or words[3] != "RRSIG":
            return False
        for pattern in patterns:
            owner, _, kind = pattern.rpartition(" ")
            if kind in ("*", words[4]) and (owner in ("", "*") or domain.absolute(owner).lower() == words[0].lower()):
                return True
        return False

    def _replace(self, domain, fresh, old):
        keep = [line for line in fresh if not self._concerns(domain, domain.expire, line)]
        return keep + [line for line in old if self._concerns(domain, domain.expire, line)]

    def _spoiled(self, domain, line):
        words = line.split()
        if len(words) == 7 and words[3] == "TLSA":  # an empty association field, which nsd reads only as unknown rdata
            octets = "".join(f"{int(word):02x}" for word in words[4:])
            return f"{words[0]} {words[1]} IN TYPE52 \\# 3 {octets}\n"
        if not self._concerns(domain, domain.spoil, line):
            return line
        head, signature = line.rstrip("\n").rsplit(" ", 1)
        return f"{head} {'A' if signature[0] != 'A' else 'B'}{signature[1:]}\n"
