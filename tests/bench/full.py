# SPDX-License-Identifier: Apache-2.0
"""A queue of a million messages: what intake and delivery keep of their pace, start, memory and the tool's answers; what history costs."""
import dataclasses
import json
import os
import sqlite3
import subprocess
import time

import cases
import sides
from measure import Counters, median, memory_of, number

DOMAINS = 10_000
# dead.bench holds half of the mail and is knocked at all the time; hold.bench is for intake alone.
SETTINGS = """routes:
  - match: [dead.bench]
    hosts: ["[127.9.9.9]:9"]
  - match: [hold.bench]
    hosts: ["[127.9.9.8]:9"]
delivery:
  retry: {first: 2s, factor: 1, max: 2s}
"""


def row(what, value, limit, met, digits=0):
    return [what, number(value, digits), limit, "met" if met else "MISSED"], met


class Full:
    def __init__(self, bench, base, daemon, quick):
        self.bench = bench
        self.messages = 50_000 if quick else 1_000_000
        self.empty = sides.Hoplock(base / "empty", bench.world, daemon, SETTINGS)
        self.full = sides.Hoplock(base / "full", bench.world, daemon, SETTINGS)
        self.tool = daemon.parent / "hoplock"
        self.memory = 0.0

    def fill(self):
        """Once; the database stays for all rounds."""
        self.bench.progress.step(f"filling a queue with {self.messages:,} messages")
        self.full.start()
        self.full.end()
        began = time.monotonic()
        program = self.bench.programs / "bench_fill"
        subprocess.run([str(program), str(self.full.base / "hoplock.yaml"), str(self.messages), str(DOMAINS)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = sum(path.stat().st_size for path in (self.full.base / "data").iterdir()) >> 20
        self.bench.progress.done(f"{time.monotonic() - began:.0f} s, {size:,} MiB")

    def begin(self, side):
        if side is self.empty:
            side.start()
        else:
            side.launch()

    def finish(self, side):
        if side is self.full:
            self.memory = max(self.memory, memory_of(side.process.pid, "VmHWM"))
            side.end()
        else:
            side.stop()

    def ratio(self, name, case, rounds, measure):
        """Both in turn, each round; the full queue's share of the empty one's pace."""
        rates = {side: [] for side in (self.empty, self.full)}
        for turn in range(rounds):
            for side in ((self.empty, self.full), (self.full, self.empty))[turn % 2]:
                self.bench.progress.step(f"{name}, {'empty' if side is self.empty else 'full'}, round {turn + 1} of {rounds}")
                self.begin(side)
                self.bench.reset_busy()
                try:
                    rates[side].append(measure(case, side).rate)
                finally:
                    self.finish(side)
                self.bench.progress.done(f"{rates[side][-1]:,.0f}/s")
        share = median(rates[self.full]) / median(rates[self.empty])
        cells, met = row(f"{name}, full ÷ empty ({median(rates[self.full]):,.0f} and {median(rates[self.empty]):,.0f}/s)", share, "≥ 0.90",
                         share >= 0.9, 2)
        return cells, met

    def intake(self, case, side):
        self.bench.load(side.address, messages=100, size=case.size, sessions=case.sessions, recipient="user@hold.bench")
        figures = self.bench.load(side.address, messages=case.messages, size=case.size, sessions=case.sessions, recipient="user@hold.bench")
        return cases.Result(figures["rate"], 0.0, figures["busy"])

    def first_delivery(self):
        """From the start of the program to the first mail that arrives, while all that is due for the dead domain wants its turn."""
        counters = Counters(self.bench.base / "first.counters")
        with subprocess.Popen([str(self.bench.programs / "bench_sink"), "--listen", "0.0.0.0:25", "--counters", str(counters.path)]) as sink:
            try:
                began = time.monotonic()
                self.full.launch()
                self.bench.load(self.full.address, messages=1, size=1024, sessions=1, recipient="user@d001.clear")
                while counters.read()["messages"] == 0 and time.monotonic() - began < 60:
                    time.sleep(0.005)
                return time.monotonic() - began
            finally:
                sink.kill()
                self.finish(self.full)

    def delay_of_others(self, side):
        """Median time from the order to send one message to its arrival, ms."""
        counters = Counters(self.bench.base / "one.counters")
        times = []
        with subprocess.Popen([str(self.bench.programs / "bench_sink"), "--listen", "0.0.0.0:25", "--counters", str(counters.path)]) as sink:
            try:
                self.begin(side)
                time.sleep(1)
                for turn in range(30):
                    seen = counters.read()["messages"]
                    figures = self.bench.load(side.address, messages=1, size=1024, sessions=1, recipient=f"user@d{turn + 2:03}.clear")
                    end = time.monotonic() + 20
                    while (now := counters.read())["messages"] == seen and time.monotonic() < end:
                        time.sleep(0.002)
                    times.append((now["last_ns"] - figures["started_ns"]) / 1e6)
            finally:
                sink.kill()
                self.finish(side)
        return median(times)

    def tool_ms(self, *words):
        command = [str(self.tool), "--config", str(self.full.base / "hoplock.yaml"), "--json", "queue", *words]
        times = []
        for _ in range(5):
            began = time.monotonic()
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            times.append((time.monotonic() - began) * 1000)
        return median(times), json.loads(out)

    def measure(self, rounds, quick):
        rows = []
        self.fill()
        os.sync()
        seconds = self.first_delivery()
        rows.append(row("start to first delivery, s", seconds, "< 5", seconds < 5, 2))
        self.full.launch()
        try:
            time.sleep(1)
            listed, found = self.tool_ms("list", "--domain", "w00077.clear")
            rows.append(row(f"queue list --domain D ({len(found)} messages), ms", listed, "< 100", listed < 100 and len(found) > 0, 1))
            took, stats = self.tool_ms("stats")
            good = took < 2000 and stats["total"] >= self.messages and len(stats["domains"]) >= DOMAINS
            rows.append(row(f"queue stats ({stats['total']:,} messages), ms", took, "< 2000", good))
        finally:
            self.finish(self.full)
        empty, full = self.delay_of_others(self.empty), self.delay_of_others(self.full)
        rows.append(row(f"one message to another domain, ms (empty queue: {empty:.1f})", full, "< 20 more", full < empty + 20, 1))
        part = 4 if quick else 1
        intake = cases.Case("queue", "intake", 20_000 // part, 1024, 10, 0.9)
        rows.append(self.ratio("intake 1 KiB, 10 sessions", intake, rounds, self.intake))
        for domains in (1, 500):
            case = cases.Case("queue", "end to end", 8_000 // part, 4096, 10, 0.9, None, domains)
            rows.append(self.ratio(f"end to end clear, {domains} domain{'s' * (domains > 1)}", case, rounds, self.bench.end_to_end))
        rows.append(row("memory at most, MiB", self.memory, "< 250", self.memory < 250, 1))
        self.full.stop()
        return rows


def multiply(database, copies, progress):
    """Every message `copies` times, under earlier ids, through SQLite; nothing reads the database meanwhile."""
    store = sqlite3.connect(database, isolation_level=None)
    store.execute("PRAGMA synchronous=OFF")
    store.execute("PRAGMA cache_size=-1000000")
    least, most, count = store.execute("SELECT min(id), max(id), count(*) FROM message").fetchone()
    step = most - least + 1
    if least <= step * (copies - 1):
        raise RuntimeError("the ids leave no room for copies")
    def columns(table):
        return ", ".join(row[1] for row in store.execute(f"PRAGMA table_info({table})") if row[1] != "id")
    for copy in range(1, copies):
        store.execute("BEGIN")
        for table, bits in (("message", 0), ("recipient", 15), ("chunk", 15)):
            away, names = (copy * step) << bits, columns(table)
            store.execute(f"INSERT INTO {table} (id, {names}) SELECT id - {away}, {names} FROM {table} WHERE id >= {least << bits}")
        store.execute("COMMIT")
        if copy % 10 == 0:
            progress.step(f"{count * (copy + 1):,} messages")
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    total = store.execute("SELECT count(*) FROM message").fetchone()[0]
    store.close()
    return total


def start_of_many(bench, base, daemon, quick):
    """Row: from the start of the program to its first greeting, the page cache cold and half a millisecond more for each read."""
    side = sides.Hoplock(base / "many", bench.world, daemon, SETTINGS)
    side.start()
    side.end()
    copies, filled = 10 if quick else 100, 100_000
    bench.progress.step(f"filling a queue with {copies * filled:,} messages")
    began = time.monotonic()
    program = bench.programs / "bench_fill"
    subprocess.run([str(program), str(side.base / "hoplock.yaml"), str(filled), str(DOMAINS), "100"], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    total = multiply(side.base / "data" / "queue.db", copies, bench.progress)
    size = sum(path.stat().st_size for path in (side.base / "data").iterdir()) >> 20
    bench.progress.done(f"{time.monotonic() - began:.0f} s, {size:,} MiB")
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as drop:
        drop.write("3")
    os.environ.update(SLOWREAD_US="500", SLOWSYNC_US="0")
    try:
        began = time.monotonic()
        side.launch(bench.programs / "bench_slowsync.so")
        seconds = time.monotonic() - began
    finally:
        del os.environ["SLOWREAD_US"], os.environ["SLOWSYNC_US"]
        side.stop()
    return [row(f"start with {total:,} messages, cold, 0.5 ms a read, s", seconds, "≤ 5", seconds <= 5, 2)]


def history(bench, base, daemon, rounds, quick):
    """Rows: end to end with history and without, in turn."""
    sides_of = {True: sides.Hoplock(base / "with-history", bench.world, daemon),
                False: sides.Hoplock(base / "without-history", bench.world, daemon, "history: {keep: 0s}\n")}
    rows = []
    for dane, domains in ((False, 1), (False, 500), (True, 500)):
        case = cases.Case("queue", f"end to end {'DANE' if dane else 'clear'}, {domains} domain{'s' * (domains > 1)}", 2000 if quick else 6000,
                          4096, 10, 0.9, None, domains, dane)
        rates = {True: [], False: []}
        for turn in range(rounds):
            for kept in ((True, False), (False, True))[turn % 2]:
                bench.progress.step(f"{case.name}, history {'on' if kept else 'off'}, round {turn + 1} of {rounds}")
                rates[kept].append(bench.run(dataclasses.replace(case, results={}), sides_of[kept]).rate)
                bench.progress.done(f"{rates[kept][-1]:,.0f}/s")
        on, off = median(rates[True]), median(rates[False])
        rows.append(row(f"{case.name}, history on ÷ off ({on:,.0f} and {off:,.0f}/s)", on / off, "≥ 0.90", on / off >= 0.9, 2))
    return rows
