#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/torture --cluster runs: faults of nodes, servers and the network between them, under load.

The judge: every number that got its 250 arrived (lost = 0, always); how many arrived twice; afterwards the queue is empty, no row belongs
to a dead node, and no draft is left.
"""
import argparse
import os
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import mail  # noqa: E402
import nodes  # noqa: E402
import servers  # noqa: E402

TTL = 15
PAUSES = (0.2, 1.0, TTL + 2)  # before a killed node starts again


class Cluster:
    def __init__(self, folder, build, options):
        self.folder, self.build, self.options = folder, build, options
        self.random = random.Random(options.seed)
        self.pair = servers.Pair(folder / "postgresql")
        self.sink = mail.Sink()
        self.nodes, self.proxies, self.loader = [], [], None
        self.count = {}

    def start(self, proxied=False):
        self.pair.start()
        for n in range(1, self.options.nodes + 1):
            url = self.pair.url()
            if proxied:
                self.proxies.append(nodes.Proxies([self.pair.a.port, self.pair.b.port]))
                url = self.pair.url(self.proxies[-1].ports)
            self.nodes.append(nodes.Node(self.folder, self.build, f"node-{n}", self.sink.port, url))
            self.nodes[-1].start(30)
        self.loader = mail.Loader({node.name: node.port for node in self.nodes}, rate=self.options.rate)

    def note(self, what):
        self.count[what] = self.count.get(what, 0) + 1
        print(f"  {what}", flush=True)

    def stop(self):
        if self.loader:
            self.loader.stop()
        for proxy in self.proxies:
            proxy.speak()
        for node in self.nodes:
            if node.alive:
                node.thaw()
                node.kill9()
        self.sink.stop()
        self.pair.stop()

    def revive(self):
        for node in self.nodes:
            if not node.alive:
                node.start(60)

    def leftovers(self):
        """What must be zero once all is sent."""
        asked = {"messages in the queue": "SELECT count(*) FROM message", "recipients": "SELECT count(*) FROM recipient",
                 "rows of dead nodes": "SELECT count(*) FROM recipient r WHERE owner <> 0 AND NOT EXISTS (SELECT 1 FROM node n WHERE "
                                       "n.incarnation = r.owner AND n.state = 0)",
                 "drafts": "SELECT count(*) FROM draft", "chunks": "SELECT count(*) FROM chunk"}
        end = time.monotonic() + 20
        while True:
            found = {what: self.pair.ask(sql) for what, sql in asked.items()}
            if all(number == "0" for number in found.values()) or time.monotonic() > end:
                return found
            time.sleep(0.5)

    def judge(self):
        self.loader.stop()
        for proxy in self.proxies:
            proxy.speak()
        self.revive()
        mail.drained(self.loader.acknowledged, self.sink, 60)
        time.sleep(2)  # what comes twice may still be under way
        lost, twice, unasked = mail.judge(self.loader.acknowledged, self.sink.arrived)
        left = self.leftovers()
        rows = [*sorted(self.count.items()), ("acknowledged", len(self.loader.acknowledged)), ("arrived", len(self.sink.arrived)),
                ("arrived without a 250 (allowed)", unasked), ("sent twice", twice), *left.items(), ("LOST", len(lost))]
        for what, number in rows:
            print(f"{what:40} {number:>8}")
        refused = ", ".join(f"{words} × {number}" for words, number in self.loader.refused.most_common(8))
        print(f"other replies: {refused or 'none'}; the longest wait {self.loader.longest:.1f} s")
        for number in lost[:10]:
            print("lost:", number, self.loader.acknowledged[number])
        for node in self.nodes:
            for event in ("fenced", "lease-lost", "takeover", "results-lost", "internal-error"):
                if found := node.log(event=event):
                    print(f"{node.name}: {event} × {len(found)}")
        bound = max(8, len(self.loader.acknowledged) // 100)
        good = not lost and self.loader.acknowledged and all(number == "0" for number in left.values()) and twice <= bound
        return 0 if good else 1


def of_nodes(cluster, seconds):
    """kill -9 of a node each five seconds, back after a while."""
    end, due = time.monotonic() + seconds, []
    while time.monotonic() < end:
        time.sleep(cluster.random.uniform(2, 5))
        alive = [node for node in cluster.nodes if node.alive]
        if len(alive) > 1:
            victim = cluster.random.choice(alive)
            victim.kill9()
            pause = cluster.random.choice(PAUSES if seconds > 40 else PAUSES[:2])
            due.append((time.monotonic() + pause, victim))
            cluster.note("kill -9 of a node")
        for at, node in [one for one in due if one[0] <= time.monotonic()]:
            due.remove((at, node))
            node.start(60)


def of_primary(cluster, seconds):
    """The primary's machine dies, the standby is promoted, the dead one comes back as standby."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(cluster.random.uniform(2, 5))
        cluster.pair.fail_over()
        cluster.note("kill -9 of the primary, promotion")
        time.sleep(cluster.random.uniform(0, 4))
        cluster.pair.rejoin()


def of_pauses(cluster, seconds):
    """SIGSTOP of a node for longer than others believe it alive."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        node = cluster.random.choice(cluster.nodes)
        node.freeze()
        cluster.note("SIGSTOP of a node")
        time.sleep(TTL + cluster.random.choice((2, 6)))
        node.thaw()
        time.sleep(3)


def of_network(cluster, seconds):
    """Between one node and the servers: silence of some seconds, or a cut of all connections."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        proxy = cluster.random.choice(cluster.proxies)
        if cluster.random.random() < 0.5:
            for _ in range(10):
                proxy.cut()
                time.sleep(cluster.random.uniform(0.05, 0.5))
            cluster.note("connections cut, ten times")
        else:
            lasts = cluster.random.choice((1, TTL - 1, TTL + 3) if seconds > 40 else (1, 4))
            proxy.silence()
            time.sleep(lasts)
            proxy.speak()
            cluster.note("network silent")
        time.sleep(2)


def of_all(cluster, seconds):
    """Nodes, primary, pauses and network, whichever chance says, one upon the other."""
    end, back = time.monotonic() + seconds, []
    while time.monotonic() < end:
        time.sleep(cluster.random.uniform(1, 4))
        kind = cluster.random.choice(("node", "node", "primary", "pause", "silence", "cut"))
        alive = [node for node in cluster.nodes if node.alive and node not in [one for _, one, _ in back]]
        if kind == "primary":
            cluster.pair.fail_over()
            time.sleep(cluster.random.uniform(0, 3))
            cluster.pair.rejoin()
        elif kind in ("silence", "cut"):
            proxy = cluster.random.choice(cluster.proxies)
            if kind == "cut":
                proxy.cut()
            else:
                proxy.silence()
                back.append((time.monotonic() + cluster.random.choice((1, 5, TTL + 3)), None, proxy.speak))
        elif len(alive) > 1:
            node = cluster.random.choice(alive)
            if kind == "node":
                node.kill9()
                back.append((time.monotonic() + cluster.random.choice(PAUSES), node, lambda node=node: node.begin()))
            else:
                node.freeze()
                back.append((time.monotonic() + TTL + 2, node, node.thaw))
        cluster.note({"node": "kill -9 of a node", "primary": "kill -9 of the primary, promotion", "pause": "SIGSTOP of a node",
                      "silence": "network silent", "cut": "connections cut"}[kind])
        for one in [one for one in back if one[0] <= time.monotonic()]:
            back.remove(one)
            one[2]()
    for _, _, again in back:
        again()


FAULTS = {"all": of_all, "nodes": of_nodes, "primary": of_primary, "pauses": of_pauses, "network": of_network}


def run(which, options):
    print(f"{which}: {FAULTS[which].__doc__.strip()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hoplock-cluster.", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        cluster = Cluster(pathlib.Path(folder), os.path.abspath(options.build), options)
        try:
            cluster.start(proxied=which in ("network", "all"))
            FAULTS[which](cluster, options.seconds)
            code = cluster.judge()
            if code and options.log:
                for node in cluster.nodes:
                    print(f"--- {node.name}\n{node.tail(options.log)}")
            return code
        finally:
            cluster.stop()


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture --cluster")
    parser.add_argument("faults", nargs="*", default=list(FAULTS), help="of " + ", ".join(FAULTS))
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=float, default=120, help="of each kind")
    parser.add_argument("--rate", type=float, default=150, help="messages a second")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--log", type=int, default=0, help="so many last lines of each node's log where it went wrong")
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    try:
        servers.programs()
        servers.user()
    except servers.Missing as missing:
        print(f"cluster: skipped: {missing}", file=sys.stderr)
        return 77
    print(f"seed {options.seed}")
    return max(run(which, options) for which in options.faults)


if __name__ == "__main__":
    sys.exit(main())
