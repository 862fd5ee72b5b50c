# SPDX-License-Identifier: Apache-2.0
"""`hoplock audit`: what left under which proof, over restarts and reloads, with the daemon stopped, and that it adds up with metrics and trace."""

import collections
import http.client
import re
import subprocess

from case import Case, Domain, Host, Stage
from world.relay import Relay

TWO = ("10 mx1", "20 mx2")
DOMAINS = [
    Domain("dane.test", "TLSA 3 1 1", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("second.test", "TLSA mismatch at the first MX", TWO, (Host("mx1", ("3 1 1 wrong",)), Host("mx2", ("3 1 1",))), send=False),
    Domain("wrong.test", "TLSA mismatch", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("lax.test", "TLSA mismatch under an exception", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("plain.test", "no STARTTLS", hosts=(Host(smtp={"starttls": "none"}),), send=False),
    Domain("later.test", "mail after the restart", hosts=(Host(tlsa=("3 1 1",)),), send=False),
]
PORT = 9476
SETTINGS = {"http": {"address": f"127.0.0.1:{PORT}"}, "delivery": {"retry": {"first": "1h"}},
            "routes": [{"match": ["lax.test"], "dane": "audit", "until": "2099-12-31", "note": "<b>they renew</b>"}]}
FIELDS = ("outcome", "policy", "tls", "auth", "reason")


def attempts():
    """What the metrics have counted: {(outcome, policy, tls, auth, reason): recipients}."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = {}
    for labels, count in re.findall(r"^hoplock_attempts_total\{(.*)\} (\d+)$", text, re.MULTILINE):
        words = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[tuple(words[key] for key in FIELDS)] = int(count)
    return found


class Audit(Case):
    def audit(self, *words):
        code, data = self.relay.tool("audit", *words)
        self.assertEqual(code, 0, words)
        return {one["domain"]: one for one in data["domains"]}, data

    def test_it_adds_up_over_restart_and_reload_and_with_the_daemon_stopped(self):
        for name in ("dane.test", "second.test", "lax.test", "plain.test"):
            queue_id = self.relay.send([f"a@{name}", f"b@{name}"])
            self.relay.wait_logs(2, event="delivered", id=queue_id)
        refused = self.relay.send("a@wrong.test")
        self.relay.wait_log(event="deferred", id=refused)
        domains, data = self.audit()

        one = domains["dane.test"]
        self.assertEqual((one["messages"], one["recipients"], one["proofs"]["dane"], one["failed_attempts"]), (1, 2, 1, 0))
        (delivered,) = one["delivered"]
        self.assertEqual((delivered["policy"], delivered["tls"], delivered["auth"], delivered["cipher"]), ("dane", "TLSv1.3", "dane-ee", "pfs-aead"))
        line = self.relay.log(event="delivered", to="a@dane.test")[0]
        self.assertEqual([key["sha256"] for key in one["keys"]], [line["cert"]])
        self.assertRegex(one["records"][0]["record"], "^3 1 1 [0-9a-f]{64}$")
        (host,) = domains["second.test"]["hosts"]
        self.assertEqual((host["action"], host["policy"], host["reason"], host["hosts"]), ("next-host", "dane", "tlsa-invalid", 1))
        relaxed = {row["by"]: row for row in domains["lax.test"]["relaxed"]}
        self.assertEqual((relaxed["route"]["detail"], relaxed["route"]["until"], relaxed["route"]["note"]),
                         ("dane=audit", "2099-12-31", "<b>they renew</b>"))
        self.assertEqual(relaxed["audit"]["detail"], "tlsa-invalid")
        self.assertEqual(domains["plain.test"]["proofs"]["clear"], 1)
        self.assertEqual(data["never_proved"], ["lax.test", "plain.test"])
        (failed,) = domains["wrong.test"]["failed"]
        self.assertEqual((failed["outcome"], failed["policy"], failed["reason"], failed["recipients"]), ("deferred", "dane", "tlsa-invalid", 1))

        # the metrics, and the history
        counted = collections.Counter()
        for labels, count in attempts().items():
            outcome, policy, tls, auth, reason = labels
            counted[(outcome, policy, tls, auth) if outcome == "delivered" else (outcome, policy, reason)] += count
        kept = collections.Counter()
        for domain in domains.values():
            for row in domain["delivered"]:
                kept["delivered", row["policy"], row["tls"], row["auth"]] += row["recipients"]
            for row in domain["failed"]:
                kept[row["outcome"], row["policy"], row["reason"] or ""] += row["recipients"]
        self.assertEqual(kept, counted)
        for name, domain in domains.items():
            told = sum(len(event["to"]) if isinstance(event["to"], list) else 1 for story in self.relay.tool("trace", name)[1]
                       for event in story["events"] if event["event"] == "delivered")
            self.assertEqual(domain["recipients"], told, name)

        # a crash and a start go on; a reload in between changes nothing
        self.relay.reload()
        self.relay.kill9()
        self.relay.start()
        queue_id = self.relay.send("c@later.test")
        self.relay.wait_log(event="delivered", id=queue_id)
        self.relay.send("c@dane.test")
        self.relay.wait_log(event="delivered", to="c@dane.test")
        self.relay.stop()
        after, data = self.audit()
        self.assertEqual(after["dane.test"]["recipients"], 3)
        self.assertEqual(after["later.test"]["messages"], 1)
        for name in ("second.test", "lax.test", "plain.test"):
            self.assertEqual(after[name], domains[name])
        code, text, _ = self.relay.text("audit", "--html")
        self.assertEqual(code, 0)
        self.assertIn("&lt;b&gt;they renew&lt;/b&gt;", text)
        self.assertEqual(self.relay.text("audit", "--domain", "nobody.test")[0], 1)
        self.relay.start()

    def test_a_signed_report_is_proved_by_openssl(self):
        path = self.world.path
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=audit",
                        "-days", "1", "-keyout", path("audit.key"), "-out", path("audit.crt")], check=True, capture_output=True)
        with open(path("audit.pem"), "w", encoding="ascii") as pem:
            for name in ("audit.key", "audit.crt"):
                with open(path(name), encoding="ascii") as part:
                    pem.write(part.read())
        report = path("report.html")
        code, text, error = self.relay.text("audit", "--html", "--output", report, "--sign", path("audit.pem"))
        self.assertEqual((code, text), (0, ""), error)
        verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", report + ".p7s", "-content", report, "-CAfile", path("audit.crt"),
                  "-purpose", "any", "-out", "/dev/null"]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_series_are_kept_over_a_restart(self):
        """What the daemon counted before its end stands in the store, in minutes, hours and days."""
        with Relay(self.world, Stage.build, {"http": {"address": "127.0.0.1:9477"}}, "series", 2542) as relay:
            queue_id = relay.send(["a@dane.test", "b@dane.test"])
            relay.wait_logs(2, event="delivered", id=queue_id)
            relay.stop()
            sums = self.series(relay)
            self.assertEqual(sums, {step: (2, 2, 2) for step in (60, 3600, 86400)})
            relay.start()
            queue_id = relay.send("a@plain.test")
            relay.wait_logs(1, event="delivered", id=queue_id)
        self.assertEqual(self.series(relay), {step: (3, 3, 2) for step in (60, 3600, 86400)})

    def series(self, relay):
        import sqlite3  # pylint: disable=import-outside-toplevel
        rows = sqlite3.connect(f"file:{relay.directory}/data/queue.db?mode=ro", uri=True).execute(
            "SELECT step, sum(accepted), sum(delivered), sum(dane) FROM statistics_series GROUP BY step").fetchall()
        return {row[0]: tuple(row[1:]) for row in rows}
