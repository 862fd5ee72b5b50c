#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/cluster runs: three nodes on one queue; one dies with mail that only it had, and the others send it."""
import argparse
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import mail  # noqa: E402
import nodes  # noqa: E402
import servers  # noqa: E402

SLOW = 0.25  # what the receiver takes for a message while node-2 gathers its backlog
PARTS = {"delivery": {"sessions_per_domain": 3}}  # one session a node


class Story:
    """What happened when, printed as it happens and once more as a table."""

    def __init__(self):
        self.began = time.monotonic()
        self.rows = []

    def tell(self, what, how=""):
        row = (f"{time.monotonic() - self.began:6.1f} s", what, how)
        self.rows.append(row)
        print("  ".join(row).rstrip(), flush=True)


def wait_until(what, seconds, said):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit(f"cluster: not within {seconds} s: {said}")
        time.sleep(0.1)


def play(story, folder, build, count):
    pair = servers.Pair(folder / "postgresql")
    sink = mail.Sink()
    cluster = []
    try:
        pair.start()
        story.tell("two PostgreSQL servers", f"the standby is {pair.ask('SELECT sync_state FROM pg_stat_replication')}hronous")
        cluster = [nodes.Node(folder, build, f"node-{n}", sink.port, pair.url(), PARTS) for n in (1, 2, 3)]
        cluster[0].start(30)
        for node in cluster[1:]:
            node.begin()
        for node in cluster[1:]:
            node.wait_log(30, event="started")
        story.tell("three nodes", "one queue, each its own SMTP port")
        print(nodes.table_of(cluster[0]))
        return die(story, cluster, sink, count)
    finally:
        for node in cluster:
            if node.alive:
                node.stop()
        sink.stop()
        pair.stop()


def die(story, cluster, sink, count):
    first, second, _ = cluster
    sink.pause = SLOW
    session = mail.Session(second.port)
    acknowledged = {}
    for number in range(1, count + 1):
        reply = session.send(number, 2000, "partner.test")
        if reply.startswith(b"250"):
            acknowledged[number] = (time.monotonic(), second.name)
    session.close()
    story.tell(f"{len(acknowledged)} messages to node-2", "each with its 250, so on both servers; the receiver is slow")
    before = len(sink.arrived)
    second.kill9()
    killed = time.monotonic()
    story.tell("kill -9 of node-2", f"{len(acknowledged) - before} of them were not sent yet, and only node-2 had them")
    sink.pause = 0
    other = mail.Session(cluster[2].port)
    reply = other.send(count + 1, 2000, "partner.test")
    other.close()
    acknowledged[count + 1] = (time.monotonic(), "node-3")
    story.tell("a message to node-3", f"{reply.decode()[:9]}: a dead node keeps nobody from sending")
    wait_until(lambda: any(node.log(event="takeover") for node in (first, cluster[2])), 30, "nobody took over the mail of node-2")
    taker = next(node for node in (first, cluster[2]) if node.log(event="takeover"))
    line = taker.log(event="takeover")[0]
    story.tell(f"{taker.name} takes over", f"the beat of {line['node']} stood still for {line['seconds']} s")
    if not mail.drained(acknowledged, sink, 20):
        story.tell("the mail of node-2 did not all leave")
    lost, twice, _ = mail.judge(acknowledged, sink.arrived)
    last = max((times[0][0] for times in dict(sink.arrived).values()), default=killed)
    story.tell("the last of it has left", f"{last - killed:.1f} s after the kill")
    print()
    print(nodes.table_of(first))
    by = {}
    for times in dict(sink.arrived).values():
        by[times[0][1].split(".")[0]] = by.get(times[0][1].split(".")[0], 0) + 1
    rows = [("acknowledged", len(acknowledged)), *((f"sent by {name}", by[name]) for name in sorted(by)), ("sent twice", twice), ("LOST", len(lost))]
    for what, number in rows:
        print(f"{what:20} {number:6}")
    print(f"\nin {time.monotonic() - story.began:.1f} s" + ("" if not lost else f"; lost: {lost[:20]}"))
    return 0 if not lost and twice <= 8 else 1


def main():
    parser = argparse.ArgumentParser(prog="scripts/cluster", description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--short", action="store_true", help="with less mail")
    options = parser.parse_args()
    try:
        servers.programs()
        servers.user()
    except servers.Missing as missing:
        print(f"cluster: skipped: {missing}", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="hoplock-cluster.", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        return play(Story(), pathlib.Path(folder), os.path.abspath(options.build), 60 if options.short else 200)


if __name__ == "__main__":
    sys.exit(main())
