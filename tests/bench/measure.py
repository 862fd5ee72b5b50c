# SPDX-License-Identifier: Apache-2.0
"""What is measured and how: CPU time of a whole side, counters of loader and sink, medians, and the table."""
import mmap
import os
import pathlib
import statistics
import struct
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """CPU seconds of every process of a side, the short-lived ones too: a cgroup (v1 cpuacct or v2) where one can be made,
    else /proc, where a living process stands for itself and for the children it has reaped (in ticks: up to a tenth too
    little for Postfix with its many short-lived processes)."""

    def __init__(self, name, kind="auto"):
        self.roots = []
        self.group = self.file = None
        places = [("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat"), ("/sys/fs/cgroup/unified", "cpu.stat")]
        for place, file in places if kind != "proc" else []:
            group = pathlib.Path(place, f"hoplock-bench-{os.getpid()}-{time.monotonic_ns()}-{name}")
            try:
                group.mkdir()
                (group / file).read_text()
            except OSError:
                continue
            self.group, self.file = group, group / file
            break

    def command(self, command):
        """The command as it has to be run to be counted."""
        if not self.group:
            return list(command)
        return ["sh", "-c", f'echo $$ > {self.group}/cgroup.procs && exec "$@"', "sh", *command]

    def seconds(self):
        if not self.group:
            return self._from_proc()
        text = self.file.read_text()
        if self.file.name == "cpu.stat":
            return int(text.split("usage_usec ")[1].split()[0]) / 1e6
        return int(text) / 1e9

    def pids(self):
        if self.group:
            return [int(pid) for pid in (self.group / "cgroup.procs").read_text().split()]
        return [pid for pid, _ in self._tree()]

    def _tree(self):
        stats = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                stats[int(entry.name)] = (int(fields[1]), sum(int(field) for field in fields[11:15]))
        wanted = set(self.roots)
        while more := {pid for pid, (parent, _) in stats.items() if parent in wanted and pid not in wanted}:
            wanted |= more
        return [(pid, stats[pid][1]) for pid in wanted if pid in stats]

    def _from_proc(self):
        return sum(ticks for _, ticks in self._tree()) / TICKS

    def settle(self, limit=20):
        """Waits until the side has nothing left to do, so that work put off is counted too; returns the seconds then."""
        end = time.monotonic() + limit
        last = self.seconds()
        while time.monotonic() < end:
            time.sleep(0.3)
            now = self.seconds()
            if now - last < 0.003:
                return now
            last = now
        return last

    def close(self):
        for _ in range(50):
            try:
                if self.group:
                    self.group.rmdir()
                return
            except OSError:
                time.sleep(0.1)


class Counters:
    """The mapped counters of load.cpp and sink.cpp; the order of the fields is that of common.h."""
    NAMES = ("messages", "first_ns", "last_ns", "bytes", "connections", "handshakes", "resumed", "recipients", "open", "most_open",
             "failed")

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.unlink(missing_ok=True)

    def read(self):
        try:
            with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return dict(zip(self.NAMES, struct.unpack(f"{len(self.NAMES)}Q", mapped)))
        except (OSError, ValueError, struct.error):
            return dict.fromkeys(self.NAMES, 0)


def cpu_of(pid):
    """CPU seconds of one process (the sink, the resolver)."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:13]) / TICKS


def memory_of(pid, field="VmRSS"):
    """MiB, as /proc/PID/status has it."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


class Progress:
    """One line that is rewritten on a terminal, and one line a step elsewhere."""

    def __init__(self):
        self.tty = sys.stderr.isatty()
        self.what = ""
        self.started = time.monotonic()

    def step(self, what):
        self.what = what
        self._write("", self.tty)

    def detail(self, text):
        if self.tty:
            self._write(text, True)

    def done(self, text):
        self._write(text, False)

    def _write(self, text, again):
        line = f"{time.monotonic() - self.started:6.0f}s  {self.what}  {text}"
        if self.tty:
            line = "\r\033[K" + line
        print(line, end="" if again else "\n", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values) if values else None


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    """Aligned Markdown; the first column is text, the last too, what is between are figures."""
    width = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        cells = [str(cell).ljust(width[i]) if i in (0, len(head) - 1) else str(cell).rjust(width[i]) for i, cell in enumerate(row)]
        return "| " + " | ".join(cells) + " |"

    rule = [("-" * w if i in (0, len(head) - 1) else "-" * (w - 1) + ":") for i, w in enumerate(width)]
    return "\n".join([line(head), line(rule), *map(line, rows)])
