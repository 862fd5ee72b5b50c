# SPDX-License-Identifier: Apache-2.0
"""scripts/torture runs this inside its namespaces; see there for what it does."""
import argparse
import collections
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import measure
import sides
import world

LARGE = 1_000_000_000  # the second loader numbers from here
RETRY = "delivery:\n  retry: {first: 1s, factor: 1, max: 2s}\n"


class Torture:
    def __init__(self, options, base):
        self.options = options
        self.base = base
        self.random = random.Random(options.seed)
        self.programs = pathlib.Path(options.build, "tests/bench")
        self.world = world.World(base / "world")
        self.relay = sides.Hoplock(base / "hoplock", self.world, pathlib.Path(options.build, "hoplockd"))
        self.arrived_file = base / "arrived"
        self.loaders = []
        self.kills = collections.Counter()

    def start(self):
        self.world.start()
        self.sink = subprocess.Popen([self.programs / "bench_sink", "--record", self.arrived_file, "--certificate", self.world.certificate,
                                      "--key", self.world.key])
        self.relay.start(more=RETRY)
        for number, size, rate, sessions in ((0, 20_000, 300, 8), (LARGE, 3_000_000, 4, 3)):
            address = ":".join(map(str, self.relay.address))
            command = [self.programs / "bench_load", "--to", address, "--count", LARGE - 1, "--first", number, "--size", size, "--rate", rate,
                       "--sessions", sessions, "--domains", 20, "--rcpt", "user@d%03u.dane", "--vary", "--persist", "--acks",
                       self.base / f"acks.{number}"]
            self.loaders.append(subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL))

    def kill(self):
        """One round: the relay is killed, started again, and every fourth time killed once more while it recovers."""
        time.sleep(self.random.uniform(0.02, 1.2))
        self.relay.process.kill()
        self.relay.process.wait()
        self.kills["under load"] += 1
        while self.random.random() < 0.25:
            self.relay.spawn()
            time.sleep(self.random.uniform(0, 0.25))
            if self.relay.process.poll() is not None:
                raise RuntimeError(f"hoplockd did not start again: {self.relay.log()[-2000:]}")
            self.relay.process.kill()
            self.relay.process.wait()
            self.kills["while it started"] += 1
        self.relay.launch()

    def acknowledged(self):
        found = {}
        for path in self.base.glob("acks.*"):
            for line in path.read_text().splitlines():
                number, checksum, connected, read = line.split()
                if self.counts(int(connected), int(read)):
                    found[int(number)] = checksum
        return found

    def counts(self, connected, read):
        """Whether a 250 that was read then, in a session that began then, is a promise."""
        return True

    def arrived(self):
        """Number to the list of checksums it arrived with, and how many arrived torn."""
        found, torn = collections.defaultdict(list), 0
        for line in self.arrived_file.read_text().splitlines():
            number, checksum, _, declared = line.split()
            found[int(number)].append(checksum)
            torn += checksum != declared
        return found, torn

    def drain(self, progress, patience=60):
        for loader in self.loaders:
            loader.terminate()
            loader.wait()
        acknowledged = self.acknowledged()
        last, since = None, time.monotonic()
        while True:
            missing = acknowledged.keys() - self.arrived()[0].keys()
            progress.detail(f"{len(missing):,} of {len(acknowledged):,} acknowledged messages still to come")
            if not missing:
                time.sleep(2)  # what comes twice may still be under way
                return
            if len(missing) != last:
                last, since = len(missing), time.monotonic()
            elif time.monotonic() - since > patience:
                return
            time.sleep(0.5)

    def report(self):
        acknowledged = self.acknowledged()
        arrived, torn = self.arrived()
        missing = sorted(acknowledged.keys() - arrived.keys())
        wrong = [number for number, checksum in acknowledged.items() if number in arrived and checksum not in arrived[number]]
        twice = sum(len(times) - 1 for times in arrived.values())
        rows = [["killed under load", self.kills["under load"]], ["killed while it started", self.kills["while it started"]],
                ["messages that got their 250", len(acknowledged)], ["… of megabytes, streamed", sum(n >= LARGE for n in acknowledged)],
                ["arrived", len(arrived)], ["arrived without a 250 (allowed)", len(arrived.keys() - acknowledged.keys())],
                ["arrived more than once (duplicates)", twice], ["torn or changed", torn + len(wrong)], ["LOST", len(missing)]]
        print(measure.table(["what", "count", ""], [[what, f"{count:,}", ""] for what, count in rows]))
        if missing:
            print("lost:", *missing[:20])
        return not missing and not torn and not wrong and len(acknowledged) > 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture")
    parser.add_argument("rounds", nargs="?", type=int, default=200)
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="leave the directory for inspection")
    options = parser.parse_args()
    base = pathlib.Path(tempfile.mkdtemp(prefix="hoplock-torture.", dir=options.dir))
    progress = measure.Progress()
    try:
        torture = Torture(options, base)
        progress.step(f"torture, seed {options.seed}")
        torture.start()
        for turn in range(1, options.rounds + 1):
            torture.kill()
            if turn % 10 == 0 or turn == options.rounds:
                progress.step(f"round {turn} of {options.rounds}")
                progress.done(f"{len(torture.acknowledged()):,} acknowledged, {len(torture.arrived()[0]):,} arrived")
        progress.step("draining")
        torture.drain(progress)
        progress.done("done")
        good = torture.report()
        torture.relay.stop()
        torture.sink.kill()
        torture.world.stop()
    finally:
        if options.keep:
            print(f"kept in {base}", file=sys.stderr)
        else:
            shutil.rmtree(base, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
