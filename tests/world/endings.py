#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo --endings runs: mail that ends badly in five ways, what its sender is told of each, and what `hoplock trace` tells."""

import argparse
import email
import email.policy
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from world import ns  # noqa: E402
from world.relay import Relay  # noqa: E402
from world.sts import Sts  # noqa: E402
from world.world import World  # noqa: E402
from world.zones import Domain, Host  # noqa: E402

SENDER = "ann@exchange.test"
EXCHANGE = Domain("exchange.test", "the sender", hosts=(Host("back"),), mx=("10 back",))
# The domain; the actions that its notices have, in turn; and the status that they end with.
ENDINGS = [
    (Domain("gone.test", "550 at RCPT", hosts=(Host(smtp={"rcpt": {"user": "550 5.1.1 <user@gone.test>: no such user here"}}),)),
     ("failed",), "5.1.1"),
    (Domain("tlsa.test", "a TLSA mismatch until it expires", hosts=(Host(tlsa=("3 1 1 wrong",)),)), ("delayed", "failed"), "4.7.323"),
    (Domain("sts.lab", "an MTA-STS failure until it expires", hosts=(Host(cert={"expired": True}),), sts=Sts(), signed=False),
     ("delayed", "failed"), "4.7.322"),
    (Domain("null.test", "a null MX", ("0 .",), (Host("@"),)), ("failed",), "5.1.10"),
    (None, ("failed",), "5.1.2"),
]
NOWHERE = "nowhere.test"
SETTINGS = {
    "security": {"mta_sts": "enforce"},
    "routes": [{"match": ["exchange.test"], "hosts": ["back.exchange.test"]}],
    "delivery": {"expire": "6s", "delay_notice": "2s", "retry": {"first": "1s", "factor": 2, "max": "2s"}},
}


def about(mails, queue_id):
    return [email.message_from_bytes(mail.data, policy=email.policy.default) for mail in mails
            if f"X-Hoplock-Queue-ID: {queue_id}\r\n".encode() in mail.data]


def faults(notice, status):
    """What Python's email package, or a program that reads notices, would object to."""
    found = [str(defect) for part in notice.walk() for defect in part.defects]
    if (notice.get_content_type(), notice.get_param("report-type")) != ("multipart/report", "delivery-status"):
        return [*found, f"it is {notice['Content-Type']}"]
    fields = [block for block in list(notice.iter_parts())[1].get_payload() if "Action" in block]
    if [block["Status"] for block in fields] != [status]:
        found.append(f"Status {[block['Status'] for block in fields]}, not {status}")
    return found


def action_of(notice):
    return next((block["Action"] for block in list(notice.iter_parts())[1].get_payload() if "Action" in block), None)


def show(notice):
    parts = list(notice.iter_parts())
    print(f"From: {notice['From']}\nTo: {notice['To']}\nSubject: {notice['Subject']}\n")
    print(parts[0].get_content().rstrip())
    print("\n" + "\n".join(f"    {line}" for line in parts[1].as_string().strip().splitlines()) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    options = parser.parse_args()
    ns.enter()
    wrong = 0
    with World([EXCHANGE, *(domain for domain, *_ in ENDINGS if domain)]) as world, \
            Relay(world, os.path.abspath(options.build), SETTINGS) as relay:
        print("demo: sending, and waiting for the ends", file=sys.stderr, flush=True)
        names = [domain.name if domain else NOWHERE for domain, *_ in ENDINGS]
        ids = [relay.send(f"user@{name}", sender=SENDER, headers="Message-ID: <orig@exchange.test>\r\n") for name in names]
        back = world.receiver("back.exchange.test")
        for (domain, actions, status), name, queue_id in zip(ENDINGS, names, ids):
            end = time.monotonic() + 30
            while len(about(back.mails(), queue_id)) < len(actions) and time.monotonic() < end:
                time.sleep(0.05)
            notices = about(back.mails(), queue_id)
            print(f"===== {name}: {domain.publishes if domain else 'it does not exist'} " + "=" * 30 + "\n")
            for notice in notices:
                show(notice)
                for fault in faults(notice, status):
                    wrong += 1
                    print(f"(?) {fault}\n")
            if tuple(action_of(notice) for notice in notices) != actions:
                wrong += 1
                print(f"(?) {[action_of(notice) for notice in notices]}, not {actions}\n")
            code, story, error = relay.text("trace", queue_id)
            wrong += code != 0
            print(f"$ hoplock trace {queue_id}\n{story}{error}")
    print(f"{len(ENDINGS)} endings" + (f", {wrong} things not as expected (?)" if wrong else ", all as expected"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
