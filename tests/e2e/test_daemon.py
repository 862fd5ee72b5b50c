# SPDX-License-Identifier: Apache-2.0
"""The daemon itself: how it starts and refuses to, what a reload changes and leaves, and a disk with little room."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import time

from case import Case, Stage
from world.relay import Relay

DOMAINS = []
NOBODY = [{"match": ["*"], "hosts": ["[127.0.0.1]:9"]}]  # refuses connections: mail waits


def start(*arguments, timeout=10):
    """Exit code and standard error of a daemon that must not come up."""
    done = subprocess.run([os.path.join(Stage.build, "hoplockd"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=timeout, check=False)
    return done.returncode, done.stderr.decode()


class Client:
    """A bare socket to a port of 127.0.0.1."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")
        self.banner = self.reply()

    def reply(self):
        lines = b""
        while True:
            line = self.file.readline()
            lines += line
            if line[3:4] != b"-":
                return lines.decode()

    def ask(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.reply()

    def deliver(self, octets=10):
        refused = self.ask("MAIL FROM:<a@client.test>")
        if not refused.startswith("250 "):
            return refused
        for line, good in (("RCPT TO:<u@nobody.test>", "250 "), ("DATA", "354 ")):
            if not (answer := self.ask(line)).startswith(good):
                self.ask("RSET")
                return answer
        self.socket.sendall(b"Subject: x\r\n\r\n" + (b"z" * 998 + b"\r\n") * (octets // 1000) + b"\r\n")
        return self.ask(".")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


class Second(Relay):
    """A relay of this test's own."""

    def __init__(self, name, port, settings=None):
        super().__init__(Stage.world, Stage.build, settings, name=name, port=port)


class Starting(Case):
    def test_an_address_in_use_or_not_there_is_waited_for_while_the_others_serve(self):
        settings = {"http": {"address": "127.0.0.1:9470"}, "routes": NOBODY, "listeners": [
            {"address": "127.0.0.1:2529"}, {"address": "127.0.0.1:2541"}, {"address": "192.0.2.9:2529"}]}
        with socket.create_server(("127.0.0.1", 2541)) as taken, Second("waits", 2529, settings) as second:
            for address, why in (("127.0.0.1:2541", "Address already in use"), ("192.0.2.9:2529", "Cannot assign requested address")):
                line = second.wait_log(event="listener-failed", listener=address)
                self.assertEqual(line["level"], "error")
                self.assertIn(f"cannot listen on {address}: {why}", line["error"])
            self.assertEqual(self.problems(9470), {"listeners"})
            with Client(2529) as client:
                client.ask("EHLO client.test")
                self.assertTrue(client.deliver().startswith("250 "))
            taken.close()
            second.wait_log(event="listener-works", listener="127.0.0.1:2541")
            with Client(2541) as client:
                self.assertTrue(client.banner.startswith("220 "))
            subprocess.run(["ip", "addr", "add", "192.0.2.9/32", "dev", "lo"], check=True)
            self.addCleanup(subprocess.run, ["ip", "addr", "del", "192.0.2.9/32", "dev", "lo"], check=False)
            second.wait_log(event="listener-works", listener="192.0.2.9:2529")
            self.assertEqual(self.problems(9470), set())

    def test_a_relay_without_any_address_waits_for_one(self):
        with socket.create_server(("127.0.0.1", 2542)) as taken, Second("none", 2542) as second:
            second.wait_log(event="listener-failed", listener="127.0.0.1:2542")
            taken.close()
            second.wait_log(event="listener-works", listener="127.0.0.1:2542")
            with Client(2542) as client:
                self.assertTrue(client.banner.startswith("220 "))

    def test_its_threads_are_those_of_the_table_in_lib_README_by_their_names(self):
        table = pathlib.Path(__file__, "../../../lib/README.md").resolve().read_text("utf-8")
        named = set(re.findall(r"^\| `(\w+)` \| `(?:lib|daemon)/\w+/?\w*` \|", table, re.M))
        with Second("threads", 2544, {"http": {"address": "127.0.0.1:9470"}}) as second:
            tasks = pathlib.Path("/proc", str(second._process.pid), "task")  # pylint: disable=protected-access
            deadline = time.monotonic() + 20
            wanted = named - {"start"} | {"hoplockd"}  # "start": only where a service manager waits
            while (names := {(task / "comm").read_text().strip() for task in tasks.iterdir()}) != wanted and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(names, wanted)

    def problems(self, port):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", "/healthz")
            answer = connection.getresponse().read().decode()
        return {line.partition(":")[0] for line in answer.splitlines() if line != "ok"} & {"listeners", "connections"}

    def test_a_file_that_was_named_and_is_missing_is_exit_78_even_without_a_name(self):
        self.assertEqual(start("--config", "/nowhere/hoplock.yaml")[0], 78)
        self.assertEqual(start("--config=/nowhere/hoplock.yaml")[0], 78)
        self.assertEqual(start("--config", "")[0], 78)
        self.assertEqual(start("--config")[0], 64)

    def test_a_database_cut_to_nothing_beside_its_log_is_exit_74_and_left_untouched(self):
        second = Second("cut", 2531)
        with second, Client(2531) as client:
            client.ask("EHLO client.test")
            self.assertTrue(client.deliver().startswith("250 "))
            second.kill9()
        data = os.path.join(second.directory, "data")
        log = os.path.join(data, "queue.db-wal")
        size = os.path.getsize(log)
        self.assertGreater(size, 0)
        os.truncate(os.path.join(data, "queue.db"), 0)
        code, said = start("--config", second.config)
        self.assertEqual(code, 74)
        self.assertIn("queue.db: the database is damaged", said)
        self.assertEqual((os.path.getsize(log), os.path.getsize(os.path.join(data, "queue.db"))), (size, 0))


class Forbidden(Case):
    def test_a_port_that_the_system_forbids_is_a_configuration_error_and_said_so(self):
        # no waiting helps; an address that is in use, or not there yet, is tried again
        second = Second("forbidden", 2544, {"listeners": [{"address": "127.0.0.1:2544"}, {"address": "127.0.0.1:25"}]})
        without = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]
        done = subprocess.run([*without, os.path.join(Stage.build, "hoplockd"), "--config", second.config], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20, check=False)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, 78, said)
        self.assertRegex(said, r"hoplock\.yaml:\d+:\d+: cannot listen on 127\.0\.0\.1:25: Permission denied; for a port below 1024")
        self.assertIn("hoplockd.socket", said)


class Reloading(Case):
    def reload_with(self, relay, settings):
        with open(relay.config, "w", encoding="utf-8") as file:
            json.dump(settings, file)
        return relay.reload()

    def test_BND_04_a_flood_of_hangups_keeps_neither_mail_nor_the_end_waiting(self):
        with Second("flood", 2545, {"routes": NOBODY}) as second:
            for _ in range(2):
                for _ in range(400):
                    second.hang_up()
                    time.sleep(0.001)  # else the system itself makes one of several
                with Client(2545) as client:
                    client.ask("EHLO client.test")
                    self.assertTrue(client.deliver().startswith("250 "))
            before = len(second.log(event="reloaded"))
            began = time.monotonic()
            self.assertEqual(second.stop(), 0)
            self.assertLess(time.monotonic() - began, 5)
            self.assertGreater(before, 1)
            self.assertLess(len(second.log(event="reloaded")) - before, 10)

    def test_a_refused_reload_leaves_the_log_as_it_was(self):
        with Second("refused", 2532) as second:
            other = os.path.join(second.directory, "other.log")
            wrong = dict(second.settings, log={"level": "error", "format": "json", "file": other},
                         listeners=[{"address": "127.0.0.1:2543"}], data_dir="elsewhere")
            line = self.reload_with(second, wrong)
            self.assertEqual((line["ok"], line["level"]), ("false", "error"))
            self.assertRegex(line["error"], rf"^{re.escape(second.config)}:\d+:\d+: data_dir changes only with a restart")
            # and the listeners: the old one serves on, the new one is not there
            self.assertRaises(OSError, socket.create_connection, ("127.0.0.1", 2543))
            with Client(2532) as client:
                client.ask("FOO")
            second.wait_log(event="rejected", code="500")

    def test_a_reload_changes_min_free_space(self):
        with Second("space", 2534) as second, Client(2534) as client:
            client.ask("EHLO client.test")
            limits = dict(second.settings["limits"], min_free_space="1000000GiB")
            self.assertEqual(self.reload_with(second, dict(second.settings, limits=limits))["ok"], "true")
            self.assertTrue(client.ask("MAIL FROM:<a@client.test>").startswith("452 4.3.1 "))
            self.assertEqual(self.reload_with(second, second.settings)["ok"], "true")
            self.assertTrue(client.ask("MAIL FROM:<a@client.test>").startswith("250 "))

    def test_data_dir_and_control_socket_do_not_change_while_it_runs_and_that_is_said(self):
        with Second("fixed", 2535) as second:
            for key, value in (("data_dir", "elsewhere"), ("control_socket", "other.sock")):
                line = self.reload_with(second, dict(second.settings, **{key: value}))
                self.assertEqual(line["ok"], "false", key)
                self.assertIn(f"{key} changes only with a restart", line["error"])
            self.reload_with(second, second.settings)
            self.assertEqual(second.tool("queue", "stats")[0], 0)

    def test_ok_is_true_or_false_in_json(self):
        log = os.path.join(Stage.world.path("json.log"))
        with Second("json", 2536) as second:
            settings = dict(second.settings, log={"level": "info", "format": "json", "file": log})
            with open(second.config, "w", encoding="utf-8") as file:
                json.dump(settings, file)
            second._process.send_signal(1)  # pylint: disable=protected-access
            end = time.monotonic() + 10
            lines = []
            while not lines and time.monotonic() < end:
                time.sleep(0.05)
                if os.path.exists(log):
                    with open(log, encoding="utf-8") as file:
                        lines = [json.loads(line) for line in file.read().splitlines()]
            self.assertIs([line for line in lines if line["event"] == "reloaded"][0]["ok"], True)


class LittleRoom(Case):
    def disk(self, name, size):
        mount = Stage.world.path(name)
        os.makedirs(mount)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", mount], check=False)
        return mount

    def test_a_full_disk_is_452_for_clients_while_the_tool_works_and_all_goes_on_when_there_is_space(self):
        mount = self.disk("full", "32m")
        second = Second("full-relay", 2538, {"data_dir": os.path.join(mount, "data"), "routes": NOBODY})
        with second, Client(2538) as client:
            client.ask("EHLO client.test")
            self.assertTrue(client.deliver().startswith("250 "))
            filler = os.path.join(mount, "filler")
            with self.assertRaises(OSError), open(filler, "wb", buffering=0) as file:
                while file.write(b"x" * 65536) == 65536:
                    pass
                raise OSError("full")
            for _ in range(200):  # the space is measured anew when somebody asks for it
                if client.ask("MAIL FROM:<a@client.test>").startswith("452 4.3.1 "):
                    break
                client.ask("RSET")
            self.assertTrue(client.deliver().startswith("452 4.3.1 "))
            # DUR-04: an operator's order has room all the same
            self.assertEqual(second.tool("queue", "hold", "--all")[1]["touched"], 1)
            self.assertEqual(second.tool("queue", "list")[1][0]["state"], "held")
            os.unlink(filler)
            end = time.monotonic() + 5
            while not (reply := client.deliver()).startswith("250 ") and time.monotonic() < end:
                time.sleep(0.1)
            self.assertTrue(reply.startswith("250 "), reply)
            self.assertEqual(second.tool("queue", "hold", "--all")[1]["touched"], 1, "the new one; the other is held")

    def test_dur_04_streams_stop_at_the_reserve_and_room_given_back_is_room_again(self):
        mount = self.disk("streams", "96m")
        settings = {"data_dir": os.path.join(mount, "data"), "limits": {"min_free_space": "32MiB"}, "routes": NOBODY}
        with Second("streams", 2539, settings) as second:
            clients = [Client(2539) for _ in range(10)]  # 200 MB, none of it announced
            for client in clients:
                client.ask("EHLO client.test")
                client.ask("MAIL FROM:<a@client.test>")
                client.ask("RCPT TO:<u@nobody.test>")
                client.ask("DATA")
                client.socket.sendall(b"Subject: x\r\n\r\n")
            least = 96 << 20
            part = (b"z" * 998 + b"\r\n") * 1000
            for _ in range(20):
                for client in clients:
                    client.socket.sendall(part)
                free = os.statvfs(mount)
                least = min(least, free.f_bavail * free.f_frsize)
            replies = [client.ask(".") for client in clients]
            self.assertTrue(all(reply.startswith(("250 ", "452 4.3.1 ")) for reply in replies), replies)
            self.assertTrue(any(reply.startswith("452 ") for reply in replies), replies)
            # the copy of the write-ahead log into the database (24 MiB) comes on top
            self.assertGreater(least, 8 << 20, "streams went far below min_free_space")
            queued = len(second.tool("queue", "list")[1])
            self.assertEqual(queued, sum(reply.startswith("250 ") for reply in replies))
            if queued:
                second.tool("queue", "remove", "--all", "--yes")
            end = time.monotonic() + 10
            while not (reply := clients[0].deliver()).startswith("250 ") and time.monotonic() < end:
                time.sleep(0.1)
            self.assertTrue(reply.startswith("250 "), reply)

    def test_dur_04_a_stranger_writes_little_to_postmaster(self):
        settings = {"listeners": [{"address": "127.0.0.1:2543", "allow": ["192.0.2.1"]}], "routes": NOBODY}
        with Second("stranger", 2543, settings), Client(2543) as client:
            client.ask("EHLO client.test")
            for octets, code in ((3_000_000, "552 5.3.4 "), (1_000_000, "250 2.0.0 ")):
                client.ask("MAIL FROM:<a@client.test>")
                self.assertTrue(client.ask("RCPT TO:<postmaster>").startswith("250 "))
                client.ask("DATA")
                client.socket.sendall(b"Subject: x\r\n\r\n" + (b"z" * 998 + b"\r\n") * (octets // 1000) + b"\r\n")
                reply = client.ask(".")
                self.assertTrue(reply.startswith(code), reply)

    def test_min_free_space_holds_against_a_fast_client_and_a_drained_queue_takes_mail_again(self):
        mount = self.disk("small", "64m")
        second = Second("room", 2537, {"data_dir": os.path.join(mount, "data"), "limits": {"min_free_space": "32MiB"},
                                       "routes": NOBODY})
        with second, Client(2537) as client:
            client.ask("EHLO client.test")
            for _ in range(2):
                replies = []
                while len(replies) < 200 and (not replies or replies[-1].startswith("250 ")):
                    replies.append(client.deliver(1_000_000))
                self.assertTrue(replies[-1].startswith("452 4.3.1 "), replies[-1])
                self.assertLess(len(replies), 36, "mail was taken although less than min_free_space was free")
                self.assertEqual(second.tool("queue", "remove", "--all", "--yes")[1]["touched"], len(replies) - 1)
                end = time.monotonic() + 10
                while not client.ask("MAIL FROM:<a@client.test>").startswith("250 ") and time.monotonic() < end:
                    time.sleep(0.1)
                self.assertTrue(client.ask("RSET").startswith("250 "))
                self.assertTrue(client.deliver().startswith("250 "), "the queue is empty, and there is no room")
                second.tool("queue", "remove", "--all", "--yes")
