# SPDX-License-Identifier: Apache-2.0
"""A log server beside the log: RFC 5424 over TLS (RFC 5425), to Python's ssl. What it gets, and what goes on while it is away."""

import re
import socket
import ssl
import threading
import time

from case import Case, Domain, Host

from world.relay import Relay

DOMAINS = [Domain("one.test", "takes mail", ("10 mx1",), (Host("mx1"),), send=False),
           Domain("logs.test", "has a log server", mx=(), records=("box IN A 127.0.0.1",), send=False)]
PORT = 6514
FRAME = re.compile(rb"<(\d+)>1 (\S+) relay\.test hoplockd (\d+) (\S+) - (.*)", re.DOTALL)


class LogServer:
    """`certificate`: a Certificate, or None for plain TCP that stands still."""

    def __init__(self, certificate):
        self.messages, self.faults, self.ended = [], [], 0
        self._connections = []
        self.use(certificate)
        self._socket = socket.create_server(("127.0.0.1", PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def use(self, certificate):
        self._context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.path)
            self._context = context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()

    def hang_up(self):
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
        self._connections = []

    def _serve(self):
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            self._connections.append(connection)
            if self._context:
                threading.Thread(target=self._read, args=(connection, self._context), daemon=True).start()

    def _read(self, connection, context):
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                self._connections.append(tls)
                stream = tls.makefile("rb")
                while length := self._length(stream):
                    self.messages.append(stream.read(length))
                self.ended += 1
        except (OSError, ValueError) as error:
            self.faults.append(error)

    @staticmethod
    def _length(stream):
        digits = b""
        while (octet := stream.read(1)) not in (b" ", b""):
            digits += octet
        return int(digits) if digits else 0

    def lines(self):
        """What a file would have got."""
        parsed = [FRAME.fullmatch(message) for message in list(self.messages)]
        assert all(parsed), self.messages
        return [found[5].decode() for found in parsed]


class Syslog(Case):
    def relay_with(self, name, port, host="box.logs.test", **settings):
        return Relay(self.world, self.relay.build, {"log": {"syslog": f"tls://{host}:{PORT}"}} | settings, name, port)

    def until(self, what, look, seconds=30):
        end = time.monotonic() + seconds
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    def certificate(self, *names, **kind):
        return self.world.authority.leaf(*names, **kind)

    def test_every_line_arrives_as_it_is_in_the_log_to_the_last(self):
        with LogServer(self.certificate("box.logs.test")) as server:
            with self.relay_with("logged", 2526) as relay:
                relay.send("bob@one.test")
                relay.wait_log(event="delivered", to="bob@one.test")
            self.until("the end", lambda: server.ended)
            self.assertEqual(server.faults, [])
            lines = [line for line in server.lines() if "event=log-works" not in line]
            self.assertEqual(lines, relay.raw)
            self.assertIn("event=stopping", lines[-1])
            found = [FRAME.fullmatch(message) for message in server.messages]
            for one in found:
                self.assertIn(f"time={one[2].decode()} ", one[5].decode() + " ")
                self.assertIn(f"event={one[4].decode()}", one[5].decode())
                level = re.search(r"level=(\w+)", one[5].decode())[1]
                self.assertEqual(int(one[1]), 16 + {"debug": 7, "info": 6, "warn": 4, "error": 3}[level])

    def test_a_wrong_certificate_gets_no_line_and_a_right_one_all_that_waited(self):
        wrong = {"certificate has expired": self.certificate("box.logs.test", expired=True),
                 "hostname mismatch": self.certificate("other.logs.test"),
                 "self-signed certificate": self.certificate("box.logs.test", self_signed=True)}
        for number, (why, certificate) in enumerate(wrong.items()):
            with self.subTest(why), LogServer(certificate) as server:
                with self.relay_with(f"wrong{number}", 2530 + number) as relay:
                    line = relay.wait_log(event="syslog-failed")
                    self.assertEqual(line["level"], "warn")
                    self.assertIn("its certificate: ", line["error"])
                    self.assertIn(why, line["error"])
                    self.assertEqual(server.messages, [])
                    server.use(self.certificate("box.logs.test"))
                    relay.wait_log(40, event="syslog-works")
                    self.until("the start's lines", lambda s=server: any("event=started" in line for line in s.lines()))

    def test_an_address_is_held_against_the_certificate_too(self):
        with LogServer(self.certificate("box.logs.test")) as server, self.relay_with("address", 2540, "127.0.0.1") as relay:
            self.assertIn("mismatch", relay.wait_log(event="syslog-failed")["error"])
            self.assertEqual(server.messages, [])

    def test_a_server_that_goes_and_comes_back_gets_what_waited(self):
        certificate = self.certificate("box.logs.test")
        with self.relay_with("late", 2541) as relay:
            relay.wait_log(event="syslog-failed")
            with LogServer(certificate) as server:
                relay.wait_log(event="syslog-works")
                self.until("the start's lines", lambda: any("event=started" in line for line in server.lines()))
                mark = len(relay.lines)
                server.hang_up()
                relay.send("again@one.test")
                relay.wait_log(event="delivered", to="again@one.test")
                relay.wait_log(since=mark, event="syslog-works")
                self.until("what came meanwhile", lambda: any("to=again@one.test" in line and "event=delivered" in line
                                                              for line in server.lines()))

    def test_BND_04_a_server_that_stands_still_stops_no_mail_no_reload_and_no_end(self):
        with LogServer(None):
            relay = self.relay_with("still", 2542, shutdown_timeout="2s").start()
            try:
                relay.send("bob2@one.test")
                relay.wait_log(event="delivered", to="bob2@one.test")
                start = time.monotonic()
                self.assertEqual(relay.reload()["ok"], "true")
                self.assertLess(time.monotonic() - start, 2)
                self.assertIn("the TLS handshake was not done in 10 s", relay.wait_log(event="syslog-failed", error=lambda text: text
                              and "handshake" in text)["error"])
                start = time.monotonic()
                self.assertEqual(relay.stop(), 0)
                self.assertLess(time.monotonic() - start, 8)
            finally:
                relay.kill9()

    def test_a_reload_takes_another_server_up_and_gives_it_up(self):
        relay = Relay(self.world, self.relay.build, {}, "reloaded", 2543)
        with LogServer(self.certificate("box.logs.test")) as server, relay:
            relay.settings["log"]["syslog"] = f"tls://box.logs.test:{PORT}"
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "true")
            self.until("the reload's line", lambda: any("event=reloaded" in line for line in server.lines()))
            relay.settings["log"]["syslog"] = "box.logs.test"
            relay.write_config()
            self.assertIn("allowed", relay.reload()["error"])
            self.until("the refusal", lambda: any("ok=false" in line for line in server.lines()))
            relay.settings["log"]["syslog"] = ""
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "true")
            self.until("the end", lambda: server.ended)
