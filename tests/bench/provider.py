#!/usr/bin/python3
"""A receiver with thousands of domains on one MX set and limits of its own, and what a relay makes of them, second by second.

    tests/bench/provider.py [--build build/release] [--before BUILD] [--domains 2000] [--messages 6000]

Runs inside namespaces that it makes (root). The provider takes 20 sessions and says 421 to the one above, for ten seconds from the
fifteenth on only eight; it says 451 4.7.500 at MAIL to what comes faster than 250 messages a second. Each answer takes 15 ms. Beside
this backlog a message a half second goes to somebody else, and its way is timed. `--before` shows another build beside it.
"""
import argparse
import asyncio
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
ANSWER, HOT, LIMIT, LESS = 0.015, 250, 20, 8
LESS_FROM, LESS_UNTIL = 15, 25
WIDTH = 50


class Provider:
    """SMTP for both addresses; only the provider's counts, limits and takes its time."""

    def __init__(self):
        self.began = time.monotonic()
        self.open, self.taken, self.too_many, self.hot = 0, 0, 0, 0
        self.second, self.in_second = 0, 0
        self.arrived = {}  # at others: who, when

    def limit(self):
        return LESS if LESS_FROM <= time.monotonic() - self.began < LESS_UNTIL else LIMIT

    def is_hot(self):
        now = int(time.monotonic())
        if now != self.second:
            self.second, self.in_second = now, 0
        self.in_second += 1
        return self.in_second > HOT

    async def serve(self, reader, writer):
        strict = writer.get_extra_info("sockname")[0] == PROVIDER
        full = strict and self.open >= self.limit()
        self.open += strict and not full
        try:
            await self.talk(reader, writer, strict, full)
        except (OSError, asyncio.IncompleteReadError):
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
            bar = ("#" * round(rate / HOT * WIDTH))[:WIDTH]
            row = f"{second + 1:3d} s |{bar:{WIDTH}}| {rate:4d}/s  sessions {provider.open:3d} of {provider.limit():2d}"
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
            sending = [asyncio.create_task(hand_in(domains[i::8])) for i in range(8)]
            timing = asyncio.create_task(self.others(provider, over))
            await self.watch(provider)
            over.set()
            await asyncio.gather(timing, *sending)
            self.tell(provider)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--before")
    parser.add_argument("--domains", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--seconds", type=int, default=90)
    options = parser.parse_args()
    if not os.environ.get("HOPLOCK_INSIDE"):
        os.environ["HOPLOCK_INSIDE"] = "1"
        inside = 'ip link set lo up && exec "$@"'
        os.execvp("unshare", ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, "sh", sys.executable, *sys.argv])
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    for name, build in (("before", options.before), ("now", options.build)):
        if build:
            print(f"--- {name}: {build}")
            asyncio.run(Show(options, build).run())


main()
