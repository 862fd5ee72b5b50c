# SPDX-License-Identifier: Apache-2.0
"""What operators order: bounces above all, on one message and on many, two tools at once, and words that mean nothing."""

import concurrent.futures
import email
import email.policy
import os
import sqlite3
import subprocess
import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

DOMAINS = [
    Domain("sender.test", "where notices go", hosts=(Host(),), send=False),
    Domain("later.test", "refuses all mail for now", hosts=(Host(smtp={"mail": "451 4.3.0 not now"}),), send=False),
    Domain("busy.test", "likewise", hosts=(Host(smtp={"mail": "451 4.3.0 not now"}),), send=False),
    Domain("slow.test", "takes mail, slowly", hosts=(Host(smtp={"slow": 0.7}),), send=False),
]
SETTINGS = {"delivery": {"retry": {"first": "1h", "factor": 1, "max": "1h"}}}
SENDER = "ann@sender.test"


class Orders(Case):
    def deferred_mail(self, recipient, **how):
        queue_id = self.relay.send(recipient, sender=SENDER, **how)
        self.relay.wait_log(20, event="deferred", id=queue_id)
        return queue_id

    def queue(self, *words):
        return self.relay.tool("queue", *words)

    def notices(self, queue_id, timeout=10):
        """What came back about a message, once something has."""
        end = time.monotonic() + timeout
        while True:
            mails = [email.message_from_bytes(mail.data, policy=email.policy.default) for mail in self.world.receiver("mx.sender.test").mails()
                     if f"X-Hoplock-Queue-ID: {queue_id}\r\n".encode() in mail.data]
            if mails or time.monotonic() > end:
                return mails
            time.sleep(0.05)

    def tearDown(self):
        self.queue("remove", "--all", "--yes")

    def test_a_bounce_tells_the_sender_why_and_leaves_the_queue(self):
        queue_id = self.deferred_mail("user@later.test")
        self.assertEqual(self.queue("bounce", queue_id), (0, {"touched": 1, "recipients": 1, "active": 0}))
        (message,) = self.notices(queue_id)
        parts = list(message.iter_parts())
        fields = [block for block in parts[1].get_payload() if block.keys()][1]
        self.assertEqual((fields["Action"], fields["Status"]), ("failed", "5.0.0"))
        self.assertNotIn("Diagnostic-Code", fields)
        text = " ".join(parts[0].get_content().split())
        self.assertIn("bounced by the administrator", text)
        self.assertIn("451 4.3.0 not now", text)
        line = self.relay.wait_log(5, event="bounced", id=queue_id)
        self.assertEqual((line["by"], line["dsn"], line.get("reason", "")), ("root", "5.0.0", ""))
        code, (story,) = self.relay.tool("trace", queue_id)
        self.assertEqual((code, story["state"], story["queued"]), (0, "bounced", False))
        self.assertEqual([event["event"] for event in story["events"]], ["accepted", "conversation", "deferred", "bounced", "notice"])
        self.assertEqual(self.queue("show", queue_id)[0], 1)
        self.assertEqual(self.queue("bounce", queue_id), (1, {"touched": 0, "recipients": 0, "active": 0}))

    def test_by_domain_only_its_recipients_are_ended_and_by_sender_all(self):
        queue_id = self.relay.send(["a@later.test", "b@busy.test"], sender=SENDER)
        for recipient in ("a@later.test", "b@busy.test"):
            self.relay.wait_log(20, event="deferred", id=queue_id, to=recipient)
        self.assertEqual(self.queue("bounce", "--domain", "Later.Test", "--yes")[1]["recipients"], 1)
        _, message = self.queue("show", queue_id)
        self.assertEqual([(one["to"], one["state"]) for one in message["recipients"]], [("a@later.test", "bounced"), ("b@busy.test", "deferred")])
        self.assertEqual(self.queue("hold", queue_id)[1]["touched"], 1)
        self.assertEqual(self.queue("bounce", "--sender", "nobody@sender.test", "--yes")[1]["touched"], 0)
        self.assertEqual(self.queue("bounce", "--sender", f"<{SENDER}>", "--yes")[1]["touched"], 1, "held mail too")
        self.relay.wait_log(5, event="bounced", id=queue_id, to="b@busy.test")

    def test_what_is_under_delivery_is_left_alone(self):
        queue_id = self.relay.send("user@slow.test", sender=SENDER)
        end = time.monotonic() + 10
        while not [one for one in self.queue("list", "--state", "active")[1] if one["id"] == queue_id] and time.monotonic() < end:
            time.sleep(0.02)
        code, text, _ = self.relay.text("queue", "bounce", queue_id)
        self.assertEqual(code, 1)
        self.assertIn("0 messages bounced (1 under delivery at this moment left alone", text)
        self.relay.wait_log(30, event="delivered", id=queue_id)
        self.assertEqual(self.relay.log(event="bounced", id=queue_id), [])
        self.assertEqual(self.notices(queue_id, timeout=0.5), [])

    def test_words_that_mean_nothing(self):
        for action in ("retry", "hold", "release", "remove", "bounce"):
            with self.subTest(action):
                yes = ["--yes"] if action in ("remove", "bounce") else []
                for words in (["--domain", "nowhere.test", *yes], ["--sender", "nobody@nowhere.test", *yes], ["--all", *yes],
                              ["0000000000", "no-id"]):
                    self.assertEqual(self.queue(action, *words), (1, {"touched": 0, "recipients": 0, "active": 0}), words)
                for words in ([], ["--all", "--domain", "x.test"], ["X", "--all"], ["--domain", "no domain"], ["--state", "held"]):
                    code, _, error = self.relay.text("queue", action, *words)
                    self.assertEqual(code, 64, words)
                    self.assertTrue(error.strip(), words)
        for words in (["--domain", "nowhere.test"], ["--sender", "x@nowhere.test"], ["--state", "held"]):
            self.assertEqual(self.queue("list", *words), (0, []))
        self.assertEqual(self.relay.text("queue", "list", "--state", "frozen")[0], 64)
        self.assertEqual(self.queue("show", "no-id")[0], 1)
        self.assertEqual(self.queue("stats")[1]["total"], 0)

    def test_two_tools_at_once_and_stats_by_reason(self):
        self.deferred_mail("u0@later.test")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(lambda n: self.relay.send(f"u{n}@later.test", sender=SENDER), range(200)))
        _, stats = self.queue("stats")
        self.assertEqual([(one["reason"], one["count"]) for one in stats["reasons"]], [("smtp-reply", 201)])
        self.assertEqual([(one["domain"], one["count"], one["reason"]) for one in stats["domains"]], [("later.test", 201, "smtp-reply")])
        code, text, _ = self.relay.text("queue", "stats")
        self.assertEqual(code, 0)
        self.assertRegex(text, r"(?m)^COUNT +OLDEST +NEXT HOP +WHY\n +201 +\d+s  later\.test +smtp-reply")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            orders = list(pool.map(lambda words: self.queue(*words), (["bounce", "--domain", "later.test", "--yes"], ["bounce", "--domain", "later.test", "--yes"],
                                                                      ["bounce", "--sender", SENDER, "--yes"], ["hold", "--all"])))
        self.assertTrue(all(code in (0, 1) for code, _ in orders), orders)
        self.queue("bounce", "--domain", "later.test", "--yes")
        self.assertEqual(self.queue("list", "--domain", "later.test"), (0, []))
        for queue_id in ids:
            self.relay.wait_log(10, event="bounced", id=queue_id)
        self.queue("release", "--all")
        for queue_id in ids:
            self.assertEqual(len(self.notices(queue_id)), 1, queue_id)
        self.assertEqual(len([one for one in self.relay.log(event="bounced") if one["id"] in ids]), len(ids))

    def test_a_pager_that_goes_away_ends_the_list(self):
        self.deferred_mail("user@later.test")
        with subprocess.Popen([Stage.build + "/hoplock", "--config", self.relay.config, "queue", "list"], stdout=subprocess.PIPE) as tool:
            tool.stdout.close()
            tool.wait(10)
        self.assertEqual(self.queue("stats")[1]["total"], 1)


MANY = 300_000
# As many more of the one message that is there, each some milliseconds older.
COPIES = """
CREATE TEMP TABLE back AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %d) SELECT n FROM n;
CREATE TEMP TABLE one AS SELECT * FROM message;
INSERT INTO message SELECT one.id - n, received, size, chunks, recipients, flags, sender, client, envid FROM one, back ORDER BY n DESC;
CREATE TEMP TABLE to_one AS SELECT * FROM recipient;
INSERT INTO recipient SELECT id - (n << 15), domain, state, due, attempts, interval, address, notify, orcpt, last, status, reply, reason, host
  FROM to_one, back ORDER BY n DESC;
CREATE TEMP TABLE in_one AS SELECT * FROM chunk;
INSERT INTO chunk SELECT id - (n << 15), sum, data FROM in_one, back ORDER BY n DESC;
"""


class Bulk(Case):
    @staticmethod
    def start_on_a_slow_disk(relay):
        """Each batch takes 30 ms at least, so that the end comes in the middle; a sanitized daemon takes as long by itself."""
        library = os.path.join(Stage.build, "tests/bench/bench_slowsync.so")
        before = dict(os.environ)
        if not Stage.is_sanitized():
            os.environ.update(LD_PRELOAD=library, SLOWSYNC_US="30000")
        try:
            relay.start()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def test_an_order_on_many_that_the_end_cuts_short_has_a_line_for_each_batch_in_their_order(self):
        relay = Relay(Stage.world, Stage.build, {"delivery": {"retry": {"first": "1h", "factor": 1, "max": "1h"}}}, name="bulk", port=2620)
        self.addCleanup(relay.stop)
        with relay:
            relay.send("user@later.test", sender=SENDER)
            relay.wait_log(event="deferred")
        database = sqlite3.connect(os.path.join(relay.directory, "data", "queue.db"))
        database.executescript(f"BEGIN;{COPIES % MANY}COMMIT;")
        database.close()
        self.start_on_a_slow_disk(relay)
        with subprocess.Popen([Stage.build + "/hoplock", "--config", relay.config, "queue", "hold", "--all"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as tool:
            relay.wait_logs(2, event="held")
            self.assertEqual(relay.stop(), 0)
            tool.wait(10)
        told = [line["ids"].split(",") for line in relay.log(event="held")]
        self.assertEqual([int(line["count"]) for line in relay.log(event="held", by="root")], [len(batch) for batch in told])
        ids = [queue_id for batch in told for queue_id in batch]
        self.assertLess(len(ids), MANY, "the order was through before the end came")
        self.assertEqual(ids, sorted(ids), "not in the order of the transactions")
        relay.start()
        _, held = relay.tool("queue", "list", "--state", "held", timeout=120)
        self.assertEqual([message["id"] for message in held], ids)
