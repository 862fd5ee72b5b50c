# SPDX-License-Identifier: Apache-2.0
"""scripts/torture --power runs this inside its namespaces: the power goes under load, N times; see there for what must hold.

Two disks in turn. `model`: tests/support/storage.c is preloaded into hoplockd and keeps beside its data what a disk would have after a
power cut; pages that were not synced survive or not at random, torn at 512 octets; in some rounds one fdatasync fails as well, which
the kernel takes for the end of those pages. `ext4`: a real file system on a loop device, which EXT4_IOC_SHUTDOWN stops without a flush,
journal included. Both are cut while hoplockd runs, which is then killed; the next start finds what the disk has. A 250 counts when it was
read before the cut began.
"""
import argparse
import bisect
import collections
import errno
import fcntl
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import measure
import sides
import torture

SECTOR = 512
PAGE = 4096
EXT4_IOC_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125
NO_FLUSH_OF_THE_LOG = 2
FAULTS = ("queue.db-wal", "queue.db")


class Model:
    """Stable storage as the preloaded library keeps it."""

    name = "model"

    def __init__(self, base, data, library, source):
        self.data, self.library, self.random = data, library, source
        self.shadow, self.control = base / "stable", base / "fault"
        self.counts = collections.Counter()
        self.cuts = []  # all that it said before it is killed is true: nothing is settled behind it

    def attach(self):
        shutil.rmtree(self.shadow, ignore_errors=True)
        self.shadow.mkdir()
        self.control.unlink(missing_ok=True)

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "STORAGE_DIRECTORY": str(self.data), "STORAGE_SHADOW": str(self.shadow),
                "STORAGE_CONTROL": str(self.control)}

    def perhaps_fail_a_sync(self):
        if self.random.random() >= 0.5:
            return
        name = self.random.choice(FAULTS)
        self.control.write_text(f"sync {name} {errno.EIO}\n")
        end = time.monotonic() + (0.5 if name == FAULTS[0] else 4)  # the database is synced at a checkpoint only
        while self.control.exists() and time.monotonic() < end:
            time.sleep(0.01)
        self.counts[f"a failed fdatasync of {name}"] += not self.control.exists()
        self.control.unlink(missing_ok=True)

    def cut(self, process):
        process.kill()
        process.wait()
        survival = self.random.choice((0, 0.5, 0.9))
        for stable in self.shadow.iterdir():
            if stable.suffix == ".unfinished":
                continue  # it was killed over its copy, before it wrote anything to the file
            self.merge(stable, self.data / stable.name, survival)
        for path in self.data.glob("*-shm"):
            path.unlink()
        self.counts["power cuts (model)"] += 1

    def merge(self, stable, written, survival):
        old = stable.read_bytes()
        if not written.exists():
            if self.random.random() >= survival:
                written.write_bytes(old)  # its removal did not get there
            return
        new = written.read_bytes()
        out = bytearray(old)
        if len(old) != len(new) and self.random.random() < survival:
            out = bytearray(old[:len(new)].ljust(len(new), b"\0"))
        lost = 0
        for page in range(0, min(len(out), len(new)), PAGE):
            if out[page:page + PAGE] == new[page:page + PAGE]:
                continue
            for at in range(page, min(page + PAGE, len(out), len(new)), SECTOR):
                if self.random.random() < survival:
                    out[at:at + SECTOR] = new[at:min(at + SECTOR, len(out))]
                else:
                    lost += 1
        written.write_bytes(out)
        self.counts["sectors that did not survive"] += lost

    def close(self):
        pass


class Ext4:
    """A file system of its own, stopped without a flush."""

    name = "ext4"

    def __init__(self, base, data, source):
        self.image, self.data, self.random = base / "ext4.img", data, source
        self.counts = collections.Counter()
        self.cuts = []  # when each began
        subprocess.run(["truncate", "-s", "4G", self.image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)

    @staticmethod
    def why_not():
        if not shutil.which("mkfs.ext4"):
            return "mkfs.ext4 is not installed"
        with tempfile.TemporaryDirectory() as base:
            image, place = pathlib.Path(base, "image"), pathlib.Path(base, "place")
            place.mkdir()
            subprocess.run(["truncate", "-s", "16M", image], check=True)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
            tried = subprocess.run(["mount", "-o", "loop", image, place], stderr=subprocess.PIPE, text=True)
            if tried.returncode != 0:
                return "no loop device: " + tried.stderr.strip()
            subprocess.run(["umount", place], check=True)
        return ""

    def attach(self):
        if not os.path.ismount(self.data):
            subprocess.run(["mount", "-o", "loop", self.image, self.data], check=True)

    def environment(self):
        return {}

    def perhaps_fail_a_sync(self):
        pass

    def cut(self, process):
        """hoplockd runs on, with calls under way. An fdatasync that meets the shutdown half way may come back good although nothing of it
        got there (jbd2_complete_transaction finds the transaction gone), which no disk would say after the power went. So a 250 counts
        if the client had read it before this began; all its octets were on the disk then, or the relay has lied."""
        place = os.open(self.data, os.O_RDONLY)
        self.cuts.append(time.monotonic_ns())
        fcntl.ioctl(place, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_FLUSH_OF_THE_LOG))
        os.close(place)
        process.kill()
        process.wait()
        self.close()
        self.counts["power cuts (ext4)"] += 1

    def close(self):
        for _ in range(50):
            if not os.path.ismount(self.data) or subprocess.run(["umount", self.data], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.data} stays mounted")


class OnADisk(sides.Hoplock):
    disk = None

    def environment(self, slow):
        return dict(os.environ, **self.disk.environment())

    def spawn(self, slow=None):
        self.disk.attach()
        super().spawn(slow)


class Power(torture.Torture):
    def __init__(self, options, base, kind):
        super().__init__(options, base)
        (base / "disk").mkdir()
        data = base / "hoplock/data"
        library = pathlib.Path(options.build, "tests/bench/bench_storage.so")
        disk = Model(base / "disk", data, library, self.random) if kind == "model" else Ext4(base / "disk", data, self.random)
        relay = OnADisk(base / "hoplock", self.world, pathlib.Path(options.build, "hoplockd"))
        relay.disk = self.disk = disk
        self.relay = relay

    def kill(self):
        time.sleep(self.random.uniform(0.02, 1.2))
        self.disk.perhaps_fail_a_sync()
        time.sleep(self.random.uniform(0, 0.3))
        if self.relay.process.poll() is not None:
            self.ended()
        self.disk.cut(self.relay.process)
        while self.random.random() < 0.2:  # and once more on the way up
            self.relay.spawn()
            time.sleep(self.random.uniform(0, 0.25))
            if self.relay.process.poll() is not None:
                raise RuntimeError(f"hoplockd did not start again: {self.relay.log()[-2000:]}")
            self.disk.cut(self.relay.process)
            self.disk.counts["… of them while it started"] += 1
        self.relay.launch()

    def counts(self, connected, read):
        """Not what was read from a relay whose power had gone."""
        before = bisect.bisect(self.disk.cuts, read)
        return before == 0 or self.disk.cuts[before - 1] <= connected

    def uncounted(self):
        """Numbers of messages whose 250 came too late to count."""
        lines = [line.split() for path in self.base.glob("acks.*") for line in path.read_text().splitlines()]
        return {int(number) for number, _, connected, read in lines if not self.counts(int(connected), int(read))}

    def ended(self):
        """It may end by itself after a fault, and then says which file, what and why."""
        told = [line for line in self.relay.log().rpartition("event=started")[2].splitlines() if "level=info" not in line]
        if self.relay.process.returncode < 0 or not any("Input/output error" in line for line in told):
            raise RuntimeError(f"hoplockd ended by itself ({self.relay.process.returncode}): " + "\n".join(told)[-4000:])
        self.disk.counts["ended by itself after a fault, and said why"] += 1

    def report(self):
        late = self.uncounted()
        self.disk.counts["250s that were read after the power had gone (not counted)"] = len(late)
        self.disk.counts["250s that were read after the power had gone: … of them never arrived"] = len(late - self.arrived()[0].keys())
        print(measure.table(["what", "count", ""], [[what, f"{count:,}", ""] for what, count in sorted(self.disk.counts.items())]))
        return super().report()

    def close(self):
        for loader in self.loaders:
            loader.kill()
        self.relay.stop()
        self.sink.kill()
        self.world.stop()
        self.disk.close()


def run(options, kind, rounds, progress):
    base = pathlib.Path(tempfile.mkdtemp(prefix="hoplock-power.", dir=options.dir))
    power = Power(options, base, kind)
    try:
        progress.step(f"power cuts on the {kind} disk, seed {options.seed}")
        power.start()
        for turn in range(1, rounds + 1):
            power.kill()
            if turn % 10 == 0 or turn == rounds:
                progress.step(f"{kind}: round {turn} of {rounds}")
                progress.done(f"{len(power.acknowledged()):,} acknowledged, {len(power.arrived()[0]):,} arrived")
        progress.step("draining")
        power.drain(progress)
        progress.done("done")
        return power.report()
    finally:
        power.close()
        if options.keep:
            print(f"kept in {base}", file=sys.stderr)
        else:
            shutil.rmtree(base, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture --power")
    parser.add_argument("rounds", nargs="?", type=int, default=200)
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--disk", choices=("model", "ext4", "both"), default="both")
    parser.add_argument("--keep", action="store_true", help="leave the directory for inspection")
    options = parser.parse_args()
    progress = measure.Progress()
    kinds = ["model", "ext4"] if options.disk == "both" else [options.disk]
    if "ext4" in kinds and (reason := Ext4.why_not()):
        print(f"ext4: SKIPPED, {reason}")
        kinds.remove("ext4")
    good = bool(kinds)
    for kind in kinds:
        good = run(options, kind, max(1, options.rounds // len(kinds)), progress) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
