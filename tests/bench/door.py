# SPDX-License-Identifier: Apache-2.0
"""The front door: many TLS sessions that idle, many that come, one large message; beside Postfix where that can do the same."""
import datetime
import json
import re
import signal
import socket
import ssl
import subprocess
import time

import sides
from measure import Counters, median, memory_of, number

KIB = 1024
MIB = 1024 * 1024
TLS = ("127.0.0.3", 2526)

LISTENERS = """listeners:
  - address: "127.0.0.3:2525"
    tls: none
  - address: "127.0.0.3:2526"
    tls: starttls
    certificate: {world.certificate}
    key: {world.key}
"""
POSTFIX_TLS = """smtpd_tls_security_level = may
smtpd_tls_cert_file = {world.certificate}
smtpd_tls_key_file = {world.key}
smtpd_client_restrictions = check_client_access static:HOLD"""


class Door(sides.Hoplock):
    """hoplock with a second listener that offers STARTTLS."""

    def template(self):
        return re.sub(r"listeners:\n(  .*\n)+", lambda _: LISTENERS, sides.HOPLOCK)


class Postfix(sides.Postfix):
    def settings(self, hold):
        return POSTFIX_TLS.format(world=self.world)


class Rows(list):
    def less(self, what, value, limit, digits=1):
        self._add(what, value, value < limit, f"< {limit:,}", digits)

    def least(self, what, value, limit, digits=1):
        self._add(what, value, value >= limit, f"≥ {limit:,}", digits)

    def _add(self, what, value, met, bar, digits):
        self.append(([what, number(value, digits), bar, "met" if met else "MISSED"], met))


class Clients:
    """bench_clients, running."""

    def __init__(self, bench, address=TLS, **how):
        command = [bench.programs / "bench_clients", "--to", f"{address[0]}:{address[1]}"]
        for name, value in how.items():
            command += [f"--{name}"] if value is True else [f"--{name}", value]
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)

    def ready(self):
        return int(self.process.stdout.readline().split()[1])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.figures()

    def figures(self, limit=120):
        try:
            out, _ = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError("the clients did not come to an end") from None
        return json.loads(out)


def limits(**how):
    return "limits: {" + ", ".join(f"{key}: {value}" for key, value in how.items()) + "}\n"


def latency(bench):
    """Milliseconds of a whole session with a message of 1 KiB, one after the other; the median of 200."""
    return Clients(bench, sessions=200, parallel=1, size=KIB).figures()["median_ms"]


def idle(bench, side, quick, rows):
    count = 2000 if quick else 10000
    side.start(hold=True, more=limits(connections=count + 100, connections_per_client=count + 100))
    latency(bench)
    before = [latency(bench) for _ in range(3)]
    rest = memory_of(side.process.pid)
    crowd = Clients(bench, sessions=count, hold=True)
    ready = crowd.ready()
    side.meter.settle()
    rows.less(f"{ready:,} idle TLS sessions, MiB in all (without: {rest:.0f})", memory_of(side.process.pid), 400)
    amid = [latency(bench) for _ in range(3)]
    spent = side.meter.seconds()
    time.sleep(3)
    rows.less("CPU while they idle, ms a second", (side.meter.seconds() - spent) * 1000 / 3, 5)
    rows.least("of them still there, asked NOOP at the end", crowd.end()["served"], count, 0)
    after = [latency(bench) for _ in range(3)]
    rows.less(f"TLS session with a message amid them, of its time without ({median(before + after):.2f} ms)",
              median(amid) / median(before + after), 1.2, 2)


def delays(side):
    """Milliseconds from `accepted` to `delivered` of each message, by the times of the log's lines."""
    def times(event):
        lines = re.findall(rf"time=(\S+) level=\S+ event={event} id=(\S+)", side.log())
        return {key: datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() for at, key in lines}

    came, went = times("accepted"), times("delivered")
    return [(went[key] - came[key]) * 1000 for key in came if key in went]


def delivering(bench, side, seconds, crowd=None):
    """200 messages a second come in clear and go out while the crowd is at the door: (ms below which 95 % of delays are, the crowd's figures)."""
    counters = Counters(bench.base / "sink.counters")
    command = [bench.programs / "bench_sink", "--listen", "0.0.0.0:25", "--counters", counters.path]
    with subprocess.Popen([str(part) for part in command]) as sink:
        try:
            bench.load(side.address, messages=100, size=4 * KIB, sessions=10, recipient="user@d%03u.clear", domains=20)
            bench.wait_for(counters, 100)
            side.meter.settle()
            known = len(delays(side))
            running = crowd() if crowd else None
            bench.load(side.address, messages=200 * seconds, size=4 * KIB, sessions=10, recipient="user@d%03u.clear", domains=20,
                       extra=("--rate", 200))
            bench.wait_for(counters, 100 + 200 * seconds)
            figures = running.figures() if running else None
        finally:
            sink.kill()
    took = sorted(delays(side)[known:])
    if len(took) != 200 * seconds:
        raise RuntimeError(f"the log tells of {len(took)} deliveries, not of {200 * seconds}")
    return took[int(0.95 * (len(took) - 1))], figures


def floods(bench, side, quick, rows):
    seconds = 5 if quick else 15
    side.start()
    calm, _ = delivering(bench, side, seconds)
    side.stop()
    side.start()
    busy, figures = delivering(bench, side, seconds, lambda: Clients(bench, sessions=1000 * seconds, rate=1000))
    rows.least("1,000 new TLS sessions a second: served a second", figures["served"] / figures["seconds"], 950, 0)
    rows.less("  failed or refused", figures["failed"] + figures["refused"] + 0.0, 1, 0)
    rows.less("  95 % of these sessions take less than, ms", figures["p95_ms"], 100)
    rows.less(f"  95 % of deliveries amid them take less than, ms (without: {calm:.0f})", busy, max(100, calm * 3))
    side.stop()
    side.start(more=limits(connections=200, connections_per_client=200))
    crowd = Clients(bench, sessions=190, hold=True)
    crowd.ready()
    busy, figures = delivering(bench, side, seconds, lambda: Clients(bench, sessions=2000 * seconds, rate=2000))
    rows.least("2,000 a second where nearly all is taken: answered a second", figures["rate"], 1900, 0)
    rows.least("  of them refused a second", figures["refused"] / figures["seconds"], 1, 0)
    rows.less(f"  95 % of deliveries amid them take less than, ms (without: {calm:.0f})", busy, max(100, calm * 3))
    crowd.end()
    side.stop()


def chunks(size):
    """A message of that size, in pieces of at most 1 MiB."""
    yield b"Subject: large\r\nFrom: <load@sender.bench>\r\n\r\n"
    line = b"A line of the message, as long as most lines are in most messages.\r\n"
    piece = line * (MIB // len(line))
    left = size
    while left > 0:
        yield piece[:left - left % len(line)] or line
        left -= len(piece)


def send_large(size):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(TLS, timeout=60) as plain:
        def ask(stream, line, expected):
            stream.sendall(line)
            reply = b""
            while not re.search(rb"^\d{3} .*\r\n\Z", reply, re.MULTILINE):
                reply += stream.recv(4096)
            if not reply.startswith(expected):
                raise RuntimeError(f"{line[:60]!r}: {reply!r}")

        ask(plain, b"", b"220")
        ask(plain, b"EHLO client.bench\r\n", b"250")
        ask(plain, b"STARTTLS\r\n", b"220")
        with context.wrap_socket(plain) as stream:
            ask(stream, b"EHLO client.bench\r\n", b"250")
            ask(stream, b"MAIL FROM:<load@sender.bench>\r\n", b"250")
            ask(stream, b"RCPT TO:<user@d000.clear>\r\n", b"250")
            for piece in chunks(size):
                ask(stream, b"BDAT %d\r\n" % len(piece) + piece, b"250")
            ask(stream, b"BDAT 0 LAST\r\n", b"250")


def large(bench, side, quick, rows):
    size = (20 if quick else 150) * MIB
    side.start(more="limits: {message_size: 200MiB}\n")
    counters = Counters(bench.base / "sink.counters")
    command = [bench.programs / "bench_sink", "--listen", "0.0.0.0:25", "--counters", counters.path]
    with subprocess.Popen([str(part) for part in command]) as sink:
        try:
            bench.load(side.address, messages=50, size=4 * KIB, sessions=5)
            bench.wait_for(counters, 50)
            side.meter.settle()
            before = memory_of(side.process.pid)
            with open(f"/proc/{side.process.pid}/clear_refs", "w") as file:
                file.write("5")  # the high-water mark starts anew
            began = time.monotonic()
            send_large(size)
            taken = time.monotonic() - began
            bench.wait_for(counters, 51)
            through = time.monotonic() - began
        finally:
            sink.kill()
    rows.less(f"a message of {size // MIB} MiB, in by TLS and BDAT in {taken:.1f} s and out after {through:.1f} s: rise, MiB",
              memory_of(side.process.pid, "VmHWM") - before, 24)
    side.stop()


def measure(bench, hoplock, quick):
    rows = Rows()
    for part in (idle, floods, large):
        bench.progress.step(f"front door: {part.__name__}")
        try:
            part(bench, hoplock, quick, rows)
        finally:
            hoplock.stop()
        bench.progress.done("done")
    return rows


def beside(bench, relays, rounds, quick):
    """Rows: TLS sessions a second, hoplock and Postfix in turn."""
    rows = []
    for what, size, least in (("TLS sessions without mail, 50 at a time", 0, 2.0), ("TLS sessions with a message of 10 KiB, 50 at a time", 10 * KIB, 2.0)):
        results = {side.name: [] for side in relays}
        for turn in range(rounds):
            for side in relays:
                bench.progress.step(f"{what}: {side.name}, round {turn + 1} of {rounds}")
                address = TLS if side.name == "hoplock" else side.address
                try:
                    side.start(hold=True)
                    Clients(bench, address, sessions=200, size=size).figures()
                    before = side.meter.settle()
                    count = 1000 if quick else 4000
                    figures = Clients(bench, address, sessions=count, size=size).figures()
                    if figures["served"] != count:
                        raise RuntimeError(f"{side.name} served {figures}")
                    results[side.name].append((figures["rate"], (side.meter.settle() - before) * 1000 / count))
                finally:
                    side.stop()
                bench.progress.done(f"{figures['rate']:,.0f}/s, CPU {results[side.name][-1][1]:.3f} ms")
        ours, theirs = (tuple(median([one[i] for one in results[name]]) for i in (0, 1)) for name in ("hoplock", "postfix"))
        met = ours[0] / theirs[0] >= least
        rows.append(([what, number(ours[0]), number(theirs[0]), number(ours[0] / theirs[0], 2), f"≥ {least:.1f}", number(ours[1], 3),
                      number(theirs[1], 3), f"1/{theirs[1] / ours[1]:.1f}", "met" if met else "MISSED"], met))
    return rows
