#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo runs: a world of some forty domains, one message to each, and a table of what became of them."""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from world import ns, postfix  # noqa: E402
from world.relay import FINAL, Relay  # noqa: E402
from world.sts import Sts  # noqa: E402
from world.world import World  # noqa: E402
from world.zones import Domain, Host  # noqa: E402

SELF_SIGNED = {"self_signed": True, "names": ("localhost.localdomain",)}
EXPIRED = {"self_signed": True, "expired": True}


OTHER_NAME = {"names": ("mail.hosting.example",)}


def private_root(ca, name):
    return ca.leaf(name, issuer=ca.stranger, send="full")


def two():
    return {"mx": ("10 mx1", "20 mx2"), "hosts": (Host("mx1"), Host("mx2"))}


def sts(name, publishes, host=None, policy=None, **more):
    return Domain(name, publishes, **({"hosts": (host or Host(),), "signed": False, "sts": policy or Sts()} | more))


# One row each: what the domain publishes, and (event, policy, auth, reason or enhanced status) as it must come out.
ROWS = [
    (Domain("dane-ee.test", "signed, TLSA 3 1 1", hosts=(Host(tlsa=("3 1 1",)),)), ("delivered", "dane", "dane-ee", "")),
    (Domain("dane-ta.test", "signed, TLSA 2 0 1 of a private CA", hosts=(Host(tlsa=("2 0 1",), cert=private_root),)),
     ("delivered", "dane", "dane-ta", "")),
    (Domain("old-cert.test", "TLSA 3 1 1 of an expired certificate", hosts=(Host(tlsa=("3 1 1",), cert=EXPIRED),)),
     ("delivered", "dane", "dane-ee", "")),
    (Domain("rollover.test", "TLSA of the old key and the new", hosts=(Host(tlsa=("3 1 1 wrong", "3 1 1")),)),
     ("delivered", "dane", "dane-ee", "")),
    (Domain("second.test", "TLSA mismatch at the first MX", ("10 mx1", "20 mx2"), (Host("mx1", ("3 1 1 wrong",)), Host("mx2", ("3 1 1",)))),
     ("delivered", "dane", "dane-ee", "")),
    (Domain("mismatch.test", "TLSA mismatch at both MX", ("10 mx1", "20 mx2"),
            (Host("mx1", ("3 1 1 wrong",)), Host("mx2", ("3 1 1 wrong",)))), ("deferred", "dane", "none", "4.7.323")),
    (Domain("stripped.test", "TLSA, but STARTTLS is not offered", hosts=(Host(tlsa=("3 1 1",), smtp={"starttls": "none"}),)),
     ("deferred", "dane", "none", "4.7.321")),
    (Domain("unusable.test", "only TLSA 1 1 1 (PKIX-EE)", hosts=(Host(tlsa=("1 1 1",), cert=SELF_SIGNED),)),
     ("delivered", "dane", "none", "")),
    (Domain("bogus.test", "MX with a broken signature", hosts=(Host(),), spoil=("@ MX",)), ("deferred", None, None, "4.7.324")),
    (Domain("servfail.test", "TLSA look-up gets SERVFAIL", hosts=(Host(tlsa=("3 1 1",)),), lies={"_25._tcp.mx TLSA": "servfail"}),
     ("deferred", None, None, "4.7.324")),
    (Domain("silent.test", "TLSA look-up times out, second MX", ("10 mx1", "20 mx2"), (Host("mx1", ("3 1 1",)), Host("mx2")),
            lies={"_25._tcp.mx1 TLSA": "silent"}), ("delivered", "opportunistic", "none", "")),
    (Domain("hosted.lab", "unsigned, MX host signed with TLSA", ("10 mx.dane-ee.test.",), signed=False),
     ("delivered", "dane", "dane-ee", "")),
    (Domain("cname.test", "MX host is an alias, TLSA at its end", hosts=(Host("host", ("3 1 1",)),), records=("mx CNAME host",)),
     ("delivered", "dane", "dane-ee", "")),
    (Domain("implicit.test", "no MX, TLSA at the domain itself", (), (Host("@", ("3 1 1",)),)), ("delivered", "dane", "dane-ee", "")),
    (Domain("unsigned.lab", "unsigned, self-signed certificate", hosts=(Host(cert=SELF_SIGNED),), signed=False),
     ("delivered", "opportunistic", "none", "")),
    (Domain("plain.lab", "unsigned, no STARTTLS", hosts=(Host(smtp={"starttls": "none"}),), signed=False),
     ("delivered", "opportunistic", "none", "")),
    (Domain("broken.lab", "unsigned, handshake breaks", hosts=(Host(smtp={"handshake": "garbage"}),), signed=False),
     ("delivered", "opportunistic", "none", "")),
    (Domain("dead.test", "first MX refuses connections", ("10 mx1", "20 mx2"),
            (Host("mx1", smtp={"down": "refused"}), Host("mx2", ("3 1 1",)))), ("delivered", "dane", "dane-ee", "")),
    (Domain("nullmx.test", "null MX", ("0 .",), (Host("@"),)), ("bounced", None, None, "5.1.10")),
    (Domain("grey.test", "TLSA 3 1 1, greylisting", hosts=(Host(tlsa=("3 1 1",), smtp={"greylist": True}),)),
     ("delivered", "dane", "dane-ee", "")),
    (Domain("from-postfix.test", "TLSA 3 1 1, mail by Postfix's client", hosts=(Host(tlsa=("3 1 1",)),)), ("delivered", "dane", "dane-ee", "")),
    (Domain("postfix.test", "TLSA 3 1 1, a real Postfix", hosts=(Host(tlsa=("3 1 1",), smtp={"down": "elsewhere"}),)),
     ("delivered", "dane", "dane-ee", "")),
    (sts("sts.lab", "MTA-STS enforce, all good"), ("delivered", "sts", "pkix", "")),
    (sts("sts-second.lab", "MTA-STS enforce, first MX not in it", policy=Sts(mx=("mx2",)), **two()), ("delivered", "sts", "pkix", "")),
    (sts("sts-no-host.lab", "MTA-STS enforce, no MX in it", policy=Sts(mx=("mail",))), ("deferred", "sts", "none", "4.4.8")),
    (sts("sts-name.lab", "MTA-STS enforce, certificate of another name", Host(cert=OTHER_NAME)), ("deferred", "sts", "none", "4.7.325")),
    (sts("sts-old-cert.lab", "MTA-STS enforce, expired certificate", Host(cert={"expired": True})), ("deferred", "sts", "none", "4.7.322")),
    (sts("sts-stripped.lab", "MTA-STS enforce, no STARTTLS", Host(smtp={"starttls": "none"})), ("deferred", "sts", "none", "4.7.321")),
    (sts("sts-testing.lab", "MTA-STS testing, certificate of another name", Host(cert=OTHER_NAME), Sts("testing")),
     ("delivered", "sts-testing", "none", "")),
    (sts("sts-none.lab", "MTA-STS none, self-signed certificate", Host(cert=SELF_SIGNED), Sts("none", ())),
     ("delivered", "opportunistic", "none", "")),
    (sts("sts-down.lab", "MTA-STS record, its policy host is down", policy=Sts(web={"down": "refused"})),
     ("delivered", "opportunistic", "none", "")),
    (sts("sts-moved.lab", "MTA-STS record, its policy is a redirect", policy=Sts(web={"status": "301 Moved Permanently"})),
     ("delivered", "opportunistic", "none", "")),
    (sts("sts-blocked.lab", "MTA-STS changed, its policy host blocked", policy=Sts(mx=("mx2",)), **two()), ("delivered", "sts", "pkix", "")),
    (sts("sts-gone.lab", "MTA-STS record gone since last time", policy=Sts(mx=("mx2",)), **two()), ("delivered", "sts", "pkix", "")),
    (sts("sts-mismatch.test", "TLSA mismatch, MTA-STS good", Host(tlsa=("3 1 1 wrong",)), signed=True),
     ("deferred", "dane", "none", "4.7.323")),
    (sts("sts-dane.test", "TLSA 3 1 1, MTA-STS names another host", Host(tlsa=("3 1 1",)), Sts(mx=("mail",)), signed=True),
     ("delivered", "dane", "dane-ee", "")),
    (None, ("bounced", None, None, "5.1.2")),
]
BEFORE = {"sts-blocked.lab": {"id": "2", "mx": ("mx1",)}, "sts-gone.lab": {"txt": ()}}  # what changes after a first message
SETTINGS = {"security": {"mta_sts": "enforce"}, "mta_sts": {"fetch_timeout": "5s"}}
NOWHERE = "nowhere.test"


def said(text):
    print(f"demo: {text}", file=sys.stderr, flush=True)


def name_of(domain):
    return domain.name if domain else NOWHERE


def is_last_word(line):
    """A greylisted recipient is waited for, and clear text after a broken handshake; everybody else's first outcome is the one to show."""
    return line["to"] not in ("user@grey.test", "user@broken.lab") or line["event"] != "deferred"


def follow(relay, awaited, seconds):
    """{address: the event that decided}, telling each as it comes."""
    outcomes, position, end = {}, 0, time.monotonic() + seconds
    while len(outcomes) < len(awaited) and time.monotonic() < end:
        lines = relay.lines
        while position < len(lines):
            line, position = lines[position], position + 1
            address = line.get("to")
            if line["event"] in FINAL and address in awaited and address not in outcomes:
                if is_last_word(line):
                    outcomes[address] = line
                said(f"{len(outcomes):2}/{len(awaited)} {line['event']:9} {address}")
        time.sleep(0.02)
    return outcomes


def row_of(domain, expected, line):
    what = domain.publishes if domain else "nothing, it does not exist"
    if not line:
        return [name_of(domain), what, "", "", "", "", "no outcome", ""], False
    event, policy, auth, why = expected
    reason, dsn = line.get("reason", ""), line.get("dsn", "")
    fits = line["event"] == event and (policy is None or line.get("policy") == policy) and (auth is None or line.get("auth") == auth)
    fits = fits and (event == "delivered" or dsn == why)
    if domain and len(domain.mx) > 1 and event == "delivered":  # the last MX is the one that is fit to take it
        fits = fits and line.get("mx", "").split(".")[0] == domain.mx[-1].split()[-1]
    host = line.get("mx", "") if line["event"] == "delivered" else "-"
    why = " ".join(filter(None, (dsn, reason))) if line["event"] != "delivered" else reason
    return [name_of(domain), what, host, line.get("policy", ""), line.get("tls", ""), line.get("auth", ""),
            line["event"] + ("" if fits else " (?)"), why], fits


def print_columns(table):
    """Its first row is the head."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for number, row in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--log", action="store_true", help="print the relay's whole log as well")
    parser.add_argument("--audit", action="store_true", help="print `hoplock audit` of it as well, and whether it adds up with the log")
    options = parser.parse_args()
    start = time.monotonic()
    ns.enter()
    rows = [row for row in ROWS if postfix.available() or "postfix" not in name_of(row[0])]
    domains = [domain for domain, _ in rows if domain]
    said("a namespace of its own; signing the DNS tree, starting name servers and mail servers")
    with World(domains) as world, Relay(world, os.path.abspath(options.build), SETTINGS) as relay:
        change_some(world, relay)
        if postfix.available():
            with postfix.Postfix(world, "postfix.test", "mx.postfix.test") as real:
                outcomes = run(rows, relay, real)
        else:
            said("without Postfix, which is not installed or may not become its own user here")
            outcomes = run(rows, relay, None)
        if options.log:
            print("\n".join(relay.raw))
        adds_up = not options.audit or print_audit(relay)
    judged = [row_of(domain, expected, outcomes.get(f"user@{name_of(domain)}")) for domain, expected in rows]
    print_columns([["domain", "what it publishes", "taken by", "policy", "tls", "auth", "outcome", "reason"], *(row for row, _ in judged)])
    wrong = sum(not fits for _, fits in judged)
    print(f"\n{len(judged)} domains in {time.monotonic() - start:.1f} s" + (f", {wrong} not as expected (?)" if wrong else ", all as expected"))
    return 1 if wrong or not adds_up else 0


def print_audit(relay):
    """False: it says something else than the log."""
    print(relay.text("audit")[1])
    domains = relay.tool("audit")[1]["domains"]
    kept = [sum(one["recipients"] for one in domains),
            sum(row["recipients"] for one in domains for row in one["failed"] if row["outcome"] == "deferred")]
    told = [sum(line["event"] == event for line in relay.lines) for event in ("delivered", "deferred")]
    print(f"delivered: {kept[0]} recipients in the audit, {told[0]} in the log; deferred: {kept[1]} and {told[1]}\n")
    return kept == told


def change_some(world, relay):
    """Lets the relay learn some policies, then takes away where it learned them."""
    said("a first message to " + " and ".join(BEFORE) + ", whose policy hosts vanish then")
    for name in BEFORE:
        relay.send(f"first@{name}", subject="demo")
    for name, changes in BEFORE.items():
        relay.outcome(f"first@{name}")
        world.site(name).block()
        world.publish(name, **changes)
    time.sleep(1.1)  # of the records' TTL


def run(rows, relay, real):
    said("the relay runs; sending")
    awaited = [f"user@{name_of(domain)}" for domain, _ in rows]
    for address in awaited:
        if real and address == "user@from-postfix.test":
            real.send("sender@client.test", [address], b"Subject: by Postfix\r\n\r\nhello\r\n")
        else:
            relay.send(address, subject="demo")
    return follow(relay, awaited, 45)


if __name__ == "__main__":
    sys.exit(main())
