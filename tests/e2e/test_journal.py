# SPDX-License-Identifier: Apache-2.0
"""Standard error is the journal's stream (JOURNAL_STREAM): lines begin with their priorities, sd-daemon(3). Anywhere else they do not."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time

from case import Case, Stage

from world import ns
from world.relay import Relay, parse_logfmt

DOMAINS = []
PRIORITY = {"debug": "<7>", "trace": "<7>", "info": "<6>", "warn": "<4>", "error": "<3>"}


class Journal(Case):
    @contextlib.contextmanager
    def daemon(self, name, port, stream=None, **over):
        """A daemon whose standard error is our pipe; `stream` makes JOURNAL_STREAM of its status."""
        warns = {"routes": [{"match": ["old.example"], "hosts": ["mx.example"], "until": "2020-01-01"}]}
        relay = Relay(self.world, Stage.build, {**warns, **over}, name, port)
        out, into = os.pipe()
        environment = {key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"}
        if stream:
            environment["JOURNAL_STREAM"] = stream(os.fstat(into))
        process = subprocess.Popen([os.path.join(Stage.build, "hoplockd"), "--config", relay.config], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=into, env=environment, preexec_fn=ns.die_with_parent)
        os.close(into)
        lines = []

        def read():
            with open(out, encoding="utf-8") as file:
                lines.extend(line.rstrip("\n") for line in iter(file.readline, ""))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield relay, process, lines
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            reader.join(10)

    def wait_for(self, lines, word, timeout=60):
        end = time.monotonic() + timeout
        while not any(word in line for line in lines):
            self.assertLess(time.monotonic(), end, lines)
            time.sleep(0.05)

    @staticmethod
    def ours(status):
        return f"{status.st_dev}:{status.st_ino}"

    def test_each_line_has_the_priority_of_its_level_and_a_reload_keeps_them(self):
        with self.daemon("journal", 2571, self.ours) as (relay, process, lines):
            self.wait_for(lines, "event=started")
            with open(relay.config, "a", encoding="utf-8") as file:
                file.write("nonsense")
            process.send_signal(signal.SIGHUP)
            self.wait_for(lines, "event=reloaded")
        seen = set()
        for line in lines:
            level = parse_logfmt(line[3:])["level"]
            self.assertEqual(line[:3], PRIORITY[level], line)
            self.assertRegex(line[3:], "^time=")
            seen.add(level)
        self.assertLessEqual({"info", "warn", "error"}, seen)

    def test_json_lines_have_them_too(self):
        with self.daemon("json", 2572, self.ours, log={"format": "json", "level": "info", "file": "-"}) as (_, _, lines):
            self.wait_for(lines, '"event":"started"')
        for line in lines:
            self.assertEqual(line[:3], PRIORITY[json.loads(line[3:])["level"]], line)

    def test_a_configuration_that_is_refused_is_an_error_there(self):
        with self.daemon("refused", 2573, self.ours, nonsense=1) as (_, process, lines):
            self.assertEqual(process.wait(30), 78)
        self.assertTrue(lines)
        self.assertEqual([line for line in lines if not re.match("<3>.*hoplock.yaml:", line)], [])

    def test_a_terminal_a_pipe_and_a_file_have_none(self):
        for number, stream in enumerate((None, lambda status: f"{status.st_dev}:{status.st_ino + 1}")):
            with self.daemon(f"plain-{number}", 2574 + number, stream) as (_, _, lines):
                self.wait_for(lines, "event=started")
            self.assertEqual([line for line in lines if not line.startswith("time=")], [])
        log = self.world.path("journal-file.log")
        with self.daemon("file", 2576, self.ours, log={"file": log, "level": "info"}) as (_, _, _):
            end = time.monotonic() + 60
            while not (os.path.exists(log) and "event=started" in open(log, encoding="utf-8").read()):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)
        with open(log, encoding="utf-8") as file:
            self.assertEqual([line for line in file if not line.startswith("time=")], [])
