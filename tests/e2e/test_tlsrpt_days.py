# SPDX-License-Identifier: Apache-2.0
"""Days and deaths: midnight, a restart at midnight, kill -9 between sending and marking. libfaketime moves the relay's wall clock."""

import contextlib
import datetime
import glob
import os
import time

from case import Case, Domain, Host, Stage
from world import reports
from world.relay import Relay
from world.signing import SigningKey
from world.web import WebHost

KEY = SigningKey("relay.test", "s1")
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "libfaketime is not installed")


def asks(*rua):
    return (reports.asks(*rua),)


DOMAINS = [
    Domain("relay.test", "the submitter", mx=(), records=(KEY.zone_line(),), send=False),
    Domain("box.test", "report mailboxes", hosts=(Host(),), send=False),
    Domain("rpt.test", "report endpoints", mx=(), send=False,
           webs=(WebHost("ok"), WebHost("slow", web={"wait": 4}), WebHost("error", web={"status": "500 Oops"}))),
    *(Domain(f"{name}.test", "DANE that holds", hosts=(Host(tlsa=("3 1 1",)),), records=asks(*rua), send=False) for name, rua in {
        "midnight": ("https://ok.rpt.test/midnight",), "restart": ("https://ok.rpt.test/restart",),
        "posted": ("https://slow.rpt.test/posted",), "mailed": ("mailto:mailed@box.test",),
        "failing": ("https://error.rpt.test/failing",), "idle": ("https://ok.rpt.test/idle",)}.items()),
]


class Days(Case):
    def setUp(self):
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's runtime and libfaketime both want to be loaded first")

    def clocked(self, port, clock):
        """A relay of its own that starts at this time of day."""
        name = f"clocked{port}"  # short: a socket's path has 107 octets
        settings = {"dkim": [KEY.settings(self.world)], "delivery": {"idle_session": "0s"},
                    "tls_rpt": {"enabled": True, "from": "tlsrpt@relay.test", "spread": "2h"}}
        relay = ClockedRelay(self.world, Stage.build, settings, name, port)
        relay.set_clock(clock)
        return relay

    def about(self, host, target, day):
        """The reports at this endpoint about this day."""
        found = reports.posted(self.world.site(f"{host}.rpt.test"), target)
        return [one for one in found if one.json["date-range"]["start-datetime"].startswith(day)]

    def test_RPT_29_RPT_32_sessions_around_midnight_belong_to_their_own_day(self):
        with self.clocked(2640, "23:59:30") as relay:
            first = relay.day()
            relay.send("a@midnight.test")
            relay.wait_log(event="delivered", to="a@midnight.test")
            relay.set_clock("00:00:05", days=1)
            second = relay.day()
            for person in "bc":
                relay.send(f"{person}@midnight.test")
                relay.wait_log(event="delivered", to=f"{person}@midnight.test")
            self.assertEqual(self.about("ok", "/midnight", first), [])
            relay.set_clock("02:31:00", days=1)
            relay.wait_log(40, event="tlsrpt", domain="midnight.test", day=first, action="sent")
            relay.set_clock("02:31:00", days=2)
            relay.wait_log(40, event="tlsrpt", domain="midnight.test", day=second, action="sent")
            for day, sessions in ((first, 1), (second, 2)):
                report, = self.about("ok", "/midnight", day)
                self.assertEqual(report.sessions(), (sessions, 0))
                self.assertEqual(report.json["date-range"], {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"})

    def test_RPT_30_a_restart_and_a_kill_at_midnight_lose_nothing_and_count_nothing_twice(self):
        with self.clocked(2641, "23:59:00") as relay:
            day = relay.day()
            for i, end in enumerate((relay.stop, relay.kill9)):
                relay.send(f"p{i}@restart.test")
                relay.wait_log(event="delivered", to=f"p{i}@restart.test")
                end()
                relay.start()
            relay.set_clock("00:10:00", days=1)
            relay.send("next@restart.test")
            relay.wait_log(event="delivered", to="next@restart.test")
            relay.kill9()
            relay.set_clock("02:31:00", days=1)
            relay.start()
            relay.wait_log(40, event="tlsrpt", domain="restart.test", day=day, action="sent")
            relay.stop()
            relay.start()
            relay.set_clock("02:31:00", days=2)
            relay.wait_log(40, event="tlsrpt", domain="restart.test", day=relay.day(-1), action="sent")
            self.assertEqual([one.sessions() for one in self.about("ok", "/restart", day)], [(2, 0)])
            self.assertEqual([one.sessions() for one in self.about("ok", "/restart", relay.day(-1))], [(1, 0)])

    def test_RPT_30_killed_between_the_post_and_its_mark_the_same_octets_are_posted_again(self):
        with self.clocked(2642, "12:00:00") as relay:
            relay.send("a@posted.test")
            relay.wait_log(event="delivered", to="a@posted.test")
            relay.tool("tlsrpt", "send", "--day", relay.day())
            site = self.world.site("slow.rpt.test")
            self.wait(lambda: len(site.requests()) == 1)  # it has the report, and does not answer yet
            relay.kill9()
            relay.start()
            relay.wait_log(40, event="tlsrpt", domain="posted.test", action="sent")
            one, two = reports.posted(site, "/posted")
            self.assertEqual((one.octets, one.id), (two.octets, two.id))
            relay.kill9()
            relay.start()
            relay.set_clock("12:00:00", days=2)
            relay.send("b@idle.test")
            relay.wait_log(event="delivered", to="b@idle.test")
            self.assertEqual(len(site.requests()), 2)

    def test_RPT_30_killed_while_a_report_is_mailed_there_is_one_mail(self):
        with self.clocked(2643, "12:00:00") as relay:
            relay.send("a@mailed.test")
            relay.wait_log(event="delivered", to="a@mailed.test")
            mark = len(relay.lines)
            relay.tool("tlsrpt", "send", "--day", relay.day())
            for _ in range(40):
                if relay.log(mark, event="tlsrpt", action="queued") or reports.mailed(self.world.receiver("mx.box.test"), "mailed@box.test"):
                    break
                time.sleep(0.01)
            relay.kill9()
            relay.start()
            box = self.world.receiver("mx.box.test")
            self.wait(lambda: reports.mailed(box, "mailed@box.test"))
            relay.set_clock("12:00:00", days=1)
            relay.send("b@idle.test")
            relay.wait_log(event="delivered", to="b@idle.test")
            found = reports.mailed(box, "mailed@box.test")
            self.assertEqual(len({(one.octets, one.id, one.mail["Message-ID"]) for one in found}), 1)

    def test_RPT_43_an_endpoint_that_fails_for_a_day_is_tried_with_growing_pauses_and_given_up(self):
        with self.clocked(2644, "12:00:00") as relay:
            day = relay.day()
            relay.send("a@failing.test")
            relay.wait_log(event="delivered", to="a@failing.test")
            relay.tool("tlsrpt", "send", "--day", day)
            relay.wait_log(20, event="tlsrpt", domain="failing.test", action="failed", rua="https://error.rpt.test/failing")
            for hours in (1, 7, 13, 19, 24.2):
                mark = len(relay.lines)
                relay.set_clock("12:00:00", hours=hours)
                relay.wait_log(40, mark, event="tlsrpt", domain="failing.test", action="failed")
            relay.wait_log(10, event="tlsrpt", domain="failing.test", action="failed", level="error")
            sent = reports.posted(self.world.site("error.rpt.test"), "/failing")
            self.assertEqual(len({one.octets for one in sent}), 1)
            self.assertLessEqual(len(sent), 7)
            self.assertEqual(reports.mailed(self.world.receiver("mx.box.test"), "postmaster@failing.test"), [])

    def wait(self, condition, timeout=20):
        end = time.monotonic() + timeout
        while not condition():
            self.assertLess(time.monotonic(), end, "it did not come to be")
            time.sleep(0.05)


class ClockedRelay(Relay):
    """Its wall clock is offset against the real one; what it was set to goes on."""

    def __init__(self, world, build, settings, name, port):
        super().__init__(world, build, settings, name, port)
        self.stamp = world.path(f"{name}.clock")
        self.offset = 0.0
        tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)  # signatures and certificates are good then
        self.base = tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)
        self._write()

    def _write(self):
        path = self.world.write(os.path.basename(self.stamp) + ".new", f"{self.offset:+.0f}\n")
        os.replace(path, self.stamp)

    def set_clock(self, clock, days=0, hours=0):
        """To this time of the day after the one on which the test began, or so many days or hours later."""
        h, m, s = (int(part) for part in clock.split(":"))
        wanted = self.base + datetime.timedelta(days=days, hours=h + hours, minutes=m, seconds=s)
        self.offset = (wanted - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        self._write()

    def day(self, more=0):
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.offset, days=more)
        return now.strftime("%Y-%m-%d")

    @contextlib.contextmanager
    def _preloaded(self):
        before = dict(os.environ)
        os.environ.update({"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": self.stamp, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def start(self, timeout=20):
        with self._preloaded():
            return super().start(timeout)
