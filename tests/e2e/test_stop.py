# SPDX-License-Identifier: Apache-2.0
"""What becomes of mail under way as the daemon is told to stop."""

import time

from case import Case, Domain, Host

DOMAINS = [
    Domain("two.test", "one host puts off a recipient, the other is slow", ("10 mx1", "20 mx2"),
           (Host("mx1", smtp={"rcpt": {"later": "451 4.2.0 later"}}), Host("mx2", smtp={"slow": 30})), send=False),
]
SETTINGS = {"shutdown_timeout": "1s"}


class Stop(Case):
    def test_MX_12_what_one_host_took_is_not_sent_again_though_the_daemon_stops_while_another_is_slow(self):
        queue_id = self.relay.send(["now@two.test", "later@two.test"])
        end = time.monotonic() + 20
        while not (self.arrived("mx1.two.test") and self.sessions("mx2.two.test")) and time.monotonic() < end:
            time.sleep(0.01)
        self.relay.stop()
        self.relay.start()
        self.relay.tool("queue", "retry", queue_id)
        time.sleep(3)
        self.assertEqual(len(self.arrived("mx1.two.test", "now@two.test")), 1)
        self.assertTrue(self.relay.log(event="delivered", id=queue_id, to="now@two.test"))
