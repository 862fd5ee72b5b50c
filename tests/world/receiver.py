# SPDX-License-Identifier: Apache-2.0
"""SMTP receivers of every kind, in threads of the test's own process, and a record of all that was said to them."""

import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

from .staple import Stapled

NOBODY = {socket.AF_INET: "127.0.0.254", socket.AF_INET6: "::1"}  # whose connections are the world's own
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES")


@dataclass
class Behaviour:
    """How a receiver behaves. The default is a good server with STARTTLS.

    starttls: offer, none (neither announced nor known), or the reply to give ("454 4.7.0 TLS not available").
    handshake: good, close, reset, garbage, stall (what happens after the 220 to STARTTLS).
    drop: where the connection is cut: connect, banner, ehlo, mail, rcpt, data, dot (the message is thrown away);
          dot-notify: after a proper TLS close; dot-silent: it stays open and says nothing.
    """

    banner: str = "220 {name} ESMTP private world"
    ehlo: str = ""  # a reply in place of the list of extensions, "502 5.5.1 no EHLO here"
    helo: str = "250 {name}"
    extensions: tuple = EXTENSIONS
    tls_extensions: tuple = None  # None: the same; what EHLO says inside TLS
    starttls: str = "offer"
    handshake: str = "good"
    inject: bytes = b""  # sent in clear in one segment with the 220 to STARTTLS
    min_tls: str = "TLSv1_2"
    max_tls: str = "TLSv1_3"
    ciphers: str = "DEFAULT:@SECLEVEL=0"
    ask_client: bool = False  # ask the client for a certificate
    slow: float = 0  # seconds before each reply
    mail: str = "250 2.1.0 Ok"
    rcpt: dict = field(default_factory=dict)  # local part: reply
    rcpt_limit: int = 10**9  # recipients of a transaction before 452
    rcpt_full: str = "452 4.5.3 too many recipients"
    greylist: bool = False  # 451 to the first RCPT of each sender and recipient
    data: str = "354 go on"
    dot: str = "250 2.0.0 Ok: taken"
    drop: str = ""
    auth: bool = False  # takes AUTH PLAIN with anything
    staple: str = ""  # good or revoked: the OCSP response sent in the handshake


@dataclass
class Mail:
    sender: str
    parameters: list
    recipients: list
    data: bytes
    tls: bool
    time: float


@dataclass
class Session:
    """One connection: what was said, and what TLS came of it."""

    host: str
    address: str
    peer: str
    time: float
    commands: list = field(default_factory=list)  # (line, was it inside TLS)
    mails: list = field(default_factory=list)  # those that got a 250 after the final dot
    tls: str = ""  # "TLSv1.3"
    cipher: str = ""
    sni: str = None
    client_hello: bytes = b""
    client_certificate: bytes = None
    resumed: bool = False
    handshake_error: str = ""
    early: bytes = b""  # octets the client sent in clear right behind STARTTLS
    open: bool = True

    def verbs(self, inside_tls=None):
        return [line.split(" ", 1)[0].split(":")[0].upper() for line, tls in self.commands if inside_tls in (None, tls)]


class _Cut(Exception):
    """The receiver ends the connection here."""


class Receiver:
    """One host's SMTP server on all its addresses."""

    def __init__(self, name, addresses, port=25, certificate=None, behaviour=None):
        self.name = name
        self.addresses = list(addresses)
        self.port = port
        self.certificate = certificate
        self.behaviour = behaviour or Behaviour()
        self.sessions = []
        self.staple = b""
        self._seen = set()
        self._lock = threading.Lock()
        self.context = self._tls_context() if certificate else None

    def use(self, certificate):
        """Another certificate from the next connection on."""
        self.certificate = certificate
        self.context = self._tls_context()

    def mails(self):
        with self._lock:
            return [mail for session in self.sessions for mail in session.mails]

    def _tls_context(self):
        b = self.behaviour
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(b.ciphers)
        with quiet():
            context.minimum_version = getattr(ssl.TLSVersion, b.min_tls)
            context.maximum_version = getattr(ssl.TLSVersion, b.max_tls)
        context.load_cert_chain(self.certificate.path)
        if b.ask_client:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(self.certificate.path)

        def on_sni(tls_socket, name, _context):
            tls_socket.world_sni = name
        context.sni_callback = on_sni
        return context

    def serve(self, connection, address, peer):
        """One connection, in a thread of its own."""
        session = Session(self.name, address, peer, time.time())
        with self._lock:
            self.sessions.append(session)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(60)
            _Conversation(self, session, connection).run()
        except (OSError, EOFError, _Cut):
            pass
        finally:
            session.open = False

    def first_time(self, key):
        with self._lock:
            if key in self._seen:
                return False
            self._seen.add(key)
            return True


def quiet():
    """Without warnings about versions of TLS that are tested because they are old."""
    import warnings
    catcher = warnings.catch_warnings()
    catcher.__enter__()
    warnings.simplefilter("ignore", DeprecationWarning)

    class _Leave:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            catcher.__exit__(None, None, None)
    return _Leave()


class _Conversation:
    def __init__(self, receiver, session, connection):
        self.receiver, self.session, self.connection = receiver, session, connection
        self.b = receiver.behaviour
        self.buffer = b""
        self.sender = None
        self.parameters, self.recipients, self.chunks = [], [], b""

    def run(self):
        try:
            self._cut_if("connect")
            self._reply(self.b.banner)
            self._cut_if("banner")
            if not self.b.banner.startswith("220"):
                self._line()  # whatever comes, politely
            while True:
                line = self._line()
                self.session.commands.append((line, bool(self.session.tls)))
                verb, _, rest = line.partition(" ")
                action = getattr(self, "_do_" + verb.lower(), None) if verb.isalpha() else None
                if action:
                    action(rest)
                else:
                    self._reply("500 5.5.2 what?")
        finally:
            self.connection.close()

    def _line(self):
        while b"\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def _more(self):
        part = self.connection.recv(65536)
        if not part:
            raise EOFError
        self.buffer += part

    def _reply(self, text):
        if self.b.slow:
            time.sleep(self.b.slow)
        self.connection.sendall(text.format(name=self.receiver.name).encode() + b"\r\n")

    def _cut_if(self, where):
        if self.b.drop == where:
            raise _Cut

    def _do_ehlo(self, _rest):
        self._cut_if("ehlo")
        self._reset()
        if self.b.ehlo:
            self._reply(self.b.ehlo)
            return
        words = self.b.extensions
        if self.session.tls and self.b.tls_extensions is not None:
            words = self.b.tls_extensions
        if not self.session.tls and self.b.starttls != "none":
            words = (*words, "STARTTLS")
        if self.b.auth:
            words = (*words, "AUTH PLAIN LOGIN")
        lines = [self.receiver.name, *words]
        self._reply("\r\n".join(f"250{'-' if i < len(lines) - 1 else ' '}{line}" for i, line in enumerate(lines)))

    def _do_helo(self, _rest):
        self._reset()
        self._reply(self.b.helo)

    def _do_starttls(self, _rest):
        if self.b.starttls == "none" or self.session.tls:
            self._reply("502 5.5.1 no STARTTLS")
            return
        if self.b.starttls != "offer":
            self._reply(self.b.starttls)
            return
        self.connection.sendall(b"220 2.0.0 go ahead\r\n" + self.b.inject)
        self.session.early, self.buffer = self.buffer, b""
        self._reset()
        self._break_handshake()
        self._handshake()

    def _break_handshake(self):
        kind = self.b.handshake
        if kind == "close":
            raise _Cut
        if kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            raise _Cut
        if kind in ("garbage", "stall"):
            self._peek_hello()
            if kind == "garbage":
                self.connection.sendall(b"554 this is no TLS record, it never was\r\n" * 4)
            while True:  # until the client has had enough
                self._more()

    def _peek_hello(self):
        """The ClientHello as it came, left in the socket for the TLS library."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if not select.select([self.connection], [], [], 1)[0]:
                continue
            data = self.connection.recv(65536, socket.MSG_PEEK)
            if not data or (len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[3:5], "big")):
                self.session.client_hello = data
                return
            time.sleep(0.002)

    def _handshake(self):
        self._peek_hello()
        if self.receiver.staple:
            tls_socket = Stapled(self.connection, self.receiver.certificate, self.receiver.staple)
        else:
            tls_socket = self.receiver.context.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
        self.connection = tls_socket
        tls_socket.world_sni = None
        try:
            tls_socket.do_handshake()
        except OSError as error:
            self.session.handshake_error = str(error)
            raise _Cut from None
        finally:
            self.session.sni = tls_socket.world_sni
        self.session.tls = tls_socket.version()
        self.session.cipher = tls_socket.cipher()[0]
        self.session.resumed = tls_socket.session_reused
        self.session.client_certificate = tls_socket.getpeercert(True)

    def _do_auth(self, rest):
        self._reply("235 2.7.0 welcome" if self.b.auth and rest.upper().startswith("PLAIN ") else "504 5.5.4 no")

    def _reset(self):
        self.sender, self.parameters, self.recipients = None, [], []
        self.chunks = b""

    def _do_bdat(self, rest):
        size, _, last = rest.partition(" ")
        while len(self.buffer) < int(size):
            self._more()
        self.chunks, self.buffer = self.chunks + self.buffer[:int(size)], self.buffer[int(size):]
        if "CHUNKING" not in self.b.extensions or not self.recipients:
            self._reply("503 5.5.1 no BDAT now")
        elif last.upper() == "LAST":
            self.session.mails.append(Mail(self.sender, self.parameters, self.recipients, self.chunks, bool(self.session.tls), time.time()))
            self._reset()
            self._reply("250 2.0.0 Ok: taken")
        else:
            self._reply("250 2.0.0 go on")

    def _do_rset(self, _rest):
        self._reset()
        self._reply("250 2.0.0 Ok")

    def _do_noop(self, _rest):
        self._reply("250 2.0.0 Ok")

    def _do_quit(self, _rest):
        self._reply("221 2.0.0 bye")
        raise _Cut

    @staticmethod
    def _path(rest):
        start, end = rest.index("<"), rest.rindex(">") if ">" in rest else len(rest)
        return rest[start + 1:end], rest[end + 1:].split()

    def _do_mail(self, rest):
        self._cut_if("mail")
        if self.b.mail.startswith("2"):
            self.sender, self.parameters = self._path(rest)
        self._reply(self.b.mail)

    def _do_rcpt(self, rest):
        self._cut_if("rcpt")
        address, _ = self._path(rest)
        local = address.rpartition("@")[0]
        if self.sender is None:
            self._reply("503 5.5.1 MAIL first")
        elif local in self.b.rcpt:
            reply = self.b.rcpt[local]
            if reply.startswith("2"):
                self.recipients.append(address)
            self._reply(reply)
        elif len(self.recipients) >= self.b.rcpt_limit:
            self._reply(self.b.rcpt_full)
        elif self.b.greylist and self.receiver.first_time((self.sender, address)):
            self._reply("451 4.7.1 greylisted, come back later")
        else:
            self.recipients.append(address)
            self._reply("250 2.1.5 Ok")

    def _do_data(self, _rest):
        if not self.recipients:
            self._reply("503 5.5.1 RCPT first" if self.sender is None else "554 5.5.1 no valid recipients")
            return
        self._cut_if("data")
        self._reply(self.b.data)
        if not self.b.data.startswith("354"):
            return
        while not (self.buffer.startswith(b".\r\n") or b"\r\n.\r\n" in self.buffer):
            self._more()
        if self.buffer.startswith(b".\r\n"):
            text, self.buffer = b"", self.buffer[3:]
        else:
            text, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
            text += b"\r\n"
        if self.b.drop == "dot-notify" and self.session.tls:
            self.connection.settimeout(1)
            try:
                self.connection.unwrap()
            except OSError:
                pass
        self._cut_if("dot")
        self._cut_if("dot-notify")
        while self.b.drop == "dot-silent":
            self._more()
        if self.b.dot.startswith("2"):
            data = (b"\r\n" + text).replace(b"\r\n.", b"\r\n")[2:]
            self.session.mails.append(
                Mail(self.sender, self.parameters, self.recipients, data, bool(self.session.tls), time.time()))
        self._reply(self.b.dot)
        self._reset()


class Receivers:
    """All listening sockets of the world's servers; each connection gets a thread."""

    def __init__(self):
        self._poll = select.epoll()
        self._listening, self._stuck = {}, {}
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, receiver):
        for address in receiver.addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, receiver.port), family=family, backlog=128)
            listener.setblocking(False)
            self._listening[listener.fileno()] = (listener, receiver, address)
            self._poll.register(listener.fileno(), select.EPOLLIN)

    def remove(self, receiver):
        """Nobody listens at its addresses any more, and they are no black holes either."""
        for number, (listener, whose, _) in list(self._listening.items()):
            if whose is receiver:
                self._poll.unregister(number)
                del self._listening[number]
                listener.close()
        for address in receiver.addresses:
            for stuck in self._stuck.pop((address, receiver.port), ()):
                stuck.close()

    def black_hole(self, address, port=25):
        """An address that swallows every SYN: its backlog is full and stays so."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=0)
        stuck = self._stuck[address, port] = [listener]
        for _ in range(2):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.bind((NOBODY[family], 0))
            filler.connect_ex((address, port))
            stuck.append(filler)

    def _accept(self):
        while True:
            for number, _ in self._poll.poll():
                try:
                    listener, receiver, address = self._listening[number]
                    connection, peer = listener.accept()
                except (KeyError, OSError):  # it was removed, or the other side is gone
                    continue
                threading.Thread(target=receiver.serve, args=(connection, address, peer[0]), daemon=True).start()
