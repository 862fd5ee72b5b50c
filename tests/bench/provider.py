#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A receiver with thousands of domains on one MX set and limits of its own, and what a relay makes of them, second by second.

    tests/bench/provider.py [--build build/release] [--before BUILD] [--domains 2000] [--messages 20000]

Runs inside namespaces that it makes (root). The provider takes 20 sessions and says 421 to the one above, from the 20th second on only
eight, from the 40th on 20 again. Each answer takes 15 ms, so 20 sessions bring some 220 messages a second; from the 80th second on it is
hot above 120 a second, over the last three, and says 451 4.7.500 at MAIL until it has cooled. Beside this backlog a message a half second
goes to somebody else, and its way is timed. `--before` shows another build beside it.

0 when the relay finds each limit (a lower one within 10 s, a higher one within 30 s: MX-27; what is hot after some rests of retry.first,
10 s here) and stays there (half of what the provider would take, and one in twenty refused at most), everything is taken, nothing
bounces, and 95 % of the others' mail is there within a second. In the picture | is the limit.
"""
import argparse
import asyncio
import collections
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PORT, DOOR = 2600, 2525
PROVIDER, OTHERS, AUTHORITY = "127.0.0.25", "127.0.0.26", "127.53.0.1"
ANSWER = 0.015
# From when on, until when it may be looked for, what it is called, sessions, and messages a second above which it is hot.
PHASES = [(0, 10, "20 sessions", 20, None), (20, 30, "8 sessions", 8, None), (40, 70, "20 sessions again", 20, None),
          (80, 130, "hot above 120/s", 20, 120)]
HOT_OVER = 3              # seconds over which the rate counts
ONE, FASTEST = 11, 220    # messages a second that a session brings, and 20
WIDTH = 50
REFUSED = 1 / 20


class Provider:
    """SMTP for both addresses; only the provider's counts, limits and takes its time."""

    def __init__(self):
        self.began = time.monotonic()
        self.open, self.taken, self.too_many, self.hot = 0, 0, 0, 0
        self.lately = collections.deque()  # when there was a MAIL
        self.arrived = {}  # at others: who, when

    def phase(self):
        """What it is called, its sessions and its messages a second."""
        return [phase for phase in PHASES if phase[0] <= time.monotonic() - self.began][-1][2:]

    def limit(self):
        return self.phase()[1]

    def most(self):
        """Messages a second that it would take."""
        _, sessions, rate = self.phase()
        return rate or sessions * ONE

    def is_hot(self):
        """Whoever is told so is counted too: knocking on heats."""
        now = time.monotonic()
        while self.lately and self.lately[0] < now - HOT_OVER:
            self.lately.popleft()
        self.lately.append(now)
        rate = self.phase()[2]
        return rate is not None and len(self.lately) > rate * HOT_OVER

    async def serve(self, reader, writer):
        strict = writer.get_extra_info("sockname")[0] == PROVIDER
        full = strict and self.open >= self.limit()
        self.open += strict and not full
        try:
            await self.talk(reader, writer, strict, full)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # cancelled: the show is over
            pass
        finally:
            self.open -= strict and not full
            writer.close()

    async def talk(self, reader, writer, strict, full):
        async def say(text):
            if strict:
                await asyncio.sleep(ANSWER)
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        if full:
            self.too_many += 1
            return await say("421 4.7.0 too many connections from your address")
        await say("220 provider")
        to = ""
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"MAIL" and strict and self.is_hot():
                self.hot += 1
                await say("451 4.7.500 Server busy. Please try again later")
            elif verb == b"RCPT":
                to = line.decode().split("<")[1].split(">")[0]
                await say("250 2.1.5 ok")
            elif verb == b"DATA":
                await say("354 go")
                await reader.readuntil(b"\r\n.\r\n")
                await say("250 2.0.0 taken")
                self.taken += strict
                if not strict:
                    self.arrived[to] = time.monotonic()
            elif verb == b"QUIT":
                return await say("221 bye")
            else:
                await say("250 ok")


class Names:
    """A signed root and one unsigned zone: every *.provider.mail has the provider's MX host, every *.other.mail its own."""

    HEAD = "$TTL 3600\n@ SOA ns.mail. hostmaster.mail. 1 7200 3600 604800 300\n"

    def __init__(self, base):
        self.base = base

    def start(self):
        glue = f"ns.mail. A {AUTHORITY}\n"
        (self.base / "root").write_text(self.HEAD + f"@ NS a.root.\na.root. A {AUTHORITY}\nmail. NS ns.mail.\n{glue}")
        (self.base / "mail").write_text(self.HEAD + "@ NS ns.mail.\n" + glue + "".join(
            f"*.{owner}.mail. MX 10 mx.{owner}.mail.\nmx.{owner}.mail. A {where}\n" for owner, where in (("provider", PROVIDER), ("other", OTHERS))))
        key = self.run("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", ".").strip()
        self.run("ldns-signzone", "-e", "20370101000000", "-o", ".", "-f", "root.signed", "root", key)
        (self.base / "hints").write_text(f". 3600000 NS a.root.\na.root. 3600000 A {AUTHORITY}\n")
        (self.base / "unbound.conf").write_text("server:\n    do-not-query-localhost: no\n")
        (self.base / "nsd.conf").write_text(
            f'server:\n  ip-address: {AUTHORITY}\n  username: ""\n  pidfile: ""\n  database: ""\n  zonesdir: "{self.base}"\n  server-count: 1\n'
            f'  xfrdfile: "{self.base}/xfrd"\n  zonelistfile: "{self.base}/zones"\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n'
            'zone:\n  name: "."\n  zonefile: "root.signed"\nzone:\n  name: "mail"\n  zonefile: "mail"\n')
        return subprocess.Popen(["nsd", "-d", "-c", self.base / "nsd.conf"], stderr=subprocess.DEVNULL)

    def config(self):
        key = next(self.base.glob("K*.key"))
        return {"trust_anchor": str(key), "root_hints": str(self.base / "hints"), "unbound_conf": str(self.base / "unbound.conf"),
                "local_targets": "allow"}

    def run(self, *command):
        return subprocess.run(command, cwd=self.base, check=True, stdout=subprocess.PIPE, text=True).stdout


async def hand_in_all(recipients):
    for begin in range(0, len(recipients), 500):  # a session takes a thousand
        await hand_in(recipients[begin:begin + 500])


async def hand_in(recipients):
    reader, writer = await asyncio.open_connection("127.0.0.1", DOOR)

    async def expect(command=None):
        if command:
            writer.write(command.encode() + b"\r\n")
        line = await reader.readline()
        while line[3:4] == b"-":
            line = await reader.readline()
        if line[:1] not in b"23":
            raise RuntimeError(f"{command}: {line}")

    await expect()
    await expect("EHLO client.test")
    for to in recipients:
        await expect("MAIL FROM:<a@sender.test>")
        await expect(f"RCPT TO:<{to}>")
        await expect("DATA")
        await expect("Subject: x\r\n\r\nhello\r\n.")
    writer.close()


class Show:
    def __init__(self, options, build):
        self.options, self.build = options, build
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="hoplock-provider."))
        self.names = Names(self.base)
        self.delays = []
        self.seconds = []  # taken, refused, what would have been taken

    def start(self):
        config = {
            "hostname": "relay.test", "data_dir": str(self.base / "data"), "log": {"file": str(self.base / "log"), "level": "info"},
            "listeners": [{"address": f"127.0.0.1:{DOOR}"}], "limits": {"min_free_space": "1MiB"},
            "dns": self.names.config(),
            "security": {"mta_sts": "off"}, "tls_rpt": {"enabled": False},
            "delivery": {"port": PORT, "retry": {"first": "10s", "factor": 2, "max": "1m", "jitter": 0.1}}}
        (self.base / "data").mkdir()
        (self.base / "hoplock.yaml").write_text(json.dumps(config))
        return subprocess.Popen([f"{self.build}/hoplockd", "--config", str(self.base / "hoplock.yaml")])

    async def others(self, provider, over):
        number = 0
        while not over.is_set():
            to = f"a{number}@d{number % 10}.other.mail"
            number += 1
            began = time.monotonic()
            await hand_in([to])
            while to not in provider.arrived and time.monotonic() - began < 60:
                await asyncio.sleep(0.005)
            self.delays.append(provider.arrived.get(to, began + 60) - began)
            await asyncio.sleep(max(0, began + 0.5 - time.monotonic()))

    async def watch(self, provider):
        last = (0, 0, 0)
        for second in range(self.options.seconds):
            await asyncio.sleep(max(0, provider.began + second + 1 - time.monotonic()))
            seen = (provider.taken, provider.too_many, provider.hot)
            rate, many, hot = (now - then for now, then in zip(seen, last))
            last = seen
            most = provider.most()
            self.seconds.append((rate, many + hot, most))
            bar = list(f"{'#' * round(rate / FASTEST * WIDTH):{WIDTH}}"[:WIDTH])
            mark = min(WIDTH - 1, round(most / FASTEST * WIDTH) - 1)
            bar[mark] = "|" if bar[mark] == " " else "+"
            row = f"{second + 1:3d} s |{''.join(bar)}| {rate:4d}/s  sessions {provider.open:3d} of {provider.limit():2d}"
            row += (f"  421: {many}" if many else "") + (f"  451: {hot}" if hot else "")
            print(row, flush=True)
            if provider.taken >= self.options.messages:
                break

    async def run(self):
        provider = Provider()
        names = self.names.start()
        for address in (PROVIDER, OTHERS):
            await asyncio.start_server(provider.serve, address, PORT, backlog=512)
        relay = self.start()
        try:
            for _ in range(200):
                try:
                    (await asyncio.open_connection("127.0.0.1", DOOR))[1].close()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            domains = [f"u{i}@d{i % self.options.domains}.provider.mail" for i in range(self.options.messages)]
            random.Random(7).shuffle(domains)
            over = asyncio.Event()
            provider.began = time.monotonic()
            sending = [asyncio.create_task(hand_in_all(domains[i::8])) for i in range(8)]
            timing = asyncio.create_task(self.others(provider, over))
            await self.watch(provider)
            over.set()
            await asyncio.gather(timing, *sending)
            return self.tell(provider)
        finally:
            relay.send_signal(signal.SIGTERM)
            relay.wait(30)
            names.terminate()
            names.wait()
            shutil.rmtree(self.base, ignore_errors=True)

    def tell(self, provider):
        log = (self.base / "log").read_text()
        if provider.taken == 0:
            print(log[-2000:])
        count = {name: log.count(f"event={name} ") for name in ("deferred", "bounced", "throttled")}
        late = sorted(self.delays)[int(len(self.delays) * 0.95)]
        print(f"{provider.taken} of {self.options.messages} taken; refused with 421: {provider.too_many}, with 451: {provider.hot}; log: {count}")
        print(f"others' mail: median {statistics.median(self.delays):.3f} s, 95 % within {late:.3f} s, {len(self.delays)} messages")
        good = True
        for what, taken, refused, most in self.judged():
            met = taken >= most / 2 and refused <= max(1, taken) * REFUSED
            good = good and met
            print(f"{what}: {taken:.0f} of {most:.0f} a second, {refused / max(1, taken + refused):.1%} refused: {'met' if met else 'MISSED'}")
        good = good and late <= 1 and count["bounced"] == 0 and provider.taken == self.options.messages
        print("met" if good else "MISSED", flush=True)
        return good

    def judged(self):
        """Of each phase, once the limit had to be found: a second's taken and refused, and the limit."""
        whole = self.seconds[:-1]  # in the last one the mail runs out
        ends = [phase[0] for phase in PHASES[1:]] + [len(whole)]
        for (_, found, what, *_), end in zip(PHASES, ends):
            steady = whole[found:end]
            if steady:
                yield what, statistics.mean(rate for rate, *_ in steady), statistics.mean(refused for _, refused, _ in steady), steady[0][2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--before")
    parser.add_argument("--domains", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--seconds", type=int, default=240)
    options = parser.parse_args()
    if not os.environ.get("HOPLOCK_INSIDE"):
        os.environ["HOPLOCK_INSIDE"] = "1"
        inside = 'ip link set lo up && exec "$@"'
        os.execvp("unshare", ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, "sh", sys.executable, *sys.argv])
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    good = True
    for name, build in (("before", options.before), ("now", options.build)):
        if build:
            print(f"--- {name}: {build}")
            good = asyncio.run(Show(options, build).run())
    sys.exit(0 if good else 1)


main()
