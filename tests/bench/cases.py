# SPDX-License-Identifier: Apache-2.0
"""The cases of the bench: each is run on both relays in turn, A B A B, every round on a fresh queue."""
import dataclasses
import json
import os
import subprocess
import time

import world
from measure import Counters, cpu_of, median, memory_of, number

KIB = 1024


@dataclasses.dataclass
class Case:
    """One row of the table. `least` is what hoplock's median must be of Postfix's, `cpu` the share of its CPU time a message
    may cost at most (None: not judged)."""
    group: str
    name: str
    messages: int
    size: int
    sessions: int
    least: float
    cpu: float = None
    domains: int = 0      # 0: intake only, the mail is held
    dane: bool = False
    delay: int = 0        # milliseconds the sink takes over each command
    slow: bool = False    # the disk syncs 2 ms slower
    warm: bool = False    # names come from a forwarder that knows them all, as at most sites
    results: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Result:
    rate: float           # messages a second
    cpu: float            # CPU milliseconds a message
    loader: float         # share of one core that the loader was busy
    sink: float = 0.0
    note: str = ""


def plan(groups, quick):
    """The rows asked for. Targets stand beside what they judge."""
    cases = []
    short = 3 if quick else 1
    if "intake" in groups:
        for size in (1, 10):
            for sessions in (1, 10, 50):
                least = 1.5 if sessions == 1 else 5.0 if size == 1 or sessions == 50 else 3.5
                cases.append(Case("intake", f"intake {size} KiB, {sessions} session{'s' * (sessions > 1)}",
                                  (4000 if sessions == 1 else 10000) // short, size * KIB, sessions, least, 1 / 5))
    if "e2e" in groups:
        for dane in (False, True):
            for domains in (1, 500):
                cases.append(Case("e2e", f"end to end {'DANE' if dane else 'clear'}, {domains} domain{'s' * (domains > 1)}",
                                  5000 // short, 4 * KIB, 10, 6.0, 1 / 6, domains, dane))
            cases.append(Case("e2e", f"end to end {'DANE' if dane else 'clear'}, 500 domains, warm forwarder", 5000 // short, 4 * KIB, 10, 6.0,
                              1 / 6, 500, dane, warm=True))
    if "latency" in groups:
        for dane, domains in ((False, 1), (False, 500), (True, 1), (True, 500)):
            cases.append(Case("latency", f"receiver +20 ms {'DANE' if dane else 'clear'}, {domains} domain{'s' * (domains > 1)}",
                              2000 // short, 4 * KIB, 10, 1.0, None, domains, dane, delay=20))
        for sessions in (1, 10, 50):
            cases.append(Case("latency", f"fsync +2 ms, intake 1 KiB, {sessions} session{'s' * (sessions > 1)}",
                              (1000 if sessions == 1 else 4000) // short, KIB, sessions, 1.0, None, slow=True))
        for domains in (1, 500):
            cases.append(Case("latency", f"fsync +2 ms, end to end clear, {domains} domain{'s' * (domains > 1)}", 3000 // short, 4 * KIB,
                              10, 1.0, None, domains, slow=True))
    return cases


class Bench:
    def __init__(self, programs, base, world, progress):
        self.programs = programs
        self.base = base
        self.world = world
        self.progress = progress

    def load(self, address, *, messages, size, sessions, recipient="user@d000.clear", domains=0, stall=60, extra=()):
        """Runs the loader, watching its counters; returns its own figures and how busy it was."""
        counters = Counters(self.base / "load.counters")
        command = [self.programs / "bench_load", "--to", f"{address[0]}:{address[1]}", "--count", messages, "--size", size, "--sessions",
                   sessions, "--rcpt", recipient, "--domains", domains, "--counters", counters.path, *extra]
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            last, since = 0, time.monotonic()
            while True:
                try:
                    out, errors = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    now = counters.read()
                    self.progress.detail(f"{now['messages']:,} of {messages:,} accepted")
                    if now["messages"] + now["bytes"] != last:
                        last, since = now["messages"] + now["bytes"], time.monotonic()
                    elif time.monotonic() - since > stall:
                        process.kill()
                        raise RuntimeError(f"stalled with {now['messages']} of {messages} messages accepted") from None
        if process.returncode != 0:
            raise RuntimeError(f"the loader failed: {errors.strip()} {out.strip()}")
        figures = json.loads(out)
        figures["started_ns"] = counters.read()["first_ns"]
        figures["busy"] = self.busy(figures["seconds"])
        return figures

    def busy(self, seconds):
        """What the last loader that ended used of one core (its children's time is ours)."""
        used = sum(os.times()[2:4])
        share = (used - getattr(self, "used", 0.0)) / max(seconds, 1e-3)
        self.used = used
        return share

    def reset_busy(self):
        self.used = sum(os.times()[2:4])

    def run(self, case, side):
        self.reset_busy()
        if case.warm:
            side.forwarder = world.FORWARDER
            with self.world.warm_forwarder("dane" if case.dane else "clear"):
                return self.run_with(case, side)
        side.forwarder = ""
        return self.run_with(case, side)

    def run_with(self, case, side):
        slow = self.programs / "bench_slowsync.so" if case.slow else None
        try:
            side.start(hold=case.domains == 0, dane=case.dane, slow=slow)
            return self.end_to_end(case, side) if case.domains else self.intake(case, side)
        finally:
            side.stop()

    def intake(self, case, side):
        # sessions and processes that both keep for later are there before the clock runs
        self.load(side.address, messages=case.sessions * 4, size=case.size, sessions=case.sessions)
        os.sync()
        self.reset_busy()
        before = side.meter.settle()
        figures = self.load(side.address, messages=case.messages, size=case.size, sessions=case.sessions)
        spent = side.meter.settle() - before
        return Result(figures["rate"], spent * 1000 / case.messages, figures["busy"])

    def end_to_end(self, case, side):
        counters = Counters(self.base / "sink.counters")
        command = [self.programs / "bench_sink", "--listen", "0.0.0.0:25", "--counters", counters.path, "--delay", case.delay]
        if case.dane:
            command += ["--certificate", self.world.certificate, "--key", self.world.key]
        with subprocess.Popen([str(part) for part in command]) as sink:
            try:
                os.sync()
                before = side.meter.settle()
                self.reset_busy()
                tld = "dane" if case.dane else "clear"
                recipient = f"user@d%03u.{tld}" if case.domains > 1 else f"user@d000.{tld}"
                figures = self.load(side.address, messages=case.messages, size=case.size, sessions=case.sessions, recipient=recipient,
                                    domains=case.domains if case.domains > 1 else 0)
                arrived = self.wait_for(counters, case.messages)
                seconds = (arrived["last_ns"] - figures["started_ns"]) / 1e9
                busy = cpu_of(sink.pid) / seconds
                spent = side.meter.settle() - before
                arrived = counters.read()
            finally:
                sink.kill()
        note = f"{arrived['connections']} connections"
        if case.dane:
            unverified = side.unverified()
            note += f", {arrived['handshakes'] - arrived['resumed']} full and {arrived['resumed']} resumed handshakes"
            note += ", all verified" if unverified == 0 else f", NOT VERIFIED: {unverified}"
        if arrived["messages"] > case.messages:
            note += f", {arrived['messages'] - case.messages} duplicates"
        return Result(case.messages / seconds, spent * 1000 / case.messages, figures["busy"], busy, note)

    def wait_for(self, counters, messages, stall=60):
        last, since = 0, time.monotonic()
        while (now := counters.read())["messages"] < messages:
            self.progress.detail(f"{now['messages']:,} of {messages:,} arrived")
            if now["messages"] != last:
                last, since = now["messages"], time.monotonic()
            elif time.monotonic() - since > stall:
                raise RuntimeError(f"stalled with {now['messages']} of {messages} messages arrived")
            time.sleep(0.05)
        return now

    def ceilings(self, messages):
        """The loader against the sink alone, and against Debian's smtp-sink: neither must be what limits a relay."""
        rows = []
        own = [str(self.programs / "bench_sink"), "--listen", "127.0.0.9:2525"]
        for name, command, address in (("own sink", own, ("127.0.0.9", 2525)),
                                       ("smtp-sink", ["smtp-sink", "-u", "nobody", "127.0.0.10:2525", "1000"], ("127.0.0.10", 2525))):
            with subprocess.Popen(command, cwd="/") as sink:
                try:
                    time.sleep(0.3)
                    for size in (1, 10):
                        rates = [self.load(address, messages=messages, size=size * KIB, sessions=sessions)["rate"] for sessions in (1, 10, 50)]
                        rows.append([f"loader → {name}, {size} KiB", *[number(rate) for rate in rates], ""])
                finally:
                    sink.kill()
        return rows


def verdict(case):
    """The cells of a case's row, and whether it holds."""
    rates = {side: median([r.rate for r in results]) for side, results in case.results.items()}
    spent = {side: median([r.cpu for r in results]) for side, results in case.results.items()}
    ours, theirs = rates.get("hoplock"), rates.get("postfix")
    ratio = ours / theirs if ours and theirs else None
    share = spent["hoplock"] / spent["postfix"] if ours and theirs else None
    good = None
    if ratio is not None:
        good = ratio >= case.least and (case.cpu is None or share <= case.cpu)
    target = f"≥ {case.least:.1f}" + (f", CPU ≤ 1/{1 / case.cpu:.0f}" if case.cpu else "")
    cells = [case.name, number(ours), number(theirs), number(ratio, 2), target, number(spent.get("hoplock"), 3),
             number(spent.get("postfix"), 3), f"1/{1 / share:.1f}" if share else "-",
             "-" if good is None else "met" if good else "MISSED"]
    return cells, good


def counting(bench, with_reports, without, rounds, quick):
    """Rows: end to end with sessions counted for TLS reports and without, in turn; hoplock alone."""
    rows = []
    for dane, domains, messages in ((True, 1, 40000), (True, 500, 12000), (False, 500, 20000)):
        case = Case("tlsrpt", f"end to end {'DANE' if dane else 'clear'}, {domains} domain{'s' * (domains > 1)}", messages // 10 if quick else messages,
                    4 * KIB, 10, 0.95, None, domains, dane)
        results = {side: [] for side in (with_reports, without)}
        for turn in range(rounds):
            for side in ((with_reports, without), (without, with_reports))[turn % 2]:
                bench.progress.step(f"{case.name}, reports {'on' if side is with_reports else 'off'}, round {turn + 1} of {rounds}")
                results[side].append(bench.run(case, side))
                bench.progress.done(f"{results[side][-1].rate:,.0f}/s, CPU {results[side][-1].cpu:.3f} ms, {results[side][-1].note}")
        on, off = (median([one.rate for one in results[side]]) for side in (with_reports, without))
        spent = [median([one.cpu for one in results[side]]) for side in (with_reports, without)]
        rows.append(([case.name, number(on), number(off), number(on / off, 3), "≥ 0.95", number(spent[0], 3), number(spent[1], 3),
                      "met" if on / off >= 0.95 else "MISSED"], on / off >= 0.95))
    return rows


def ledger(bench, quick):
    """Whether the ledger of a large day keeps its targets; prints its own rows."""
    size = ["--sessions", "1000000", "--domains", "50000"] if quick else []
    good = True
    for kind in ([], ["--hostile"]):
        good = subprocess.run([str(bench.programs / "bench_ledger"), str(bench.base), *size, *kind], check=False).returncode == 0 and good
        print(flush=True)
    return good


def memory(bench, side, quick):
    """Rows: what, MiB, limit, and whether it holds; hoplock alone."""
    rows = []

    def row(what, value, limit):
        rows.append(([what, number(value, 1), f"< {limit}", "met" if value < limit else "MISSED"], value < limit))

    try:
        side.start(hold=True)
        time.sleep(2)
        row("idle, MiB", memory_of(side.process.pid), 40)
        messages = 20000 if quick else 100000
        bench.load(side.address, messages=messages, size=KIB, sessions=50)
        side.meter.settle()
        row(f"with {messages:,} queued messages, MiB", memory_of(side.process.pid), 100)
        row("the most while they came, MiB", memory_of(side.process.pid, "VmHWM"), 100)
        side.restart()
        side.meter.settle()
        row("with them after a restart, MiB", memory_of(side.process.pid, "VmHWM"), 100)
    finally:
        side.stop()
    try:
        side.start(hold=True)
        bench.load(side.address, messages=200, size=KIB, sessions=100)
        size = (5 if quick else 50) * KIB * KIB - 4 * KIB
        before = memory_of(side.process.pid)
        with open(f"/proc/{side.process.pid}/clear_refs", "w") as file:
            file.write("5")  # the high-water mark starts anew
        bench.load(side.address, messages=100, size=size, sessions=100, stall=300)
        row(f"rise while 100 clients send {size / KIB / KIB:.0f} MiB each, MiB", memory_of(side.process.pid, "VmHWM") - before, 64)
    finally:
        side.stop()
    sites(bench, side, 2000 if quick else world.MANY, row)
    return rows


def sites(bench, side, count, row):
    """What `count` domains, each with hosts of its own, cost while mail goes to all of them, and while mail waits for all of them; over what
    as much mail to one domain costs."""
    counters = Counters(bench.base / "sink.counters")

    def most_after(recipient, domains=0, arrived=0):
        bench.load(side.address, messages=count, size=KIB, sessions=50, recipient=recipient, domains=domains)
        if arrived:
            bench.wait_for(counters, arrived)
        side.meter.settle(120)
        return memory_of(side.process.pid, "VmHWM")

    try:
        side.start(more="delivery:\n  retry: {first: 4h, max: 4h}\n")
        with subprocess.Popen([str(bench.programs / "bench_sink"), "--listen", "0.0.0.0:25", "--counters", str(counters.path)]) as sink:
            try:
                one = most_after("user@d000.clear", arrived=count)
                rise = most_after("user@d%03u.many", count, 2 * count) - one
            finally:
                sink.kill()
        row(f"rise with mail to {count:,} sites, MiB", rise, 60)
        one = most_after("user@d000.clear")  # nobody listens any more
        rise += most_after("user@d%03u.many", count) - one
        row(f"rise with mail that waits for {count:,} sites, MiB", rise, 60)
    finally:
        side.stop()
