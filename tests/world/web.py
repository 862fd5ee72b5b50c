# SPDX-License-Identifier: Apache-2.0
"""HTTPS servers of every kind, for MTA-STS policies and for reports, in threads of the test's own process, and a record of every visit.

Each web host has an address of its own; one that is an `alias` is served at another's, where SNI tells them apart.
"""

import gzip
import ssl
import threading
import time
from dataclasses import dataclass, field

from .receiver import quiet


@dataclass
class Web:
    """How a web host behaves; may be changed at any time. The default is a good server.

    length: what is said of the body's length: true, none (it ends with the connection), chunked, or a number that is claimed.
    handshake: good, close, garbage, stall (it never answers the ClientHello).
    drop: where the connection is cut: connect, request, headers, body (half of it is sent); silent: no answer, but it stays open.
    endless: what never ends: headers, interim (100 Continue), body, chunks.
    """

    status: str = "200 OK"
    content_type: str = "text/plain"  # "": no such header
    headers: tuple = ()  # further ones, "Name: value"
    body: bytes = None  # None: what the host publishes
    length: object = "true"
    compress: bool = False  # gzip, whether it was asked for or not
    handshake: str = "good"
    drop: str = ""
    endless: str = ""
    pace: float = 0  # seconds before each octet of the answer
    wait: float = 0  # seconds before the answer
    min_tls: str = "TLSv1_2"
    max_tls: str = "TLSv1_3"


@dataclass
class WebHost:
    """A web host of a zone.

    cert: the keywords of ca.Authority.leaf, or a function of (authority, host name) that makes a Certificate.
    web: the keywords of Web, and `down`: refused or black hole.
    alias: the full name of another web host, with a dot at the end, that this one is a CNAME of; nothing else listens for it.
    """

    name: str
    cert: object = field(default_factory=dict)
    web: dict = field(default_factory=dict)
    ip: list = field(default_factory=list)  # the world finds one when it is empty; other than 127.0.0.0/8 it is put on lo
    aaaa: tuple = ()  # AAAA records, put on lo and served but for those in 2001::/16, which nobody can reach
    a: bool = True  # publish A records
    alias: str = ""
    text: object = b""  # what it publishes: octets, or a function that makes them

    def fqdn(self, zone):
        return zone if self.name == "@" else f"{self.name}.{zone}"

    def records(self, owner):
        if self.alias:
            return [f"{owner} CNAME {self.alias}"]
        return [f"{owner} A {ip}" for ip in self.ip if self.a] + [f"{owner} AAAA {ip}" for ip in self.aaaa]


@dataclass
class Request:
    time: float
    method: str
    target: str
    version: str
    headers: list  # (name, value) as they came
    body: bytes = b""

    def header(self, name):
        """The only value of this header; None without one."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


@dataclass
class Visit:
    """One connection to a web host."""

    host: str
    address: str
    time: float
    sni: str = None
    tls: str = ""
    error: str = ""  # why the handshake failed, as the server sees it
    requests: list = field(default_factory=list)
    sent: int = 0  # octets of answers that the other side took
    ended: float = 0  # 0 while it is open


class _Cut(Exception):
    """The server ends the connection here."""


class Site:
    """A running web host. `ports` are the world's listening sockets, `sites` all of its sites by name."""

    def __init__(self, host, name, certificate, ports, sites):
        self.name = name
        self.port = 443
        self.host = host
        self.addresses = [] if host.alias else [ip for ip in (*host.ip, *host.aaaa) if not ip.startswith("2001:")]
        self.web = Web(**{key: value for key, value in host.web.items() if key != "down"})
        self.visits = []
        self._ports, self._sites = ports, sites
        self._lock = threading.Lock()
        self.use(certificate)

    def use(self, certificate):
        """This certificate from the next connection on."""
        self.certificate = certificate
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with quiet():
            self.context.minimum_version = getattr(ssl.TLSVersion, self.web.min_tls)
            self.context.maximum_version = getattr(ssl.TLSVersion, self.web.max_tls)
        self.context.load_cert_chain(certificate.path)
        self.context.sni_callback = self._on_sni

    def requests(self):
        with self._lock:
            return [request for visit in self.visits for request in visit.requests]

    def open(self):
        self.block(None)

    def block(self, how="refused"):
        """From now on connections are refused, or vanish in a black hole; None: they are taken again."""
        self._ports.remove(self)
        if how is None:
            self._ports.add(self)
        elif how == "black hole":
            for address in self.addresses:
                self._ports.black_hole(address, self.port)

    def all_ended(self, timeout=5):
        """Whether every visit so far has ended, or does soon."""
        end = time.monotonic() + timeout
        while not all(visit.ended for visit in self.visits) and time.monotonic() < end:
            time.sleep(0.02)
        return all(visit.ended for visit in self.visits)

    def text(self):
        return self.host.text() if callable(self.host.text) else self.host.text

    def serve(self, connection, address, peer):  # pylint: disable=unused-argument
        """One connection, in a thread of its own."""
        visit = Visit(self.name, address, time.time())
        with self._lock:
            self.visits.append(visit)
        try:
            connection.settimeout(60)
            _Conversation(self, visit, connection).run()
        except (OSError, EOFError, ValueError, _Cut):
            pass
        finally:
            visit.ended = time.time()
            connection.close()

    def take_over(self, visit):
        """The visit was meant for us, who live at somebody else's address."""
        visit.host = self.name
        with self._lock:
            self.visits.append(visit)

    def give_away(self, visit):
        with self._lock:
            self.visits.remove(visit)

    def _on_sni(self, tls, name, _context):
        tls.world_sni = name
        named = self._sites.get(name or "")
        if named is not None and named is not self:
            tls.context = named.context


class _Conversation:
    def __init__(self, site, visit, connection):
        self.site, self.visit, self.connection = site, visit, connection
        self.buffer = b""

    @property
    def web(self):
        return self.site.web

    def run(self):
        if self.web.drop == "connect":
            return
        try:
            self._break_handshake()
            self._handshake()
            while True:
                request = self._read_request()
                self.visit.requests.append(request)
                self._answer(request)
        finally:
            self.connection.close()  # the TLS socket, which took the plain one's place

    def _break_handshake(self):
        if self.web.handshake == "good":
            return
        self.connection.recv(65536)
        if self.web.handshake == "garbage":
            self.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nthis is no TLS record\r\n")
        if self.web.handshake == "close":
            raise _Cut
        self._wait_for_end()

    def _wait_for_end(self):
        while self.connection.recv(65536):
            pass
        raise EOFError

    def _handshake(self):
        tls = self.site.context.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
        self.connection, tls.world_sni = tls, None
        try:
            tls.do_handshake()
        except OSError as error:
            self.visit.error = str(error)
            raise
        finally:
            self.visit.sni = tls.world_sni
            self._hand_over(tls.world_sni)
        self.visit.tls = tls.version()

    def _hand_over(self, name):
        """To the site that SNI names, if that is another one."""
        named = self.site._sites.get(name or "", self.site)  # pylint: disable=protected-access
        if named is not self.site:
            self.site.give_away(self.visit)
            named.take_over(self.visit)
            self.site = named

    def _line(self):
        while b"\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def _more(self):
        part = self.connection.recv(65536)
        if not part:
            raise EOFError
        self.buffer += part

    def _read_request(self):
        method, target, version = self._line().split(" ", 2)
        request = Request(time.time(), method, target, version, [])
        while line := self._line():
            name, _, value = line.partition(":")
            request.headers.append((name, value.strip()))
        length = int(request.header("Content-Length") or 0)
        while len(self.buffer) < length:
            self._more()
        request.body, self.buffer = self.buffer[:length], self.buffer[length:]
        return request

    def _send(self, data):
        step = 1 if self.web.pace else max(1, len(data))
        for start in range(0, len(data), step):
            time.sleep(self.web.pace)
            self.connection.sendall(data[start:start + step])
            self.visit.sent += len(data[start:start + step])

    def _answer(self, request):
        web = self.web
        if web.drop == "request":
            raise _Cut
        if web.drop == "silent":
            self._wait_for_end()
        time.sleep(web.wait)
        body = self.site.text() if web.body is None else web.body
        if web.compress:
            body = gzip.compress(body)
        while web.endless == "interim":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n" * 40)
        self._send(self._head(len(body)))
        while web.endless == "headers":
            self._send(b"X-Padding: " + b"a" * 1000 + b"\r\n")
        if web.drop == "headers":
            raise _Cut
        self._send(b"\r\n")
        self._send_body(body)
        last = (request.header("Connection") or "").lower() == "close"
        if last or web.length not in ("true", "chunked"):
            self.connection.settimeout(1)
            self.connection.unwrap()
            raise _Cut

    def _head(self, length):
        web = self.web
        lines = [f"HTTP/1.1 {web.status}", "Server: private world"]
        if web.content_type:
            lines.append(f"Content-Type: {web.content_type}")
        if web.compress:
            lines.append("Content-Encoding: gzip")
        if web.length == "chunked" or web.endless == "chunks":
            lines.append("Transfer-Encoding: chunked")
        elif web.length != "none" and web.endless != "body" and not web.status.startswith("204"):
            lines.append(f"Content-Length: {length if web.length == 'true' else web.length}")
        return "".join(line + "\r\n" for line in [*lines, *web.headers]).encode("latin-1")

    def _send_body(self, body):
        web = self.web
        while web.endless == "body":
            self._send(b"padding: " + b"a" * 1000 + b"\n")
        while web.endless == "chunks":
            self._send(b"3E8\r\n" + b"a" * 999 + b"\n\r\n")
        if web.status.startswith("204"):
            return
        if web.drop == "body":
            self._send(body[:len(body) // 2])
            raise _Cut
        if web.length == "chunked":
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
        self._send(body)
