# SPDX-License-Identifier: Apache-2.0
"""A log whose reader stands still, and a daemon that stands still itself: what goes on meanwhile, and what ends."""

import http.client
import signal
import smtplib
import time

from case import Case, Domain, Host

from world.relay import Relay

DOMAINS = [Domain("one.test", "takes mail", ("10 mx1",), (Host("mx1"),), send=False)]


class Deaf(Relay):
    """Nobody reads its standard error once it has started."""

    def _read(self, stream):
        for raw in stream:
            if b"event=started" in raw:
                self._stream = stream  # stays open
                return super()._read([raw])


class Log(Case):
    def fill(self, relay):
        """More lines than a pipe holds."""
        for _ in range(16):  # of one session only the first refusals have a line each
            with smtplib.SMTP("127.0.0.1", relay.port, local_hostname="client.test", timeout=10) as client:
                client.ehlo()
                for number in range(25):
                    client.docmd("MAIL", f"FROM:<{'x' * 400}{number}@a.test> NONSENSE=1")

    def health(self, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/healthz")
        reply = client.getresponse()
        return reply.status, reply.read().decode()

    def test_BND_04_a_log_reader_that_stands_still_stops_no_mail_no_reload_and_no_end(self):
        settings = {"http": {"address": "127.0.0.1:9466"}, "shutdown_timeout": "2s"}
        relay = Deaf(self.world, self.relay.build, settings, "deaf", 2526).start()
        try:
            self.fill(relay)
            relay._process.send_signal(signal.SIGHUP)
            end = time.monotonic() + 15
            while self.health(9466)[0] == 200 and time.monotonic() < end:
                time.sleep(0.1)
            status, text = self.health(9466)
            self.assertEqual(status, 503)
            self.assertIn("log: the log's reader has taken nothing", text)
            relay.send("after@one.test")
            while not self.arrived("mx1.one.test", "after@one.test") and time.monotonic() < end:
                time.sleep(0.05)
            self.assertTrue(self.arrived("mx1.one.test", "after@one.test"))
            start = time.monotonic()
            self.assertEqual(relay.stop(), 0)
            self.assertLess(time.monotonic() - start, 8)
        finally:
            relay.kill9()

    def test_a_daemon_that_stands_still_is_given_up_by_the_tool_within_ten_seconds(self):
        relay = Relay(self.world, self.relay.build, {}, "frozen", 2527).start()
        try:
            relay._process.send_signal(signal.SIGSTOP)
            start = time.monotonic()
            code, _ = relay.tool("queue", "retry", "--all")
            self.assertEqual(code, 69)
            self.assertLess(time.monotonic() - start, 10)
            relay._process.send_signal(signal.SIGCONT)
            self.assertEqual(relay.tool("queue", "retry", "--all")[0], 1)  # nothing to retry
        finally:
            relay._process.send_signal(signal.SIGCONT)
            relay.stop()
