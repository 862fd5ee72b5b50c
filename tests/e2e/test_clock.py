# SPDX-License-Identifier: Apache-2.0
"""A clock that is set while mail waits: libfaketime moves the daemon's wall clock, its steady one goes on."""

import contextlib
import glob
import os
import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

DOMAINS = [
    Domain("down.test", "refuses connections", hosts=(Host(smtp={"down": "refused"}),), send=False),
    Domain("again.test", "does not match at first", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
]
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "libfaketime is not installed")


class Clock(Case):
    def setUp(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's runtime and libfaketime both want to be loaded first")

    @contextlib.contextmanager
    def clocked(self, port, **delivery):
        """A relay of its own, and a function that moves its clock: "-1d"."""
        name = self.id().rsplit(".", 1)[-1]
        stamp = self.world.write(f"{name}.clock", "+0\n")
        extra = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
        relay = Relay(self.world, Stage.build, {"delivery": {"retry": {"first": "3s", "max": "3s"}} | delivery}, name, port)
        before = dict(os.environ)
        os.environ.update(extra)
        try:
            relay.start()
        finally:
            os.environ.clear()
            os.environ.update(before)

        def move(by):
            os.replace(self.world.write(f"{name}.new", by + "\n"), stamp)
        try:
            yield relay, move
        finally:
            relay.stop()

    def test_a_clock_set_back_delays_no_retry_by_more_than_its_interval(self):
        with self.clocked(2610) as (relay, move):
            relay.send("user@down.test")
            relay.outcome("user@down.test")
            move("-1d")  # at once: the relay may still be busy with what it has just logged
            moved = time.monotonic()
            relay.wait_log(20, event="deferred", to="user@down.test", attempt="2")
            self.assertLess(time.monotonic() - moved, 8)
            relay.wait_log(10, event="clock-set-back")

    def test_a_clock_set_forward_expires_nothing_without_an_attempt(self):
        with self.clocked(2611, expire="1h") as (relay, move):
            people = [f"u{i}@again.test" for i in range(4)]
            for person in people:
                relay.send(person)
            relay.wait_log(event="deferred", reason="tlsa-invalid")
            self.world.host("mx.again.test").tlsa = ("3 1 1",)
            self.world.domain("again.test").ttl = 1
            self.world.change("again.test")
            move("+10d")
            for person in people:
                relay.wait_log(90, event=("delivered", "expired"), to=person)
            self.assertEqual([line["to"] for line in relay.log(event="expired")], [])
