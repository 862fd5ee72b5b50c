# SPDX-License-Identifier: Apache-2.0
"""MTA-STS: what 100,000 cached policies cost at the start and in memory, and what a live one adds to a delivery. hoplock alone."""
import re
import sqlite3
import subprocess
import time

from measure import Counters, median, memory_of, number

DOMAIN = "d000.sts"  # the world's domain with a TXT record


def fill(path, count):
    """Rows as fetches an hour ago would have left them, refreshed only tomorrow."""
    now = int(time.time() * 1000)
    fetched, due = now - 3600_000, now + 86_400_000
    text = "version: STSv1\r\nmode: enforce\r\nmx: mx.{0}\r\nmx: *.mail.{0}\r\nmax_age: 604800\r\n"
    domains = [DOMAIN] + [f"domain{n}.example" for n in range(1, count)]
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO sts_policy (domain, due, checked, failures, failed, failed_record, reason, error, record, fetched, "
                       "max_age, policy) VALUES (?, ?, ?, 0, 0, '', '', '', '1', ?, 604800, ?)",
                       ((domain, due, fetched, fetched, text.format(domain)) for domain in domains))
    db.close()


def held(bench, side, count, row):
    """Start and memory, without policies and with all of them."""
    figures = {}
    side.start(hold=True)
    side.end()
    for policies in (0, count):
        if policies:
            fill(side.base / "data/queue.db", policies)
        began = time.monotonic()
        side.launch()
        seconds = time.monotonic() - began
        time.sleep(2)
        figures[policies] = (seconds, memory_of(side.process.pid))
        if policies == 0:
            side.end()
    row(f"start with {count:,} policies, s (without: {figures[0][0]:.2f})", figures[count][0], 2)
    row(f"idle with {count:,} policies, MiB more", figures[count][1] - figures[0][1], 60)


def deliver(bench, side, recipient, messages):
    """CPU milliseconds a message, over one session at a time."""
    counters = Counters(bench.base / "sink.counters")
    command = [bench.programs / "bench_sink", "--listen", "0.0.0.0:25", "--counters", counters.path, "--certificate", bench.world.certificate,
               "--key", bench.world.key]
    with subprocess.Popen([str(part) for part in command]) as sink:
        try:
            bench.load(side.address, messages=20, size=4096, sessions=1, recipient=recipient)  # caches and sessions
            bench.wait_for(counters, 20)
            before = side.meter.settle()
            bench.load(side.address, messages=messages, size=4096, sessions=10, recipient=recipient)
            bench.wait_for(counters, messages + 20)
            return (side.meter.settle() - before) * 1000 / messages
        finally:
            sink.kill()


def deliveries(bench, side, quick, row):
    """The same host, certificate and TLS: with and without a policy that its domain is held to."""
    side.start(more=f"tls:\n  ca_file: {bench.world.certificate}\n")
    side.end()
    fill(side.base / "data/queue.db", 1)
    side.launch()
    spent = {"d000.clear": [], DOMAIN: []}
    for _ in range(3 if quick else 7):
        for domain, figures in spent.items():  # A B A B
            figures.append(deliver(bench, side, f"user@{domain}", 2000 if quick else 5000))
    lines = [line for line in side.log().splitlines() if "event=delivered" in line and f"@{DOMAIN}" in line]
    kept = sum("policy=sts" in line and "auth=pkix" in line for line in lines)
    fetched = len(re.findall("event=sts-policy", side.log()))
    row(f"a delivery under a live policy, µs of CPU more (without: {median(spent['d000.clear']) * 1000:.0f})",
        (median(spent[DOMAIN]) - median(spent["d000.clear"])) * 1000, 50)
    row("deliveries of these that were not policy=sts auth=pkix", len(lines) - kept if lines else 1, 1)
    row("policies fetched meanwhile", fetched, 1)


def measure(bench, side, quick):
    """Rows: what, measured, limit, and whether it holds."""
    rows = []

    def row(what, value, limit):
        met = value < limit
        rows.append(([what, number(value, 2 if limit < 10 else 1), f"< {limit}", "met" if met else "MISSED"], met))

    for part in (lambda: held(bench, side, 20_000 if quick else 100_000, row), lambda: deliveries(bench, side, quick, row)):
        try:
            part()
        finally:
            side.stop()
    return rows
