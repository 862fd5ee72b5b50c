# SPDX-License-Identifier: Apache-2.0
"""`hoplock audit`: what left under which proof, over restarts and reloads, with the daemon stopped, and that it adds up with metrics and trace."""

import collections
import contextlib
import csv
import datetime
import glob
import http.client
import io
import os
import re
import sqlite3
import subprocess

from case import Case, Domain, Host, Stage, Sts
from world.relay import Relay

TWO = ("10 mx1", "20 mx2")
DOMAINS = [
    Domain("dane.test", "TLSA 3 1 1", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("second.test", "TLSA mismatch at the first MX", TWO, (Host("mx1", ("3 1 1 wrong",)), Host("mx2", ("3 1 1",))), send=False),
    Domain("wrong.test", "TLSA mismatch", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("lax.test", "TLSA mismatch under an exception", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("plain.test", "no STARTTLS", hosts=(Host(smtp={"starttls": "none"}),), send=False),
    Domain("later.test", "mail after the restart", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("sts.lab", "an MTA-STS policy", hosts=(Host(),), signed=False, sts=Sts(), send=False),
    Domain("wrong.lab", "an MTA-STS policy, certificate of another name", hosts=(Host(cert={"names": ("else.example",)}),), signed=False,
           sts=Sts(), send=False),
    Domain("open.test", "a certificate that nobody vouches for", hosts=(Host(cert={"self_signed": True}),), send=False),
    Domain("route.test", "a route that asks for a certificate", hosts=(Host(),), send=False),
]
PORT = 9476
SETTINGS = {"http": {"address": f"127.0.0.1:{PORT}"}, "delivery": {"retry": {"first": "1h"}},
            "routes": [{"match": ["lax.test"], "dane": "audit", "until": "2099-12-31", "note": "<b>they renew</b>"}]}
FIELDS = ("outcome", "policy", "tls", "auth", "reason")
MIXED = ("dane.test", "second.test", "wrong.test", "lax.test", "plain.test", "sts.lab", "wrong.lab", "open.test", "route.test")
REFUSED = ("wrong.test", "wrong.lab")
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "libfaketime is not installed")


def metrics(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def counted(text, name, keys):
    """What a metric has counted: {(word, …): count}."""
    found = {}
    for labels, count in re.findall(rf"^{name}\{{(.*)\}} (\d+)$", text, re.MULTILINE):
        words = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[tuple(words[key] for key in keys)] = int(count)
    return found


def attempts(port=PORT):
    """{(outcome, policy, tls, auth, reason): recipients}."""
    return counted(metrics(port), "hoplock_attempts_total", FIELDS)


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


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
        code, text, error = self.relay.text("audit", "--csv", "--sign", path("audit.pem"))
        self.assertEqual(code, 0, error)
        message = self.world.write("report.eml", text)
        done = subprocess.run(["openssl", "cms", "-verify", "-in", message, "-CAfile", path("audit.crt"), "-purpose", "any"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Content-Type: text/csv", done.stdout)

    def test_mixed_mail_adds_up_in_every_form(self):
        """DANE, MTA-STS, a certificate that a route asks for, TLS without a proof, clear, an exception, refused hosts and refused mail."""
        settings = {"http": {"address": "127.0.0.1:9478"}, "security": {"mta_sts": "enforce"}, "delivery": {"retry": {"first": "1h"}},
                    "routes": [{"match": ["lax.test"], "dane": "audit", "until": "2099-12-31", "note": "=1+1; they renew"},
                               {"match": ["route.test"], "tls": "verify"}]}
        with Relay(self.world, Stage.build, settings, "mixed", 2543) as relay:
            sent = collections.Counter()
            for name in REFUSED:  # what comes for them later waits behind this
                for people in (f"u1@{name}", [f"u2@{name}", f"u3@{name}"]):
                    relay.send(people)
                relay.wait_log(event="deferred", domain=name)
            for turn in range(12):
                for place, name in enumerate(MIXED):
                    people = [f"u{one}@{name}" for one in range(1 + (turn + place) % 3)] + [f"also@{MIXED[place - 1]}"] * (turn % 4 == 0)
                    relay.send(people)
                    sent.update(address.split("@")[1] for address in people)
            self.assertGreater(len(relay.wait_logs(sum(count for name, count in sent.items() if name not in REFUSED), event="delivered")), 100)
            shown = metrics(9478)
            before = relay.tool("audit")[1]
            relay.stop()
            data = relay.tool("audit")[1]
            self.assertEqual(data["domains"], before["domains"])
            lines = relay.log(event=("delivered", "deferred"))
            forms = {form: relay.text("audit", f"--{form}")[1] for form in ("csv", "html")}
            trace = {name: relay.tool("trace", name)[1] for name in MIXED}
            series = self.series(relay)
        kept, logged, told = collections.Counter(), collections.Counter(), collections.Counter()
        for domain in data["domains"]:
            name = domain["domain"]
            for row in domain["delivered"]:
                kept[name, "delivered", row["policy"], row["tls"], row["auth"], ""] += row["recipients"]
            for row in domain["failed"]:
                kept[name, row["outcome"], row["policy"], "", "", row["reason"]] += row["recipients"]
        for line in lines:
            done = line["event"] == "delivered"
            logged[(line["domain"], line["event"], line["policy"], line["tls"] if done else "", line["auth"] if done else "",
                    "" if done else line["reason"])] += 1
        self.assertEqual(kept, logged)
        for name, stories in trace.items():
            for event in (event for story in stories for event in story["events"] if event["event"] in ("delivered", "deferred")):
                to = event["to"] if isinstance(event["to"], list) else [event["to"]]
                told[name, event["event"]] += sum(address.endswith("@" + name) for address in to)
        counted_by_domain = collections.Counter()
        for (name, outcome, *_), count in kept.items():
            counted_by_domain[name, outcome] += count
        self.assertEqual(counted_by_domain, told)
        by_metric = collections.Counter()
        for (outcome, policy, tls, auth, reason), count in counted(shown, "hoplock_attempts_total", FIELDS).items():
            done = outcome == "delivered"
            by_metric[outcome, policy, tls if done else "", auth if done else "", "" if done else reason] += count
        without_domain = collections.Counter()
        for (_, *words), count in kept.items():
            without_domain[tuple(words)] += count
        self.assertEqual(without_domain, by_metric)
        hosts = collections.Counter()
        for domain in data["domains"]:
            for row in domain["hosts"]:
                hosts[row["policy"], row["reason"], row["action"]] += row["hosts"]
        self.assertEqual(hosts, counted(shown, "hoplock_hops_refused_total", ("policy", "reason", "action")))
        self.assertEqual(series[60], (sent.total() + 3 * len(REFUSED), sum(count for key, count in kept.items() if key[1] == "delivered"),
                                      sum(count for key, count in kept.items() if key[4].startswith("dane"))))
        self.check_proofs({domain["domain"]: domain for domain in data["domains"]}, data)
        self.check_forms(data, forms)

    def check_proofs(self, domains, data):
        """Each domain's mail under the proof that it has, and nothing else."""
        wanted = {"dane.test": "dane", "second.test": "dane", "lax.test": "encrypted", "plain.test": "clear", "sts.lab": "sts",
                  "open.test": "encrypted", "route.test": "verified", "wrong.test": None, "wrong.lab": None}
        for name, proof in wanted.items():
            self.assertEqual([key for key, count in domains[name]["proofs"].items() if count], [proof] if proof else [], name)
        self.assertEqual(data["never_proved"], ["lax.test", "open.test", "plain.test"])
        self.assertEqual([(row["policy"], row["reason"]) for row in domains["wrong.lab"]["failed"]], [("sts", "certificate-host-mismatch")])
        self.assertEqual(len(domains["sts.lab"]["policies"]), 1)
        self.assertEqual(sum(domain["octets"] for domain in data["domains"]), data["total"]["octets"])
        self.assertEqual(sum(data["total"]["proofs"].values()), data["total"]["messages"])

    def check_forms(self, data, forms):
        """The CSV has the figures of the JSON, and no formula; the HTML names every domain, and runs and fetches nothing."""
        rows = list(csv.DictReader(io.StringIO(forms["csv"], newline="")))
        for kind, key in (("delivered", "delivered"), ("key", "keys"), ("tlsa", "records"), ("sts", "policies"), ("failed", "failed"),
                          ("host", "hosts"), ("relaxed", "relaxed")):
            lines = [(domain["domain"], row) for domain in data["domains"] for row in domain[key]]
            mine = [row for row in rows if row["kind"] == kind]
            self.assertEqual([(row["domain"], int(row["messages"]), row["first"], row["last"]) for row in mine],
                             [(name, row["messages"], row["first"], row["last"]) for name, row in lines], kind)
        self.assertFalse([cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@") or ";=" in cell])
        self.assertIn("'=1+1; they renew", [row["note"] for row in rows])
        for domain in data["domains"]:
            self.assertIn(f"<bdi>{domain['domain']}</bdi>", forms["html"])
        self.assertNotRegex(forms["html"], r"(?i)<script|<link|<img|src=|javascript:|url\(")

    def test_a_member_of_the_group_reads_it(self):
        """Who may read the files and no more, while the daemon runs and while it is stopped."""
        with Relay(self.world, Stage.build, {}, "group", 2544) as relay:
            queue_id = relay.send("a@dane.test")
            relay.wait_log(event="delivered", id=queue_id)
            self.assertEqual(self.as_member(relay), 1)
            relay.stop()
            before = sorted(os.listdir(os.path.join(relay.directory, "data")))
            self.assertEqual(self.as_member(relay), 1)
            self.assertEqual(sorted(os.listdir(os.path.join(relay.directory, "data"))), before)

    @staticmethod
    def as_member(relay):
        """How many recipients `hoplock audit --csv` tells of to a user who has the files' group."""
        done = subprocess.run(["setpriv", "--reuid=65534", f"--regid={os.getgid()}", "--clear-groups", os.path.join(Stage.build, "hoplock"),
                               "--config", relay.config, "audit", "--csv"], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        return sum(int(row["recipients"]) for row in csv.DictReader(io.StringIO(done.stdout)) if row["kind"] == "delivered")

    @contextlib.contextmanager
    def clocked(self, name, port):
        """A relay far east of Greenwich, and a function that moves its clock: "+1y"."""
        stamp = self.world.write(f"{name}.clock", "+0\n")
        extra = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": stamp, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
                 "TZ": "Pacific/Kiritimati"}
        relay = Relay(self.world, Stage.build, {"security": {"dane": "off"}}, name, port)
        before = dict(os.environ)
        os.environ.update(extra)
        try:
            relay.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        try:
            yield relay, lambda by: os.replace(self.world.write(f"{name}.new", by + "\n"), stamp)
        finally:
            relay.stop()

    def test_a_clock_that_jumps_loses_and_doubles_nothing(self):
        """By a year forward, and back: days in UTC, no row for what lies between."""
        if Stage.is_sanitized():
            self.skipTest("a sanitizer's runtime and libfaketime both want to be loaded first")
        with self.clocked("jump", 2545) as (relay, move):
            days = set()
            for by in ("+0", "+365d", "+0"):
                move(by)
                moved = today() + datetime.timedelta(days=365 if by != "+0" else 0)
                queue_id = relay.send("a@plain.test")
                line = relay.wait_log(event="delivered", id=queue_id)
                self.assertEqual(line["time"][:10], str(moved))
                days.add(line["time"][:10])
            relay.stop()
            self.assertEqual(self.series(relay), {step: (3, 3, 0) for step in (60, 3600, 86400)})
            with sqlite3.connect(f"file:{relay.directory}/data/queue.db?mode=ro", uri=True) as store:
                ((rows, least),) = store.execute("SELECT count(*), min(accepted) FROM statistics_series").fetchall()
            self.assertLessEqual(rows, 12)
            self.assertGreaterEqual(least, 0)
            recipients = {day: relay.tool("audit", "--from", day, "--to", day)[1]["total"]["recipients"] for day in days}
            self.assertEqual(sum(recipients.values()), 3)
            self.assertEqual(min(recipients.values()), 1)

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
        rows = sqlite3.connect(f"file:{relay.directory}/data/queue.db?mode=ro", uri=True).execute(
            "SELECT step, sum(accepted), sum(delivered), sum(dane) FROM statistics_series GROUP BY step").fetchall()
        return {row[0]: tuple(row[1:]) for row in rows}
