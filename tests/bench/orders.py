# SPDX-License-Identifier: Apache-2.0
"""scripts/torture --orders runs this inside its namespaces: hoplockd is killed while operators hold, release, retry, remove and bounce in
bulk, and while it makes bounces of its own. See there for what must hold.

    d000 to d004   take mail                                   d010 to d014   refuse every recipient: each makes a bounce
    d005 to d009   take it slowly: often under delivery        d015 to d019   not now, until the end: what operators act on
Only mail to d019 is ever removed. Notices go to d499. Every fourth message has a second recipient, in another domain.
"""
import argparse
import asyncio
import collections
import email
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import measure
import sides
import world

DOMAINS = 20
SENDER = "ann@d499.clear"
RETRY = "delivery:\n  retry: {first: 1s, factor: 1, max: 2s}\n"
KILLED = 0.5  # seconds: of what arrived so shortly before or after a kill the relay may not know


# --- the receiver, a process of its own ---------------------------------------------------------------------------------------------

class Receiver:
    """Writes a line about every mail before it says 250; what it says to a recipient is by his domain."""

    def __init__(self, record, peace):
        self.record = open(record, "ab", buffering=0)
        self.peace = pathlib.Path(peace)

    def reply(self, recipient):
        domain = int(re.search(r"@d(\d+)\.", recipient)[1])
        if 10 <= domain <= 14:
            return "550 5.1.1 nobody"
        if 15 <= domain <= 19 and not self.peace.exists():
            return "451 4.3.0 not now"
        return "250 ok"

    def note(self, recipients, data):
        message = email.message_from_bytes(data)
        line = {"at": time.time(), "to": recipients, "mid": message["Message-ID"]}
        if message.get_content_type() == "multipart/report":
            blocks = [block for block in message.get_payload()[1].get_payload() if block.keys()]
            line["about"] = [block["Final-Recipient"].split(";")[1].strip() for block in blocks[1:]]
            line["action"] = [block["Action"] for block in blocks[1:]]
            line["number"] = int(re.search(rb"X-Number: (\d+)", data)[1])
        else:
            line["number"] = int(message["X-Number"])
        self.record.write(json.dumps(line).encode() + b"\n")

    async def serve(self, reader, writer):
        recipients = []

        async def say(text):
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        try:
            await say("220 sink")
            while line := (await reader.readline()).decode("latin-1").strip():
                verb = line[:4].upper()
                if verb == "MAIL":
                    recipients = []
                if verb == "RCPT":
                    answer = self.reply(line)
                    if answer.startswith("250"):
                        recipients.append(re.search("<(.*)>", line)[1])
                    await say(answer)
                elif verb == "DATA" and recipients:
                    await say("354 go")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    if re.search(r"@d00[5-9]\.", recipients[0]):
                        await asyncio.sleep(0.2)
                    self.note(recipients, data)
                    await say("250 ok")
                else:
                    await say({"EHLO": "250-sink\r\n250 PIPELINING", "DATA": "554 no recipients", "QUIT": "221 bye"}.get(verb, "250 ok"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def run(self):
        server = await asyncio.start_server(self.serve, "0.0.0.0", 25, limit=1 << 20)
        async with server:
            await server.serve_forever()


# --- the loader -----------------------------------------------------------------------------------------------------------------------

class Loader(threading.Thread):
    """Sends numbered messages, over and over again over the relay's ends; `acknowledged` has the recipients of those that got 250."""

    def __init__(self, address, first, seed):
        super().__init__(daemon=True)
        self.address, self.number, self.random = address, first, random.Random(seed)
        self.acknowledged = {}
        self.stopping = False

    def run(self):
        while not self.stopping:
            try:
                asyncio.run(self.session())
            except (OSError, ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                time.sleep(0.02)

    async def session(self):
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*self.address), 5)

        async def ask(text):
            writer.write(text.encode() + b"\r\n")
            while (line := await asyncio.wait_for(reader.readuntil(b"\r\n"), 20))[3:4] == b"-":
                pass
            return line

        await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)
        await ask("EHLO loader")
        while not self.stopping:
            self.number += 1
            number = self.number
            domains = self.random.sample(range(DOMAINS), 2 if number % 4 == 0 else 1)
            recipients = [f"u{number}@d{domain:03}.clear" for domain in domains]
            await ask(f"MAIL FROM:<{SENDER}>")
            for recipient in recipients:
                await ask(f"RCPT TO:<{recipient}>")
            await ask("DATA")
            body = f"From: {SENDER}\r\nX-Number: {number}\r\nSubject: {number}\r\n\r\n" + "text\r\n" * self.random.choice((1, 10, 2000))
            if (await ask(body + ".")).startswith(b"250"):
                self.acknowledged[number] = recipients
            await asyncio.sleep(self.random.uniform(0, 0.03))


# --- the operators --------------------------------------------------------------------------------------------------------------------

class Operator(threading.Thread):
    """Gives one order after the other; the daemon may vanish under it, which must be said with exit 69."""

    ORDERS = (["hold", "--all"], ["hold", "--domain", "D"], ["release", "--all"], ["release", "--domain", "D"], ["retry", "--all"],
              ["remove", "--domain", "d019.clear", "--yes"], ["bounce", "--domain", "D", "--yes"], ["bounce", "--domain", "D", "--yes"], ["bounce", "--sender", SENDER, "--yes"])

    def __init__(self, tool, config, seed):
        super().__init__(daemon=True)
        self.tool, self.config, self.random = tool, config, random.Random(seed)
        self.codes = collections.Counter()
        self.touched = collections.Counter()
        self.stopping = False

    def order(self, words):
        command = [self.tool, "--config", self.config, "--json", "queue", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.codes[done.returncode] += 1
        if done.returncode == 0:
            self.touched[words[0]] += json.loads(done.stdout)["touched"]

    def left(self):
        """Messages in the queue."""
        command = [self.tool, "--config", self.config, "--json", "queue", "stats"]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["total"]

    def run(self):
        while not self.stopping:
            domain = f"d{self.random.randrange(5, DOMAINS):03}.clear"
            self.order([domain if word == "D" else word for word in self.random.choice(self.ORDERS)])
            time.sleep(self.random.uniform(0, 0.1))


class Torture:
    def __init__(self, options, base):
        self.base = base
        self.random = random.Random(options.seed)
        self.world = world.World(base / "world")
        self.relay = sides.Hoplock(base / "hoplock", self.world, pathlib.Path(options.build, "hoplockd"))
        self.tool = pathlib.Path(options.build, "hoplock")
        self.record, self.peace = base / "record", base / "peace"
        self.kills = []
        self.loaders, self.operators = [], []

    def start(self):
        self.world.start()
        self.sink = subprocess.Popen(["/usr/bin/python3", __file__, "--receive", self.record, self.peace])
        self.relay.start(more=RETRY)
        self.loaders = [Loader(self.relay.address, n * 1_000_000, self.random.random()) for n in range(4)]
        config = self.relay.base / "hoplock.yaml"
        self.operators = [Operator(self.tool, config, self.random.random()) for _ in range(2)]
        for thread in (*self.loaders, *self.operators):
            thread.start()

    def kill(self):
        time.sleep(self.random.uniform(0.1, 1.5))
        self.relay.process.kill()
        self.relay.process.wait()
        self.kills.append(time.time())
        self.relay.launch()

    def acknowledged(self):
        return {number: recipients for loader in self.loaders for number, recipients in loader.acknowledged.items()}

    def drain(self, progress, patience=60):
        for thread in (*self.operators, *self.loaders):
            thread.stopping = True
        for thread in (*self.operators, *self.loaders):
            thread.join(30)
        self.peace.touch()
        last, since = None, time.monotonic()
        calm = Operator(self.tool, self.relay.base / "hoplock.yaml", 0)
        while time.monotonic() - since < patience:
            calm.order(["release", "--all"])
            calm.order(["retry", "--all"])
            left = calm.left()
            progress.detail(f"{left:,} messages in the queue")
            if left == 0:
                return left
            if left != last:
                last, since = left, time.monotonic()
            time.sleep(0.5)
        return last

    def report(self, left):
        delivered, notices = collections.defaultdict(list), collections.defaultdict(dict)
        for text in self.record.read_text().splitlines():
            line = json.loads(text)
            for recipient in line.get("about", ()):
                notices[(line["number"], recipient)][line["mid"]] = line["at"]
            if "about" not in line:
                for recipient in line["to"]:
                    delivered[(line["number"], recipient)].append(line["at"])
        acknowledged = self.acknowledged()
        wanted = {(number, recipient) for number, recipients in acknowledged.items() for recipient in recipients}
        ended = delivered.keys() | notices.keys()
        lost = sorted(one for one in wanted - ended if not one[1].endswith("@d019.clear"))
        twice = sorted(one for one, made in notices.items() if len(made) > 1)
        both = sorted(delivered.keys() & notices.keys())
        unknown = [one for one in both if any(abs(kill - at) < KILLED for at in delivered[one] for kill in self.kills)]
        removed = len([one for one in wanted - ended if one[1].endswith("@d019.clear")])
        codes = sum((operator.codes for operator in self.operators), collections.Counter())
        touched = sum((operator.touched for operator in self.operators), collections.Counter())
        refused = sum(1 for one in notices if re.search(r"@d01[0-4]\.", one[1]))
        rows = [["rounds, each ended by kill -9", len(self.kills)], ["messages that got their 250", len(acknowledged)],
                ["… their recipients", len(wanted)], ["orders that were carried out", codes[0]], ["orders that touched nothing", codes[1]],
                ["orders cut off by a kill (exit 69)", codes[69]],
                *[[f"messages touched by {name}", touched[name]] for name in ("hold", "release", "retry", "remove", "bounce")],
                ["recipients delivered", len(delivered)], ["… more than once", sum(len(times) > 1 for times in delivered.values())],
                ["recipients bounced", len(notices)], ["… refused by their server", refused], ["recipients removed", removed],
                ["delivered as the relay was killed, then bounced", len(unknown)], ["left in the queue", left or 0],
                ["orders with another exit code", sum(codes.values()) - codes[0] - codes[1] - codes[69]],
                ["BOUNCED TWICE", len(twice)], ["DELIVERED AND BOUNCED", len(both) - len(unknown)], ["LOST", len(lost)]]
        print(measure.table(["what", "count", ""], [[what, f"{count:,}", ""] for what, count in rows]))
        for what, found in (("lost", lost), ("bounced twice", twice), ("both", [one for one in both if one not in unknown])):
            if found:
                print(what + ":", *found[:10])
        return len(wanted) > 0 and len(notices) > 0 and all(count == 0 for _, count in rows[-5:])


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture --orders")
    parser.add_argument("rounds", nargs="?", type=int, default=100)
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="leave the directory for inspection")
    options = parser.parse_args()
    base = pathlib.Path(tempfile.mkdtemp(prefix="hoplock-orders.", dir=options.dir))
    progress = measure.Progress()
    try:
        torture = Torture(options, base)
        progress.step(f"orders, seed {options.seed}")
        torture.start()
        for turn in range(1, options.rounds + 1):
            torture.kill()
            if turn % 10 == 0 or turn == options.rounds:
                progress.step(f"round {turn} of {options.rounds}")
                progress.done(f"{len(torture.acknowledged()):,} acknowledged")
        progress.step("draining")
        left = torture.drain(progress)
        progress.done("done")
        good = torture.report(left)
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
    if sys.argv[1] == "--receive":
        asyncio.run(Receiver(*sys.argv[2:]).run())
    else:
        main()
