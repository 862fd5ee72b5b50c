# SPDX-License-Identifier: Apache-2.0
"""What every end-to-end test stands on: one world and one relay for the file, and assertions in the words of the contract."""

import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from world.sts import Sts  # noqa: E402  pylint: disable=wrong-import-position,unused-import
from world.zones import Domain, Host  # noqa: E402  pylint: disable=wrong-import-position,unused-import


class Stage:
    """Set by run.py before the tests of a file start."""

    world = None
    relay = None
    build = None

    @classmethod
    def is_sanitized(cls):
        cache = pathlib.Path(cls.build, "CMakeCache.txt").read_text()
        return re.search(r"^HOPLOCK_SANITIZE:\w+=.", cache, re.MULTILINE) is not None


def address(name):
    return name if "@" in name else f"user@{name}"


class Case(unittest.TestCase):
    maxDiff = None

    @property
    def world(self):
        return Stage.world

    @property
    def relay(self):
        return Stage.relay

    def outcome(self, domain):
        """The log line of the first attempt to user@DOMAIN (or a whole address), which run.py has submitted."""
        return self.relay.outcome(address(domain))

    def _is(self, event, domain, keys):
        line = self.outcome(domain)
        hops = "\n".join(str(hop) for hop in self.relay.hops(line.get("domain")))
        wrong = {key: line.get(key) for key, value in keys.items()
                 if not (line.get(key) in value if isinstance(value, tuple) else line.get(key) == value)}
        self.assertTrue(line["event"] == event and not wrong, f"{domain}: expected {event} {keys}, got {line}\n{hops}")
        return line

    def delivered(self, domain, **keys):
        return self._is("delivered", domain, keys)

    def deferred(self, domain, reason=None, dsn=None, **keys):
        line = self._is("deferred", domain, keys | ({"reason": reason} if reason else {}) | ({"dsn": dsn} if dsn else {}))
        self.assertRegex(line.get("dsn", ""), r"^4\.")
        return line

    def bounced(self, domain, dsn, **keys):
        return self._is("bounced", domain, keys | {"dsn": dsn})

    def send(self, recipient, **how):
        return self.relay.send(address(recipient), **how)

    def untouched(self, host):
        """Nobody even tried to connect to this host."""
        self.assertEqual(self.world.connections(host), 0, f"{host} was contacted")

    def sessions(self, host):
        return self.world.receiver(host).sessions

    def no_mail_command(self, host):
        """Connections there may have been, but the envelope was never told to this host."""
        for session in self.sessions(host):
            self.assertNotIn("MAIL", session.verbs(), f"{host} was told the envelope: {session.commands}")

    def arrived(self, host, recipient=None):
        """The mails that this host took for the recipient."""
        return [mail for mail in self.world.receiver(host).mails() if recipient is None or address(recipient) in mail.recipients]

    def tlsa_queries(self, base, port=25):
        return self.world.wire.queries(name=f"_{port}._tcp.{base}", kind="TLSA")

    def refused_first(self, domain, reason, **keys):
        """The log line of a host that was refused, after which the next one was tried."""
        hop = self.relay.wait_log(10, event="hop", domain=domain, reason=reason, **keys)
        self.assertEqual((hop["action"], hop["level"]), ("next-host", "warn"), hop)
        return hop

    def policy_event(self, domain, action, timeout=20, since=0, relay=None, **keys):
        """The sts-policy log line of this action."""
        return (relay or self.relay).wait_log(timeout, since, event="sts-policy", domain=domain, action=action, **keys)

    def policy_failed(self, domain, result):
        """The fetch failed, and the log says so in RFC 8460's word."""
        line = self.policy_event(domain, "failed")
        self.assertIn(result, " ".join(line.get(key, "") for key in ("error", "reason")), line)
        return line

    def requests(self, domain):
        """What the domain's policy host was asked for."""
        return self.world.site(domain).requests()

    def never_fetched(self, domain):
        self.assertEqual(self.world.fetches(domain), 0, f"mta-sts.{domain} was contacted")
