"""The private world: a DNS tree with its own trust anchor, a CA, and mail receivers, on loopback addresses of one namespace."""

import os
import shutil
import tempfile
import threading

from . import ns
from .ca import Authority
from .liar import Liar
from .nameserver import NameServer
from .receiver import Behaviour, Receiver, Receivers
from .wire import Wire
from .zones import DOMAIN_SERVER, LIAR, ROOT_SERVER, TLD_SERVER, Domain, Zones

UNBOUND_CONF = """server:
    do-not-query-localhost: no
    do-ip6: no
    local-zone: "test." nodefault
    root-hints: "{directory}/root.hints"
    infra-host-ttl: 1
    infra-keep-probing: yes
    infra-cache-min-rtt: 50
    infra-cache-max-rtt: 4000
    outbound-msg-retry: 3
    val-bogus-ttl: 1
    cache-max-negative-ttl: 1
    target-fetch-policy: "0 0 0 0 0"
"""

TOP_LEVEL = (
    Domain("", "the root"),
    Domain("test", "a signed top-level domain"),
    Domain("lab", "an unsigned top-level domain", signed=False),
    Domain("optout", "a signed top-level domain, NSEC3 with opt-out", nsec3="-n -p"),
)


class World:
    """Use as a context manager inside ns.enter(). `domains` is a list of zones.Domain; the top-level domains are built in."""

    def __init__(self, domains):
        self._all = [*TOP_LEVEL, *domains]
        self.directory = tempfile.mkdtemp(prefix="world.", dir=ns.room())
        os.chmod(self.directory, 0o755)
        self.authority = Authority(os.path.join(self.directory, "ca"))
        self.receivers = {}  # by host name
        self._ports = Receivers()
        self._addresses = (f"127.1.{i}.{j}" for i in range(256) for j in range(1, 255))
        self._lock = threading.Lock()

    def __enter__(self):
        self._place_hosts()
        self.zones = Zones(os.path.join(self.directory, "zones"), self.authority, self._all)
        self.zones.sign_all()
        self.wire = Wire()
        self._start_name_servers()
        self._write_resolver_files()
        for server in self._servers.values():
            server.start()
        for name, domain in self.zones.domains.items():
            self._servers[self._truth(name)].wait_serial(name, domain.serial)
        return self

    def __exit__(self, *_):
        self.liar.stop()
        self.wire.stop()
        for server in self._servers.values():
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def receiver(self, host):
        return self.receivers[host]

    def domain(self, name):
        return self.zones.domains[name]

    def host(self, name):
        """The Host with this full name."""
        return self.zones.host(name)

    def connections(self, host):
        """How many connections were tried to any address of this host."""
        found = self.host(name=host)
        return sum(len(self.wire.connections(ip, found.port)) for ip in [*found.ip, *found.aaaa])

    def change(self, name):
        """Signs and loads a zone again after its Domain was changed. Caches keep what they have until its TTL is over."""
        with self._lock:
            domain = self.zones.domains[name]
            domain.serial += 1
            self.zones.sign(name)
            server = self._servers[self._truth(name)]
            server.reload()
            server.wait_serial(name, domain.serial)

    def _truth(self, name):
        """The address of the real server that holds this zone's data."""
        server = self.zones.server_of(name)
        return DOMAIN_SERVER if server == LIAR else server

    def _place_hosts(self):
        for domain in self._all:
            for host in domain.hosts:
                name = host.fqdn(domain.name)
                host.ip = host.ip or [next(self._addresses) for _ in range(host.addresses)]
                for address in host.aaaa:
                    if address.startswith("fd00:"):
                        ns.add_address(address + "/128")
                self._make_receiver(host, name)

    def _make_receiver(self, host, name):
        smtp = dict(host.smtp)
        down = smtp.pop("down", "")
        cert = dict(host.cert) if isinstance(host.cert, dict) else host.cert
        if callable(cert):
            host.certificate = cert(self.authority, name)
        else:
            names = cert.pop("names", (name,))
            host.certificate = self.authority.leaf(*names, **cert)
        if host.certificate.path is None:
            self.authority.save(host.certificate)
        dead = [*host.ip[:host.dead], *(address for address in host.aaaa if address.startswith("fd00:dead:"))]
        served = [address for address in (*host.ip, *host.aaaa) if address not in dead and not address.startswith("2001:")]
        for address in dead:
            self._ports.black_hole(address, host.port)
        if down in ("refused", "elsewhere"):  # nobody listens, or somebody whom the world does not start
            return
        if down == "black hole":
            for address in served:
                self._ports.black_hole(address, host.port)
            return
        receiver = Receiver(name, served, host.port, host.certificate, Behaviour(**smtp))
        if receiver.behaviour.staple:
            receiver.staple = self.authority.staple(host.certificate, receiver.behaviour.staple == "revoked")
        self.receivers[name] = receiver
        self._ports.add(receiver)

    def _start_name_servers(self):
        held = {ROOT_SERVER: {}, TLD_SERVER: {}, DOMAIN_SERVER: {}}
        for name in self.zones.domains:
            held[self._truth(name)][name] = self.zones.path(name)
        self._servers = {address: NameServer(self.path(f"nsd-{address}"), address, zones) for address, zones in held.items()}
        self.liar = Liar(LIAR, DOMAIN_SERVER)
        self.trap = Liar("127.0.0.99", DOMAIN_SERVER)  # the server that resolv.conf names; see ns.py
        for domain in self.zones.domains.values():
            for key, lie in domain.lies.items():
                owner, kind = key.split()
                self.liar.tell(domain.absolute(owner), kind, lie)

    def _write_resolver_files(self):
        files = {"root.hints": f". 3600000 NS a.root.\na.root. 3600000 A {ROOT_SERVER}\n", "root.key": self.zones.trust_anchor()}
        for name, text in files.items():
            self.write(name, text)
        self.write("unbound.conf", UNBOUND_CONF.format(directory=self.directory))

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return self.path(name)
