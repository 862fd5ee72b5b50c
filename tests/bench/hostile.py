# SPDX-License-Identifier: Apache-2.0
"""scripts/torture --hostile runs this inside its namespaces: everybody who may come to a relay's door, or to its disk, at once; see there
for what must hold.

    strangers   2,000 connections from 2,000 addresses that say nothing, and come again when they are ended
    guessers    64 connections that try passwords inside TLS
    flood       4 TLS 1.3 sessions that send KeyUpdates without end
    slow        20 messages at an octet a second, by a client that may relay
    disk        a file system of its own, filled to the last octet for three seconds of thirty
    operator    SIGHUP every second; `sqlite3 queue.db` open, reading, and making copies

Beside them an allowed client hands in ten numbered messages a second, each over a connection of its own, and notes how long that took.
Who comes from outside has machines of his own; here they get of the processors what the relay and its machine leave (nice 19), or the
flood's four threads take both. The table says too what each side had of the processor, and how long the relay's loop was ready to run and had none.
"""
import argparse
import asyncio
import base64
import collections
import itertools
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import measure
import power
import sides
import torture

CLEAR, TLS = ("127.0.0.3", 2525), ("127.0.0.3", 2526)
LISTENERS = """listeners:
  - address: "127.0.0.3:2525"
    tls: none
    allow: ["127.0.0.3/32"]
  - address: "127.0.0.3:2526"
    tls: starttls
    certificate: {world.certificate}
    key: {world.key}
    allow: ["127.0.0.3/32"]
    auth: true
    users_file: {base}/users
"""
FULL_EVERY, FULL_FOR, GRACE = 30, 3, 5
OUTSIDE = ("nice", "-n", "19")
PATIENCE = 20  # of the allowed client, seconds


# --- those who come from outside, each kind a process of its own ----------------------------------------------------------------------

async def connect(address, source):
    return await asyncio.open_connection(*address, local_addr=(source, 0))


async def ask(reader, writer, line, size=None):
    if line:
        writer.write(line)
        await writer.drain()
    while True:
        reply = await reader.readline()
        if not reply:
            raise ConnectionError("ended")
        if reply[3:4] != b"-":
            return reply


async def guesser(number, met):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        try:
            reader, writer = await connect(TLS, f"127.30.0.{number % 4 + 1}")
            await ask(reader, writer, b"")
            await ask(reader, writer, b"EHLO guesser.bench\r\n")
            await ask(reader, writer, b"STARTTLS\r\n")
            await writer.start_tls(context) if hasattr(writer, "start_tls") else await upgrade(reader, writer, context)
            await ask(reader, writer, b"EHLO guesser.bench\r\n")
            while True:
                secret = base64.b64encode(f"\0user{number % 3}\0guess{random.random()}".encode())
                met[(await ask(reader, writer, b"AUTH PLAIN " + secret + b"\r\n"))[:3].decode()] += 1
        except (OSError, ConnectionError, asyncio.IncompleteReadError):
            met["ended"] += 1
        await asyncio.sleep(0.2)


async def slow(number, met):
    while True:
        try:
            reader, writer = await connect(CLEAR, "127.0.0.3")
            for line in (b"", b"EHLO slow.bench\r\n", b"MAIL FROM:<slow@sender.bench>\r\n", b"RCPT TO:<slow@d001.clear>\r\n", b"DATA\r\n"):
                await ask(reader, writer, line)
            met["began"] += 1
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
        except (OSError, ConnectionError):
            met["ended"] += 1
        await asyncio.sleep(1)


async def upgrade(reader, writer, context):
    loop = asyncio.get_running_loop()
    protocol = writer.transport.get_protocol()
    transport = await loop.start_tls(writer.transport, protocol, context, server_hostname="mx.bench")
    writer._transport = transport
    reader._transport = transport


def crowd(part, count):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    met = collections.Counter()
    one = {"guessers": guesser, "slow": slow}[part]

    async def everybody():
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(one(number, met)) for number in range(count)]
        stop = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, stop.set_result, None)
        await stop
        for task in tasks:
            task.cancel()

    asyncio.run(everybody())
    print(", ".join(f"{what} {n:,}" for what, n in sorted(met.items())), flush=True)


# --- the allowed client ---------------------------------------------------------------------------------------------------------------

def fnv(data):
    state = 14695981039346656037
    for octet in data:
        state = (state ^ octet) * 1099511628211 & (1 << 64) - 1
    return f"{state:016x}"


class Client(threading.Thread):
    """Numbered messages, `rate` a second whatever becomes of those before; `tries` has when each began, how long it took and how it ended."""

    def __init__(self, rate):
        super().__init__(daemon=True)
        self.rate = rate
        self.acknowledged, self.tries, self.under_way = {}, [], []
        self.stopping = threading.Event()

    def run(self):
        due = time.monotonic()
        for number in itertools.count():
            if self.stopping.wait(max(0, due - time.monotonic())):
                break
            self.under_way = [one for one in self.under_way if one.is_alive()]
            self.under_way.append(threading.Thread(target=self.one, args=(number,), daemon=True))
            self.under_way[-1].start()
            due += 1 / self.rate
        for one in self.under_way:
            one.join(PATIENCE)

    def one(self, number):
        began = time.monotonic()
        try:
            end = self.send(number)
        except OSError as error:
            end = type(error).__name__
        self.tries.append((began, time.monotonic() - began, end))

    def send(self, number):
        body = b"message %d\r\n" % number + b"of a client that may relay\r\n" * 40
        checksum = fnv(body)
        mail = (b"From: <load@sender.bench>\r\nMessage-ID: <%d.hostile@bench>\r\nX-Bench-Number: %d %s\r\n\r\n%s.\r\n"
                % (number, number, checksum.encode(), body))
        with socket.create_connection(CLEAR, timeout=PATIENCE, source_address=("127.0.0.3", 0)) as peer, peer.makefile("rb") as lines:
            for line in (b"", b"EHLO client.bench\r\n", b"MAIL FROM:<load@sender.bench>\r\n",
                         b"RCPT TO:<user@d%03d.clear>\r\n" % (number % 20), b"DATA\r\n", mail):
                peer.sendall(line)
                reply = lines.readline()
                while reply[3:4] == b"-":
                    reply = lines.readline()
                if reply[:1] not in (b"2", b"3"):
                    return reply[:9].decode("latin-1").strip() or "closed"
            self.acknowledged[number] = checksum
            peer.sendall(b"QUIT\r\n")
        return "accepted"


# --- those who are inside ---------------------------------------------------------------------------------------------------------------

class OnASmallDisk(sides.Hoplock):
    image = None

    def template(self):
        return re.sub(r"listeners:\n(  .*\n)+", lambda _: LISTENERS, sides.HOPLOCK) + "limits: {{connections_per_client: 200}}\n"

    def spawn(self, slow=None):
        data = self.base / "data"
        if not os.path.ismount(data):
            hashed = subprocess.run(["openssl", "passwd", "-6", "right"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            (self.base / "users").write_text("".join(f"user{n}:{hashed}\n" for n in range(3)))
            if self.image:
                subprocess.run(["mount", "-o", "loop", self.image, data], check=True)
            else:
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", data], check=True)
        super().spawn(slow)


class Inside(threading.Thread):
    """A thread that does one thing again and again until it is told to stop."""

    def __init__(self, every, what):
        super().__init__(daemon=True)
        self.every, self.what, self.count, self.failed = every, what, 0, []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(self.every):
            try:
                self.what()
                self.count += 1
            except (OSError, subprocess.SubprocessError, RuntimeError) as error:
                self.failed.append(str(error))


def seconds_of(pid):
    """CPU time of a process and of the children it has waited for, how long its threads were ready to run without a processor, and how
    long that was for its first."""
    place = pathlib.Path(f"/proc/{pid}")
    spent = sum(map(int, (place / "stat").read_text().rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")
    waited = {path.parent.name: int(path.read_text().split()[1]) / 1e9 for path in place.glob("task/*/schedstat")}
    return spent, sum(waited.values()), waited.get(str(pid), 0)


class Hostile:
    def __init__(self, options, base):
        self.options, self.base = options, base
        self.programs = pathlib.Path(options.build, "tests/bench")
        self.world = torture.world.World(base / "world")
        self.relay = OnASmallDisk(base / "hoplock", self.world, pathlib.Path(options.build, "hoplockd"))
        self.disk = "ext4 on a loop device"
        if reason := power.Ext4.why_not():
            self.disk = f"tmpfs ({reason})"
        else:
            self.relay.image = base / "disk.img"
            subprocess.run(["truncate", "-s", "1G", self.relay.image], check=True)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", self.relay.image], check=True)
        self.data = base / "hoplock/data"
        self.full = []
        self.parts = {}
        self.client = Client(options.rate)
        self.inside = {"SIGHUP": Inside(1, self.reload), "filling of the disk": Inside(FULL_EVERY - FULL_FOR, self.fill),
                       "copies by sqlite3": Inside(5, self.copy), "shells that come and go": Inside(2, self.look)}
        self.shell = None

    def reload(self):
        self.relay.process.send_signal(signal.SIGHUP)

    def fill(self):
        began = time.monotonic()
        filler = self.data / "filler"
        try:
            with filler.open("wb") as file:
                size, part = 0, 64 << 20
                while part >= 1:  # to the last octet
                    try:
                        os.posix_fallocate(file.fileno(), size, part)
                        size += part
                    except OSError:
                        part //= 2
            time.sleep(FULL_FOR)
        except OSError:
            pass
        finally:
            filler.unlink(missing_ok=True)
            self.full.append((began, time.monotonic() + GRACE))

    def copy(self):
        subprocess.run(["sqlite3", self.data / "queue.db", f".backup {self.base}/copy.db"], check=True, timeout=60, stderr=subprocess.PIPE)

    def look(self):
        subprocess.run(["sqlite3", self.data / "queue.db", "SELECT count(*) FROM message"], check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start(self):
        self.world.start()
        self.sink = subprocess.Popen([self.programs / "bench_sink", "--record", self.base / "arrived", "--listen", "0.0.0.0:25"])
        self.relay.start(more=torture.RETRY)
        for part, count in (("guessers", 64), ("slow", 20)):
            command = [*OUTSIDE, sys.executable, __file__, "--build", self.options.build, "--part", part, "--count", str(count)]
            self.parts[part] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.parts["strangers"] = subprocess.Popen([*OUTSIDE, self.programs / "bench_silent", "--to", ":".join(map(str, CLEAR)), "--count", "2000"],
                                                   stdout=subprocess.PIPE, text=True)
        self.parts["flood"] = subprocess.Popen([*OUTSIDE, self.programs / "bench_flood", "--to", ":".join(map(str, TLS)), "--from", "127.40.0.1"],
                                               stdout=subprocess.PIPE, text=True)
        self.shell = subprocess.Popen(["sqlite3", self.data / "queue.db"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.shell.stdin.write("BEGIN; SELECT count(*) FROM message;\n")  # a reader that never ends
        self.shell.stdin.flush()
        for one in (*self.inside.values(), self.client):
            one.start()

    def watch(self, progress):
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end:
            time.sleep(1)
            if self.relay.process.poll() is not None:
                raise RuntimeError(f"hoplockd ended ({self.relay.process.returncode}): {self.relay.log()[-3000:]}")
            progress.detail(f"{len(self.client.acknowledged):,} acknowledged")

    def stop(self):
        self.said = {}
        processes = {"relay": self.relay.process, **self.parts, "sink": self.sink}
        self.spent = {name: seconds_of(process.pid) for name, process in processes.items()}
        self.spent["client, operator"] = seconds_of(os.getpid())
        for one in (self.client, *self.inside.values()):
            one.stopping.set()
        for one in (self.client, *self.inside.values()):
            one.join(60)
        for name, process in self.parts.items():
            process.terminate()
            self.said[name] = process.communicate(timeout=30)[0].strip()
        self.shell.stdin.close()
        self.shell.wait()

    def arrived(self):
        found = {}
        for line in (self.base / "arrived").read_text().splitlines():
            number, checksum, _, _ = line.split()
            found[int(number)] = checksum
        return found

    def drain(self, progress):
        acknowledged = self.client.acknowledged
        since, last = time.monotonic(), None
        while missing := acknowledged.keys() - self.arrived().keys():
            progress.detail(f"{len(missing):,} still to come")
            if len(missing) != last:
                since, last = time.monotonic(), len(missing)
            if time.monotonic() - since > 60:
                break
            time.sleep(0.5)
        arrived = self.arrived()
        return acknowledged, missing, [n for n, checksum in acknowledged.items() if n in arrived and arrived[n] != checksum]

    def report(self, acknowledged, missing, torn):
        tries = sorted(self.client.tries)
        on_a_full_disk = [one for one in tries if any(one[0] <= end and one[0] + one[1] >= begin for begin, end in self.full)]
        counted = [one for one in tries if one not in set(on_a_full_disk)]
        good = sorted(seconds for _, seconds, end in counted if end == "accepted")
        quick = sum(seconds < 1 for seconds in good)
        share = quick / len(counted) if counted else 0
        ends = collections.Counter(end for _, _, end in counted)
        rows = [["the disk", self.disk, ""], ["mail offered while there was room", f"{len(counted):,}", ""],
                ["  of it accepted within 1 s", f"{share:.1%}", "≥ 95 %"],
                ["  median, 95 %, slowest, s", ", ".join(f"{good[int((len(good) - 1) * part)]:.2f}" for part in (0.5, 0.95, 1)) if good else "", ""]]
        rows += [[f"  ended: {end}", f"{n:,}", ""] for end, n in ends.most_common()]
        rows += [["mail offered on a full disk", f"{len(on_a_full_disk):,}", ""]]
        rows += [[f"  ended: {end}", f"{n:,}", ""] for end, n in collections.Counter(end for _, _, end in on_a_full_disk).most_common()]
        rows += [[name, one.count, f"{len(one.failed)} failed" if one.failed else ""] for name, one in self.inside.items()]
        rows += [[name, text, ""] for name, text in self.said.items()]
        rows += [[f"processor: {name}", f"{spent:.0f} s", f"waited {waited:.0f} s" + (f", its loop {own:.0f} s" if name == "relay" else "")]
                 for name, (spent, waited, own) in self.spent.items()]
        rows += [["acknowledged", f"{len(acknowledged):,}", ""], ["torn or changed", len(torn), "0"], ["LOST", len(missing), "0"]]
        print(measure.table(["what", "figure", "bar"], rows))
        return share >= 0.95 and not missing and not torn and len(acknowledged) > 0

    def close(self):
        for process in (*self.parts.values(), self.shell):
            if process and process.poll() is None:
                process.kill()
        self.relay.stop()
        self.sink.kill()
        self.world.stop()
        subprocess.run(["umount", self.data], stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture --hostile")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--rate", type=float, default=10, help="messages a second of the allowed client")
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--keep", action="store_true", help="leave the directory for inspection")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return crowd(options.part, options.count)
    base = pathlib.Path(tempfile.mkdtemp(prefix="hoplock-hostile.", dir=options.dir))
    progress = measure.Progress()
    hostile = Hostile(options, base)
    try:
        progress.step(f"hostile, {options.seconds} s")
        hostile.start()
        hostile.watch(progress)
        progress.done("over")
        progress.step("draining")
        hostile.stop()
        found = hostile.drain(progress)
        progress.done("done")
        good = hostile.report(*found)
    finally:
        hostile.close()
        if options.keep:
            print(f"kept in {base}", file=sys.stderr)
        else:
            shutil.rmtree(base, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
