# SPDX-License-Identifier: Apache-2.0
"""A name server that lies where it is told to: it hands every query on to a real one, and spoils the answers of some names.

What it can do instead of the truth:
  servfail refused notimp formerr rcode11   that response code, without records
  silent                                    nothing at all
  truncate                                  TC=1 over UDP, and TCP is cut without an answer
  garbage                                   octets that are no DNS message, under the right id
  noanswer                                  NOERROR without anything: no records, no denial
  drop-tcp                                  the truth over UDP only
  {"A": "127.66.0.1"}                       that record, forged: unsigned, with AD set
Keys are "name. TYPE" with the absolute name; TYPE may be "*".
"""

import select
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dns.rdatatype

RCODES = {"servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED, "notimp": dns.rcode.NOTIMP,
          "formerr": dns.rcode.FORMERR, "rcode11": 11}


class Liar:
    def __init__(self, address, truth, port=53):
        self._truth = truth
        self.lies = {}
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._udp.bind((address, port))
        self._tcp = socket.create_server((address, port), backlog=64)
        self._stop, self._stopped = socket.socketpair()
        threading.Thread(target=self._serve, daemon=True).start()

    def tell(self, name, kind, lie):
        """From now on this lie; None: the truth again."""
        key = (name.lower().rstrip(".") + ".", kind)
        self.lies = {k: v for k, v in self.lies.items() if k != key} | ({key: lie} if lie else {})

    def stop(self):
        self._stop.close()

    def _serve(self):
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._stopped], [], [])
            if self._stopped in ready:
                self._udp.close()
                self._tcp.close()
                return
            if self._udp in ready:
                data, peer = self._udp.recvfrom(65535)
                threading.Thread(target=self._answer_udp, args=(data, peer), daemon=True).start()
            if self._tcp in ready:
                threading.Thread(target=self._answer_tcp, args=(self._tcp.accept()[0],), daemon=True).start()

    def _upstream(self, _data):
        return self._truth

    @staticmethod
    def _passed_on(reply):
        return reply

    def _lie_for(self, data):
        try:
            question = dns.message.from_wire(data).question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        return self.lies.get((name, kind), self.lies.get((name, "*")))

    def _answer_udp(self, data, peer):
        lie = self._lie_for(data)
        if lie == "silent":
            return
        if lie == "truncate":
            answer = dns.message.make_response(dns.message.from_wire(data))
            answer.flags |= dns.flags.TC | dns.flags.AA
            reply = answer.to_wire()
        elif lie and lie != "drop-tcp":
            reply = self._spoil(data, lie)
        else:
            reply = self._ask_udp(data)
        if reply:
            try:
                self._udp.sendto(reply, peer)
            except OSError:
                pass

    def _ask_udp(self, data):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.settimeout(2)
            upstream.connect((self._upstream(data), 53))
            upstream.send(data)
            try:
                return self._passed_on(upstream.recv(65535))
            except OSError:
                return None

    @staticmethod
    def _spoil(data, lie):
        if lie == "garbage":
            return data[:2] + b"\xff" * 40
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.flags |= dns.flags.AA
        if isinstance(lie, dict):
            answer.flags |= dns.flags.AD
            answer.answer += [dns.rrset.from_text(answer.question[0].name, 60, "IN", kind, text) for kind, text in lie.items()]
        elif lie != "noanswer":
            answer.set_rcode(RCODES[lie])
        return answer.to_wire()

    def _answer_tcp(self, connection):
        with connection:
            connection.settimeout(5)
            try:
                while True:
                    data = self._read(connection)
                    lie = self._lie_for(data)
                    if lie in ("truncate", "silent", "drop-tcp"):
                        return
                    reply = self._spoil(data, lie) if lie else self._ask_tcp(data)
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)
            except (OSError, EOFError):
                return

    def _ask_tcp(self, data):
        with socket.create_connection((self._upstream(data), 53), timeout=2) as upstream:
            upstream.sendall(len(data).to_bytes(2, "big") + data)
            return self._passed_on(self._read(upstream))

    @staticmethod
    def _read(connection):
        def exactly(count):
            got = b""
            while len(got) < count:
                part = connection.recv(count - len(got))
                if not part:
                    raise EOFError
                got += part
            return got
        return exactly(int.from_bytes(exactly(2), "big"))


class Forwarder(Liar):
    """Looks like a recursive resolver that does not validate: asks the right server of the world, sets RA, lies as told."""

    def __init__(self, address, zones):
        self._zones = zones
        super().__init__(address, None)

    def _upstream(self, data):
        question = dns.message.from_wire(data).question[0]
        labels = question.name.to_text().lower().rstrip(".").split(".")
        if question.rdtype == dns.rdatatype.DS:
            labels = labels[1:]
        names = (".".join(labels[i:]) for i in range(len(labels) + 1))
        return self._zones.server_of(next(name for name in names if name in self._zones.domains))

    @staticmethod
    def _passed_on(reply):
        return reply[:2] + bytes([reply[2] & ~4 | 1, reply[3] | 0x80]) + reply[4:]  # no AA; RD and RA
