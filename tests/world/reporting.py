#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo --reports runs: a day of mixed traffic, and whether the reports about it tell what the servers saw."""

import argparse
import datetime
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from world import ns, reports  # noqa: E402
from world.demo import print_columns  # noqa: E402
from world.relay import Relay  # noqa: E402
from world.signing import Judge, SigningKey  # noqa: E402
from world.sts import Sts  # noqa: E402
from world.web import WebHost  # noqa: E402
from world.world import World  # noqa: E402
from world.zones import Domain, Host  # noqa: E402

KEYS = SigningKey("relay.test", "s1", services="*"), SigningKey("relay.test", "s2", "ed25519")
RIGHT, WRONG = ("3 1 1",), ("3 1 1 wrong",)
NO_TLS = {"starttls": "none"}


def asks(name, what, *hosts, https=False, **more):
    """A domain that wants its reports by mail, or by https."""
    rua = f"https://ok.rpt.test/{name}" if https else f"mailto:{name}@box.test"
    return Domain(name, what, hosts=hosts, records=(reports.asks(rua),), send=True, **more)


DOMAINS = [
    asks("dane.test", "DANE that holds", Host(tlsa=RIGHT)),
    asks("renewed.test", "a certificate renewed without its TLSA record", Host(tlsa=WRONG)),
    asks("two.test", "the first host fails, the second takes it", Host("mx1", tlsa=WRONG), Host("mx2", tlsa=RIGHT), mx=("10 mx1", "20 mx2"),
         https=True),
    asks("unusable.test", "no TLSA record is usable", Host(tlsa=("1 1 1",))),
    asks("bogus.test", "the TLSA look-up fails", Host(tlsa=RIGHT), lies={"_25._tcp.mx TLSA": "servfail"}),
    asks("both.test", "DANE holds, MTA-STS does not name the host", Host(tlsa=RIGHT), sts=Sts(mx=("other",))),
    asks("sts.lab", "MTA-STS that holds", Host(), sts=Sts(), signed=False, https=True),
    asks("nofit.lab", "no host is in the policy", Host(), sts=Sts(mx=("other",)), signed=False),
    asks("expired.lab", "an expired certificate under MTA-STS", Host(cert={"expired": True}), sts=Sts(), signed=False),
    asks("clear.lab", "no STARTTLS under MTA-STS", Host(smtp=NO_TLS), sts=Sts(), signed=False),
    asks("testing.lab", "testing, a certificate of another name", Host(cert={"names": ("other.test",)}), sts=Sts("testing"), signed=False),
    asks("fetch.lab", "a policy that cannot be fetched", Host(), sts=Sts(web={"status": "404 Not Found"}), signed=False),
    asks("plain.lab", "no policy", Host(), signed=False, https=True),
    asks("strip.lab", "no policy, no STARTTLS", Host(smtp=NO_TLS), signed=False),
]
AROUND = [
    Domain("relay.test", "the submitter", mx=(), records=tuple(key.zone_line() for key in KEYS)),
    Domain("box.test", "report mailboxes, whose own TLS is broken", hosts=(Host(tlsa=WRONG),)),
    Domain("rpt.test", "a report endpoint", mx=(), webs=(WebHost("ok"),)),
]
BEFORE_CONNECTING = ("nofit.lab", "bogus.test")  # refused by a rule that no connection is needed for: counted, and not seen by a server
EACH = 3


def settings(world):
    return {"security": {"mta_sts": "enforce"}, "dkim": [key.settings(world) for key in KEYS],
            "delivery": {"idle_session": "0s", "retry": {"first": "1h"}},
            "tls_rpt": {"enabled": True, "organization": "The Relay", "contact": "tls@relay.test", "from": "tlsrpt@relay.test"}}


def arrived(world, name):
    found = [*reports.mailed(world.receiver("mx.box.test"), f"{name}@box.test"), *reports.posted(world.site("ok.rpt.test"), f"/{name}")]
    return found[0] if len(found) == 1 else None


def row_of(world, domain, judge):
    report = arrived(world, domain.name)
    if not report:
        return [domain.name, domain.publishes, "", "", "", "", "no report (?)"], False
    seen = sum(1 for host in domain.hosts for session in world.receiver(host.fqdn(domain.name)).sessions if session.verbs())
    good, bad = report.sessions()
    elements = len(report.json["policies"])  # a session under two policies is counted under each
    expected = (seen or (domain.name in BEFORE_CONNECTING)) * (elements if domain.name == "both.test" else 1)
    verdicts = judge.verdicts(report.raw) if report.mail else []
    fits = good + bad == expected and (not report.mail or (len(verdicts) == len(KEYS) and all(good for _, good in verdicts)))
    why = "; ".join(f"{d.get('receiving-mx-hostname', '-')} {d['result-type']} x{d['failed-session-count']}" for d in report.failures())
    return [domain.name, domain.publishes, str(seen), str(good), str(bad), why,
            ("mail, DKIM verifies" if report.mail else "https") + ("" if fits else " (?)")], fits


def send_a_day(relay, names):
    for turn in range(EACH):
        for name in names:
            relay.send(f"user{turn}@{name}")
        outcomes = {name: relay.outcome(f"user{turn}@{name}") for name in names}
        names = [name for name in names if outcomes[name]["event"] == "delivered"]  # the others wait for their next attempt
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    relay.tool("tlsrpt", "send", "--day", today)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    options = parser.parse_args()
    ns.enter()
    with World([*DOMAINS, *AROUND]) as world, Relay(world, os.path.abspath(options.build), settings(world)) as relay:
        print(f"demo: up to {EACH} messages to each of {len(DOMAINS)} domains, then their reports", file=sys.stderr, flush=True)
        names = [domain.name for domain in DOMAINS]
        send_a_day(relay, names)
        end = time.monotonic() + 30
        while not all(arrived(world, name) for name in names) and time.monotonic() < end:
            time.sleep(0.1)
        judged = [row_of(world, domain, Judge(*KEYS)) for domain in DOMAINS]
        failing = arrived(world, "renewed.test")
    print_columns([["domain", "what happens there", "seen", "good", "bad", "failures told of", "came by"], *(row for row, _ in judged)])
    print("\nseen: connections that the domain's servers had; good and bad: sessions in its report\n")
    if failing:
        print(json.dumps(failing.json, indent=2))
    wrong = sum(not fits for _, fits in judged)
    print(f"\n{len(judged)} reports" + (f", {wrong} not as expected (?)" if wrong else ", all add up"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
