# SPDX-License-Identifier: Apache-2.0
"""The private world: a DNS tree with its own trust anchor, a CA, mail receivers and web hosts, on addresses of one namespace's lo."""

import os
import shutil
import tempfile
import threading

from . import ns
from .ca import Authority
from .liar import Liar
from .nameserver import NameServer
from .receiver import Behaviour, Receiver, Receivers
from .web import Site
from .wire import Wire
from .zones import DOMAIN_SERVER, LIAR, ROOT_SERVER, TLD_SERVER, Domain, Zones

UNBOUND_CONF = """server:
    do-not-query-localhost: no
    do-ip6: no
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
        self.sites = {}  # by host name
        self._ports = Receivers()
        self._addresses = (f"127.1.{i}.{j}" for i in range(256) for j in range(1, 255))
        self._web_addresses = (f"127.3.{i}.{j}" for i in range(256) for j in range(1, 255))
        self._given = set()  # addresses that lo has besides its own
        self._lock = threading.Lock()

    def __enter__(self):
        self._place_hosts()
        self._place_webs()
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

    def site(self, name):
        """The site of this domain's MTA-STS policy, or the one with this full host name."""
        return self.sites.get(f"mta-sts.{name}") or self.sites[name]

    def fetches(self, name):
        """How many HTTPS connections were tried to that site, seen on the wire."""
        return sum(len(self.wire.connections(address, 443)) for address in self.site(name).addresses)

    def publish(self, name, **changes):
        """Changes what a domain publishes for MTA-STS: publish("a.test", id="2", mx=("mx2",)). Only `id` and `txt` are in DNS."""
        for key, value in changes.items():
            if key not in ("mode", "mx", "max_age", "id", "txt", "text"):
                raise KeyError(key)
            setattr(self.domain(name).sts, key, value)
        if "id" in changes or "txt" in changes:
            self.change(name)

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
                self._give_to_lo(address for address in (*host.ip, *host.aaaa) if not address.startswith("2001:"))
                host.certificate = self._certificate(host.cert, name)
                self._make_receiver(host, name)

    def _place_webs(self):
        for domain in self._all:
            for host in domain.web_hosts():
                name = host.fqdn(domain.name)
                if not host.alias:
                    host.ip = host.ip or [next(self._web_addresses)]
                    self._give_to_lo(address for address in (*host.ip, *host.aaaa) if not address.startswith("2001:"))
                site = self.sites[name] = Site(host, name, self._certificate(host.cert, name), self._ports, self.sites)
                site.block(host.web.get("down"))

    def _give_to_lo(self, addresses):
        for address in addresses:
            if address not in self._given and not address.startswith("127."):
                ns.add_address(address + ("/128" if ":" in address else "/32"))
                self._given.add(address)

    def _certificate(self, cert, name):
        """Of `cert` as Host and WebHost have it."""
        if callable(cert):
            made = cert(self.authority, name)
        else:
            made = self.authority.leaf(*cert.get("names", (name,)), **{key: value for key, value in cert.items() if key != "names"})
        if made.path is None:
            self.authority.save(made)
        return made

    def _make_receiver(self, host, name):
        smtp = dict(host.smtp)
        down = smtp.pop("down", "")
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
        conf = UNBOUND_CONF.format(directory=self.directory)
        self.write("unbound.conf", conf)
        # for others than hoplock, which resolves test. by itself
        self.write("unbound-host.conf", conf.replace("server:\n", 'server:\n    local-zone: "test." nodefault\n', 1))

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return self.path(name)
