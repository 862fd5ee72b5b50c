# SPDX-License-Identifier: Apache-2.0
"""MX-20: mail goes where the rules send it now, not where they sent it when it was accepted, leased or deferred."""

import contextlib
import datetime
import glob
import os
import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

DOMAINS = [
    Domain("smart.test", "a slow next hop", hosts=(Host(smtp={"slow": 0.3}),), send=False),
    Domain("dead.test", "a next hop that is down", hosts=(Host(smtp={"down": "refused"}),), send=False),
    Domain("a.test", "in clear", hosts=(Host(smtp={"starttls": "none"}),), send=False),
    Domain("b.test", "under DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("c.test", "under DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("d.test", "under DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
]
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "libfaketime is not installed")


def route(host, *match, **more):
    return {"match": list(match), "hosts": [f"mx.{host}:25"], **more}


class Placing(Case):
    @contextlib.contextmanager
    def relaying(self, port, routes, **delivery):
        with Relay(self.world, Stage.build, {"routes": routes, "delivery": delivery}, f"placing{port}", port) as relay:
            yield relay

    def reload(self, relay, routes):
        relay.settings["routes"] = routes
        relay.write_config()
        mark = len(relay.lines)
        self.assertEqual(relay.reload()["ok"], "true")
        return mark

    def test_MX_20_what_is_leased_when_a_reload_splits_its_route_goes_to_its_own_hosts(self):
        with self.relaying(2620, [route("smart.test", "a.test", "b.test")], sessions_per_domain=1) as relay:
            for i in range(8):
                relay.send([f"u{i}@a.test", f"u{i}@b.test"])
            relay.wait_log(event="delivered", to="u0@b.test", mx="mx.smart.test")
            mark = self.reload(relay, [route("smart.test", "a.test")])
            for i in range(8):
                relay.wait_log(event="delivered", to=f"u{i}@a.test", mx="mx.smart.test")
                relay.wait_log(event="delivered", to=f"u{i}@b.test")
            late = [line["to"] for line in relay.log(since=mark, event="delivered", domain="b.test", mx="mx.smart.test")]
            self.assertLessEqual(len(late), 1, "only what was on the wire")
            own = relay.log(event="delivered", domain="b.test", mx="mx.b.test")
            self.assertGreaterEqual(len(own), 5)
            self.assertEqual({line["policy"] for line in own}, {"dane"})
            self.assertEqual(relay.log(event=("deferred", "bounced")), [])
            self.assertEqual(len(relay.log(event="delivered")), 16, "each once")

    def test_MX_20_the_old_hops_hold_does_not_keep_what_a_reload_takes_from_it(self):
        with self.relaying(2621, [route("dead.test", "a.test", "c.test")], retry={"first": "1h"}) as relay:
            relay.send(["u@a.test", "u@c.test"])
            relay.send("behind@c.test")
            relay.wait_log(event="deferred", to="u@c.test", mx="mx.dead.test")
            started = time.monotonic()
            self.reload(relay, [route("dead.test", "a.test")])
            for person in ("u@c.test", "behind@c.test"):
                relay.wait_log(5, event="delivered", to=person, mx="mx.c.test", policy="dane")
            self.assertLess(time.monotonic() - started, 5)
            self.assertEqual(relay.log(event="delivered", domain="a.test"), [])

    def test_MX_20_passing_until_places_anew_by_itself(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's runtime and libfaketime both want to be loaded first")
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        stamp = self.world.write("until.clock", "+0\n")
        relay = Relay(self.world, Stage.build, {"routes": [route("dead.test", "d.test", until=today)],
                                                "delivery": {"retry": {"first": "30h", "max": "30h"}}}, "until", 2622)
        before = dict(os.environ)
        os.environ.update({"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"})
        try:
            relay.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        try:
            relay.send("u@d.test")
            relay.wait_log(event="deferred", to="u@d.test", mx="mx.dead.test")
            os.replace(self.world.write("until.new", "+1d\n"), stamp)
            relay.wait_log(40, event="delivered", to="u@d.test", mx="mx.d.test", policy="dane")
        finally:
            relay.stop()
