# SPDX-License-Identifier: Apache-2.0
"""The two ends of the mail: who sends it as Exchange does, to the next of several smart hosts, and who takes it; both count."""
import asyncio
import collections
import re
import socket
import threading
import time

ID = re.compile(rb"^X-Cluster-Id: (\d+)", re.MULTILINE)


class Sink:
    """A receiver that takes everything and notes each number, when, and from whom (the EHLO name)."""

    def __init__(self):
        self.arrived = collections.defaultdict(list)  # number -> [(time, EHLO name)]
        self.pause = 0.0  # before the answer to the end of a message
        self.open = self.peak = 0  # sessions at once
        self.loop = asyncio.new_event_loop()
        self.port = None
        self._up = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self._up.wait()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20))
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        self.loop.run_forever()

    async def _serve(self, reader, writer):
        name = ""
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            writer.write(b"220 sink.test ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    name = line[5:].strip().decode()
                    writer.write(b"250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go ahead\r\n")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    # it is here, whatever becomes of our answer
                    self.arrived[int(ID.search(content)[1])].append((time.monotonic(), name))
                    if self.pause:
                        await asyncio.sleep(self.pause)
                    writer.write(b"250 2.0.0 Ok\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 2.0.0 bye\r\n")
                    break
                else:
                    writer.write(b"250 2.0.0 Ok\r\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            if not self.loop.is_closed():
                writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


class Session:
    """With one smart host."""

    def __init__(self, port, timeout=65):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.socket.makefile("rb")
        if not self._reply().startswith(b"220"):
            self.close()
            raise ConnectionError("no 220")
        self._say(b"EHLO client.test\r\n")

    def _reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return line

    def _say(self, octets):
        self.socket.sendall(octets)
        return self._reply()

    def send(self, number, size, domain):
        """The reply that decided."""
        for line in (b"MAIL FROM:<sender@cluster.test>\r\n", f"RCPT TO:<user@{domain}>\r\n".encode(), b"DATA\r\n"):
            reply = self._say(line)
            if reply[:1] not in b"23":
                return reply
        body = b"x" * 70 + b"\r\n"
        head = f"From: sender@cluster.test\r\nSubject: {number}\r\nX-Cluster-Id: {number}\r\n\r\n".encode()
        return self._say(head + body * max(1, size // len(body)) + b".\r\n")

    def close(self):
        self.file.close()
        self.socket.close()


class Loader:
    """Sends numbered mail over several sessions, from each smart host to the next, and notes which got its 250, where and when."""

    def __init__(self, ports, sessions=6, rate=150, size=4000, domains=20):
        self.ports = dict(ports)  # name -> port
        self.acknowledged = {}  # number -> (time, name)
        self.refused = collections.Counter()  # the first words of other replies
        self.longest = 0.0  # that a client waited for a reply
        self._gap, self._size, self._domains = sessions / rate, size, domains
        self._next, self._lock = 0, threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(sessions)]
        for thread in self._threads:
            thread.start()

    def _number(self):
        with self._lock:
            self._next += 1
            return self._next

    def _run(self, index):
        names = sorted(self.ports)
        turn, session, name = index, None, ""
        while not self._end.is_set():
            number, began = self._number(), time.monotonic()
            try:
                if session is None:
                    name = names[turn % len(names)]
                    turn += 1
                    session = Session(self.ports[name])
                reply = session.send(number, self._size * (1 + 9 * (number % 10 == 0)), f"d{number % self._domains}.test")
            except OSError as error:
                reply = f"--- {type(error).__name__}".encode()
            self.longest = max(self.longest, time.monotonic() - began)
            if reply.startswith(b"250"):
                self.acknowledged[number] = (time.monotonic(), name)
            else:
                with self._lock:
                    self.refused[reply[:9].decode().strip()] += 1
                if session:
                    session.close()
                session = None  # to the next smart host
            if self._end.wait(max(0, self._gap - (time.monotonic() - began)) if session else 0.1):
                break
        if session:
            session.close()

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join(70)


def judge(acknowledged, arrived):
    """(lost, sent twice, arrived without a 250)."""
    arrived = {number: list(times) for number, times in dict(arrived).items()}
    lost = sorted(number for number in acknowledged if number not in arrived)
    twice = sum(len(times) - 1 for times in arrived.values())
    return lost, twice, sum(number not in acknowledged for number in arrived)


def drained(acknowledged, sink, seconds):
    """Waits until all of it has arrived, or none has for that long."""
    last, since = None, time.monotonic()
    while True:
        missing = sum(number not in sink.arrived for number in list(acknowledged))
        if not missing:
            return True
        if missing != last:
            last, since = missing, time.monotonic()
        elif time.monotonic() - since > seconds:
            return False
        time.sleep(0.2)
