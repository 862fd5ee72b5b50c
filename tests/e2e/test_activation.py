# SPDX-License-Identifier: Apache-2.0
"""The service manager opens the port and hands it over (sd_listen_fds(3)): a daemon without privileges has port 25."""

import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

from case import Case, Stage
from world import ns
from world.relay import Relay

DOMAINS = []
ADDRESS, PORT = "127.0.0.1", 25
PROGRAM = "systemd-socket-activate"


def banner():
    with socket.create_connection((ADDRESS, PORT), timeout=20) as client:
        return client.makefile("rb").readline()


@unittest.skipUnless(shutil.which(PROGRAM), f"{PROGRAM} is not installed")
class Activation(Case):
    def start(self):
        relay = Relay(Stage.world, Stage.build, name="activated", port=PORT)
        daemon = subprocess.Popen([PROGRAM, "-l", f"{ADDRESS}:{PORT}", os.path.join(Stage.build, "hoplockd"), "--config", relay.config],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  preexec_fn=ns.die_with_parent)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        return daemon

    def test_the_port_is_taken_over_and_kept_over_a_reload(self):
        daemon = self.start()
        end = time.monotonic() + 20
        while True:  # the first connection starts the daemon; until the helper listens there is none to make
            try:
                self.assertTrue(banner().startswith(b"220 relay.test "))
                break
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)
        daemon.send_signal(signal.SIGHUP)
        while "event=reloaded" not in (line := daemon.stderr.readline()):
            self.assertNotEqual(line, "", "the daemon ended")
        self.assertIn("ok=true", line)
        self.assertTrue(banner().startswith(b"220 relay.test "))
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(20), 0)
