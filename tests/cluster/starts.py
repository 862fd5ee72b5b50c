#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How nodes on one PostgreSQL start, refuse to, stop, and what they say meanwhile."""
import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import mail  # noqa: E402
import nodes  # noqa: E402
import servers  # noqa: E402

BUILD = None


def banner(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return connection.makefile("rb").readline().decode()


def within(seconds, true, said="it does not come about"):
    end = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {said}")
        time.sleep(0.1)
    return found


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="hoplock-cluster.", ignore_cleanup_errors=True)
        os.chmod(cls.folder.name, 0o755)
        cls.path = pathlib.Path(cls.folder.name)
        cls.pair = servers.Pair(cls.path / "postgresql")
        cls.pair.start()
        cls.pair.primary.ask("CREATE ROLE strict LOGIN PASSWORD 'right'")
        cls.pair.primary.ask("GRANT ALL ON DATABASE hoplock TO strict")
        for server in (cls.pair.primary, cls.pair.standby):
            hba = server.folder / "pg_hba.conf"
            hba.write_text("host all strict 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
            server.ask("SELECT pg_reload_conf()")
        cls.sink = mail.Sink()
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.sink.stop()
        cls.pair.stop()
        cls.folder.cleanup()

    def setUp(self):
        self.nodes = []

    def tearDown(self):
        for node in self.nodes:
            if node.alive:
                node.thaw()
                node.kill9()
        self.pair.ask("DELETE FROM recipient; DELETE FROM chunk; DELETE FROM message; UPDATE node SET state = 1; DELETE FROM writer")

    def node(self, name=None, url=None, **settings):
        type(self).count += 1
        port = servers.free_port()
        settings = nodes.merged({"http": {"address": f"127.0.0.1:{port}"}}, settings)
        node = nodes.Node(self.path / f"test{self.count}", BUILD, name or f"node-{self.count}", self.sink.port, url or self.pair.url(), settings)
        node.http = port
        self.nodes.append(node)
        return node

    def health(self, node):
        """The words; None while the port is not open."""
        request = urllib.request.Request(f"http://127.0.0.1:{node.http}/healthz", headers={"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                return [one["problem"] for one in json.load(reply)["problems"]]
        except urllib.error.HTTPError as error:
            return [one["problem"] for one in json.load(error)["problems"]]
        except urllib.error.URLError:
            return None

    def ended(self, node):
        """The exit code of a node that does not start, and what it said."""
        node.begin()
        code = node._process.wait(30)
        node._reader.join(5)
        return code, "\n".join(node.raw)

    def send(self, node, number):
        session = mail.Session(node.port)
        try:
            return session.send(number, 500, "one.test").decode()
        finally:
            session.close()


class Starts(Base):
    def test_a_server_that_is_away_at_the_start(self):
        gone = servers.free_port()
        node = self.node(url=f"postgresql://hoplock@127.0.0.1:{gone}/hoplock")
        node.begin()
        self.assertRegex(within(15, lambda: banner_or_none(node.port), "the port is not open"), r"^421 4\.3\.2 ")
        within(15, lambda: self.health(node) == ["store"], "/healthz does not say `store`")
        self.assertEqual(node.log(event="started"), [])
        self.assertEqual(node.stop(), 0)

    def test_the_way_from_421_to_mail(self):
        proxies = nodes.Proxies([self.pair.a.port, self.pair.b.port])
        proxies.silence()
        node = self.node(url=self.pair.url(proxies.ports))
        node.begin()
        self.assertRegex(within(15, lambda: banner_or_none(node.port), "the port is not open"), r"^421 4\.3\.2 ")
        proxies.speak()
        node.wait_log(30, event="started")
        self.assertTrue(node.log(event="node-joined", node=node.name))
        self.assertRegex(self.send(node, 1), "^250 ")
        within(10, lambda: 1 in self.sink.arrived)
        self.assertEqual(self.health(node), [])

    def test_a_server_that_goes_away_and_comes_back(self):
        proxies = nodes.Proxies([self.pair.a.port, self.pair.b.port])
        node = self.node(url=self.pair.url(proxies.ports))
        node.start(30)
        proxies.silence()
        within(25, lambda: banner(node.port).startswith("421 4.3.2"), "the banner is not 421")
        self.assertTrue(set(self.health(node)) & {"store", "lease"})
        proxies.speak()
        proxies.cut()
        within(40, lambda: banner(node.port).startswith("220"), "the banner is not 220 again")

    def test_a_wrong_password_is_78(self):
        password = self.path / "password"
        password.write_text("wrong\n")
        node = self.node(url=self.pair.url().replace("hoplock@", "strict@"), store_password_file=str(password))
        code, said = self.ended(node)
        self.assertEqual(code, 78, said)
        line = int(re.search(r"hoplock\.yaml:(\d+):", said)[1])
        self.assertIn("store_password_file", pathlib.Path(node.config).read_text().splitlines()[line - 1])
        self.assertNotIn("wrong", said.replace("wrong password", ""))

    def test_a_name_that_is_in_use_is_69(self):
        first, second = self.node("twin"), self.node("twin")
        first.start(30)
        code, said = self.ended(second)
        self.assertEqual(code, 69, said)
        self.assertIn("twin", said)
        self.assertTrue(first.alive)

    def test_newer_tables_are_74(self):
        self.node().start(30)
        before = self.pair.ask("SELECT version || ' ' || readable_from FROM hoplock_meta").split()
        self.pair.ask("UPDATE hoplock_meta SET version = 999, readable_from = 999")
        try:
            code, said = self.ended(self.node())
            self.assertEqual(code, 74, said)
            self.assertIn("999", said)
        finally:
            self.pair.ask(f"UPDATE hoplock_meta SET version = {before[0]}, readable_from = {before[1]}")

    def test_a_reload_with_another_store_is_refused(self):
        node = self.node()
        node.start(30)
        for change, word in (({"store": "sqlite"}, "store"), ({"node": {"name": "other"}}, "node")):
            kept = dict(node.settings)
            node.settings = nodes.merged(node.settings, change)
            node.write_config()
            line = node.reload()
            self.assertEqual(line["ok"], "false")
            self.assertIn(f"{word} changes only with a restart", line["error"])
            node.settings = kept
        self.assertRegex(self.send(node, 2), "^250 ")

    def test_a_stop_gives_everything_back(self):
        taking = self.node(node={"deliver": True}, routes=[{"match": ["*"], "hosts": [f"[127.0.0.1]:{servers.free_port()}"], "tls": "none"}])
        taking.start(30)
        for number in range(100, 120):
            self.assertRegex(self.send(taking, number), "^250 ")
        sending = self.node()
        sending.start(30)
        self.assertEqual(taking.stop(), 0)
        left = taking.log(event="node-left")
        self.assertTrue(left)
        self.assertEqual(left[-1]["incarnation"], taking.log(event="node-joined")[-1]["incarnation"])
        within(20, lambda: all(number in self.sink.arrived for number in range(100, 120)), "the other node does not send it")
        within(10, lambda: self.pair.ask("SELECT count(*) FROM message") == "0")

    def test_mail_that_is_held_at_another_node_is_not_sent(self):
        few = {"sessions_per_domain": 2, "sessions": 1}
        taking, other = self.node(delivery=few), self.node(delivery=few)
        taking.start(30)
        other.start(30)
        self.sink.pause = 0.5
        try:
            for number in range(300, 330):
                self.assertRegex(self.send(taking, number), "^250 ")
            code, done = other.tool("queue", "hold", "--all")
            self.assertEqual(code, 0)
            self.assertGreater(done["touched"], 20)
            time.sleep(1.5)  # what had begun
            arrived = set(self.sink.arrived)
            within(10, lambda: self.pair.ask("SELECT count(*) FROM recipient WHERE owner <> 0") == "0")
            time.sleep(2)
            self.assertEqual(set(self.sink.arrived), arrived)
        finally:
            self.sink.pause = 0
        self.assertEqual(other.tool("queue", "release", "--all")[0], 0)
        within(20, lambda: all(number in self.sink.arrived for number in range(300, 330)), "what was released is not sent")

    def test_roles(self):
        door = self.node(node={"deliver": False})
        door.start(30)
        self.assertRegex(self.send(door, 200), "^250 ")
        time.sleep(2)
        self.assertNotIn(200, self.sink.arrived)
        sender = self.node(node={"accept": False})
        sender.start(30)
        within(20, lambda: 200 in self.sink.arrived, "the node that sends does not")
        with self.assertRaises(OSError):
            banner(sender.port)
        self.assertEqual(self.health(sender), [])

    def test_no_standby(self):
        node, lax = self.node(), self.node(store_synchronous="prefer")
        node.start(30)
        lax.start(30)
        self.pair.standby.kill()
        try:
            within(20, lambda: banner(node.port).startswith("421 4.3.2"), "mail is taken without a standby")
            within(5, lambda: "replication" in self.health(node))
        finally:
            self.pair.rejoin()
        within(20, lambda: banner(node.port).startswith("220"), "no mail is taken though the standby is back")

    def test_nodes_with_all_daemons_stopped(self):
        node = self.node("listed")
        node.start(30)
        code, told = node.tool("nodes")
        self.assertEqual(code, 0)
        self.assertEqual([(one["node"], one["state"]) for one in told["nodes"] if one["node"] == "listed"], [("listed", "alive")])
        self.assertEqual([one["sync"] for one in told["replication"]], ["sync"])
        node.stop()
        code, told = node.tool("nodes")
        self.assertEqual([one["state"] for one in told["nodes"] if one["node"] == "listed"], ["left"])
        self.assertRegex(node.text("nodes")[1], re.compile(r"^left +listed ", re.MULTILINE))
        code, said, _ = node.text("store", "migrate")
        self.assertEqual(code, 0)
        self.assertIn("nothing to do", said)

    def metrics(self, node):
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http}/metrics", timeout=5) as reply:
            return reply.read().decode()

    def test_metrics_of_several_nodes(self):
        first = self.node()
        first.start(30)
        within(10, lambda: 'hoplock_nodes{state="alive"} 1\n' in self.metrics(first))
        self.assertIn("hoplock_nodes_routes_differ 0\n", self.metrics(first))
        self.assertIn("hoplock_replication_synchronous 1\n", self.metrics(first))
        second = self.node(routes=[{"match": ["other.test"], "hosts": ["[127.0.0.1]:9"], "tls": "none"}])
        second.start(30)
        within(15, lambda: 'hoplock_nodes{state="alive"} 2\n' in self.metrics(first))
        self.assertIn("hoplock_nodes_routes_differ 1\n", self.metrics(first))
        within(5, lambda: first.log(event="routes-differ"), "no word of the routes that differ")
        self.assertEqual(first.text("backup", str(self.path / "copy"))[0], 64)

    def test_a_role_that_may_not_see_the_standbys(self):
        self.node().start(30)
        for sql in ("GRANT ALL ON ALL TABLES IN SCHEMA public TO strict", "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO strict"):
            self.pair.primary.ask(sql, "hoplock")
        password = self.path / "right"
        password.write_text("right\n")
        node = self.node(url=self.pair.url().replace("hoplock@", "strict@"), store_password_file=str(password))
        node.begin()
        within(20, lambda: self.health(node) == ["replication"], "it does not ask for the right that it lacks")
        self.assertRegex(banner(node.port), r"^421 4\.3\.2 ")
        self.pair.primary.ask("GRANT pg_read_all_stats TO strict")
        within(20, lambda: banner(node.port).startswith("220"), "the right does not help")

    def test_nodes_share_the_sessions_to_a_domain(self):
        two = [self.node(delivery={"sessions_per_domain": 6}) for _ in range(2)]
        for node in two:
            node.start(30)
        time.sleep(5)  # until both have seen the other's beat, and looked at how many they are
        self.sink.peak, self.sink.pause = self.sink.open, 0.2
        try:
            sessions = [mail.Session(node.port) for node in two]
            for number in range(400, 460):
                self.assertRegex(sessions[number % 2].send(number, 500, "one.test").decode(), "^250 ")
            within(40, lambda: all(number in self.sink.arrived for number in range(400, 460)))
            for session in sessions:
                session.close()
        finally:
            self.sink.pause = 0
        self.assertLessEqual(self.sink.peak, 6)
        self.assertGreater(self.sink.peak, 3)
        self.assertGreater(len({name for number in range(400, 460) for _, name in self.sink.arrived[number]}), 1)

    def test_the_queue_is_the_same_everywhere(self):
        dead = [{"match": ["*"], "hosts": [f"[127.0.0.1]:{servers.free_port()}"], "tls": "none"}]
        first, second = self.node(routes=dead), self.node(routes=dead)
        first.start(30)
        second.start(30)
        reply = self.send(first, 300)
        found = re.search(r"queued as (\w+)", reply)[1]
        within(10, lambda: [one["id"] for one in second.tool("queue", "list")[1]] == [found])
        self.assertEqual([one["id"] for one in first.tool("queue", "list")[1]], [found])
        self.assertEqual(second.tool("queue", "remove", found)[1]["touched"], 1)
        within(10, lambda: first.tool("queue", "list")[1] == [])
        self.assertEqual(second.tool("trace", found)[0], 0)


class Copy(Base):
    """`hoplock store copy`: by itself, so that its mail is alone in the database."""

    def test_a_queue_is_copied_though_it_is_cut_off(self):
        dead = [{"match": ["*"], "hosts": [f"[127.0.0.1]:{servers.free_port()}"], "tls": "none"}]
        old = self.node(store="sqlite", routes=dead)
        old.start(30)
        for number in range(1000, 1060):
            self.assertRegex(self.send(old, number), "^250 ")
        code, said, error = old.text("store", "copy", "--to", self.pair.url())
        self.assertEqual(code, 69, error)  # the daemon runs
        old.stop()
        kept, old.settings = dict(old.settings), nodes.merged(old.settings, {"store": self.pair.url()})
        old.write_config()
        old.start(30)
        self.assertEqual(old.log(event="mail-left-behind")[-1]["messages"], "60")
        self.assertIn("60 messages in", old.text("doctor")[1])
        old.stop()
        old.settings = kept
        old.write_config()
        command = [os.path.join(BUILD, "hoplock"), "--config", old.config, "store", "copy", "--to", self.pair.url()]
        for seconds in (0.01, 0.03, 0.06):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as cut_off:
                time.sleep(seconds)
                cut_off.kill()
        code, said, error = old.text("store", "copy", "--to", self.pair.url())
        self.assertIn(code, (0, 1), error)  # 1: one of those above was through
        self.assertEqual(self.pair.ask("SELECT count(*) FROM message"), "60")
        self.assertEqual(self.pair.ask("SELECT count(*) FROM recipient WHERE owner = 0"), "60")
        code, said = self.ended(old)
        self.assertEqual(code, 78)
        self.assertIn("was copied to postgresql://", said)
        code, said, error = old.text("store", "copy", "--to", self.pair.url())
        self.assertEqual((code, "already" in error), (1, True))
        new = self.node()
        new.start(30)
        within(40, lambda: all(number in self.sink.arrived for number in range(1000, 1060)), "what was copied does not leave")
        self.assertEqual(max(len(self.sink.arrived[number]) for number in range(1000, 1060)), 1)


def banner_or_none(port):
    try:
        return banner(port)
    except OSError:
        return None


def main():
    global BUILD
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--build", required=True)
    options, rest = parser.parse_known_args()
    BUILD = os.path.abspath(options.build)
    try:
        servers.programs()
        servers.user()
    except servers.Missing as missing:
        print(f"cluster: skipped: {missing}", file=sys.stderr)
        sys.exit(77)
    assert subprocess.run([os.path.join(BUILD, "hoplockd"), "--version"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
