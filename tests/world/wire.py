# SPDX-License-Identifier: Apache-2.0
"""What went over the wire of the world: every DNS query and every new TCP connection, seen by a packet socket on lo.

Nobody can leave a query out of this log: it does not depend on the servers' own words.
"""

import itertools
import socket
import struct
import threading
import time
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from .receiver import NOBODY

MARK = ("127.0.0.253", 9)  # where our own marks go
FAMILY = {8: socket.AF_INET, 32: socket.AF_INET6}  # by the length of both addresses

@dataclass(frozen=True)
class Query:
    """One DNS query on its way to `server`."""

    time: float
    server: str
    name: str
    type: str
    rd: bool
    cd: bool
    do: bool
    tcp: bool


@dataclass(frozen=True)
class Syn:
    """A connection attempt."""

    time: float
    address: str
    port: int


class Wire:
    def __init__(self):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("lo", 0))
        self._lock = threading.Condition()
        self._marks, self._mark_seen = itertools.count(1), 0
        self._queries, self._syns, self._seen = [], [], set()
        self._running = True
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self):
        self._running = False

    def queries(self, name=None, kind=None, server=None):
        """Queries so far, oldest first, perhaps only those for a name (its subdomains not), a type, a server."""
        self._settle()
        name = name.lower().rstrip(".") + "." if name is not None else None
        with self._lock:
            return [q for q in self._queries
                    if not (q.type == "SOA" and q.rd and not q.do)  # the world's own look at whether a zone is served
                    and (name is None or q.name == name) and (kind is None or q.type == kind) and (server is None or q.server == server)]

    def connections(self, address, port=25):
        """Connection attempts to this address so far."""
        self._settle()
        with self._lock:
            return [s for s in self._syns if s.address == address and s.port == port]

    def _settle(self):
        """Until the thread has read the packets of what the caller just saw: a datagram of our own comes behind them."""
        mark, end = next(self._marks), time.monotonic() + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, self._lock:
            while self._mark_seen < mark:
                if time.monotonic() > end:
                    raise RuntimeError("the packets of the world are not read any more")
                sender.sendto(mark.to_bytes(8, "big"), MARK)
                self._lock.wait_for(lambda: self._mark_seen >= mark, 0.5)

    def _run(self):
        self._socket.settimeout(0.5)
        while self._running:
            try:
                frame, source = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            if source[2] != 4:  # PACKET_OUTGOING: on lo each packet shows up twice
                continue
            try:
                self._packet(frame[14:])
            except (struct.error, IndexError, dns.exception.DNSException):
                continue
        self._socket.close()

    def _packet(self, packet):
        if packet[0] >> 4 == 4:
            protocol, ends, payload = packet[9], packet[12:20], packet[(packet[0] & 15) * 4:]
        elif packet[0] >> 4 == 6:
            protocol, ends, payload = packet[6], packet[8:40], packet[40:]
        else:
            return
        source, target = (socket.inet_ntop(FAMILY[len(ends)], end) for end in (ends[:len(ends) // 2], ends[len(ends) // 2:]))
        port = struct.unpack("!H", payload[2:4])[0]
        if protocol == 17 and (target, port) == MARK:
            with self._lock:
                self._mark_seen = max(self._mark_seen, int.from_bytes(payload[8:16], "big"))
                self._lock.notify_all()
        elif protocol == 17 and port == 53:
            self._query(target, payload[8:], False)
        elif protocol == 6:
            if payload[13] & 0x12 == 0x02 and source not in NOBODY.values():
                self._syn(Syn(time.time(), target, port), (ends, payload[:8]))
            data = payload[(payload[12] >> 4) * 4:]
            if port == 53 and len(data) > 14 and int.from_bytes(data[:2], "big") == len(data) - 2:
                self._query(target, data[2:], True)

    def _syn(self, syn, connection):
        """A SYN that is sent again, with the same ports and sequence number, is the same attempt."""
        with self._lock:
            if connection not in self._seen:
                self._seen.add(connection)
                self._syns.append(syn)

    def _query(self, server, data, tcp):
        message = dns.message.from_wire(data, ignore_trailing=True)
        if message.flags & dns.flags.QR or not message.question:
            return
        question = message.question[0]
        flags = message.flags
        query = Query(time.time(), server, question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype),
                      bool(flags & dns.flags.RD), bool(flags & dns.flags.CD), bool(message.ednsflags & dns.flags.DO), tcp)
        with self._lock:
            self._queries.append(query)
