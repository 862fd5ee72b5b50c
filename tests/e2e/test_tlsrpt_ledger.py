# SPDX-License-Identifier: Apache-2.0
"""What is counted for TLS reports is what the receivers saw: mixed traffic to a dozen domains, read back with `hoplock tlsrpt`."""

import contextlib
import datetime
import sqlite3
import time

from case import Case, Domain, Host, Sts

OTHER = {"names": ("somebody.else.example",)}
NO_TLS = {"starttls": "none"}
SELF_SIGNED = {"self_signed": True}
TWO = ("10 mx1", "20 mx2")


def wants(name, what, hosts=None, record="v=TLSRPTv1; rua=mailto:tls@{}", **more):
    """A domain that publishes this record, if any."""
    records = (f'_smtp._tls TXT "{record.format(name)}"',) if record else ()
    records += more.pop("also", ())
    return Domain(name, what, hosts=hosts or (Host(),), records=records, signed=more.pop("signed", name.endswith(".test")), **more)


# The domain; of each element its policy-type, how many of its sessions succeeded and failed; and {(result-type, MX host): sessions}.
ROWS = [
    (wants("good.test", "DANE that holds", (Host(tlsa=("3 1 1",)),)), [("tlsa", 1, 0)], {}),
    (wants("mismatch.test", "no TLSA record matches", (Host(tlsa=("3 1 1 wrong",)),)), [("tlsa", 0, 1)], {("tlsa-invalid", "mx"): 1}),
    (wants("unusable.test", "no TLSA record is usable", (Host(tlsa=("1 1 1",)),)), [("tlsa", 0, 1)], {("tlsa-invalid", "mx"): 1}),
    (wants("second.test", "the first host fails, the second does not", (Host("mx1", tlsa=("3 1 1 wrong",)), Host("mx2", tlsa=("3 1 1",))),
           mx=TWO), [("tlsa", 0, 1), ("tlsa", 1, 0)], {("tlsa-invalid", "mx1"): 1}),
    (wants("bogus.test", "the TLSA look-up fails", (Host(tlsa=("3 1 1",)),), lies={"_25._tcp.mx TLSA": "servfail"}), [("tlsa", 0, 1)],
     {("dnssec-invalid", "mx"): 1}),
    (wants("both.test", "DANE holds, MTA-STS does not name the host", (Host(tlsa=("3 1 1",)),), sts=Sts(mx=("other",))),
     [("sts", 0, 1), ("tlsa", 1, 0)], {("validation-failure", "mx"): 1}),
    (wants("sts.lab", "MTA-STS that holds", sts=Sts()), [("sts", 1, 0)], {}),
    (wants("nofit.lab", "no host is in the policy", sts=Sts(mx=("other",))), [("sts", 0, 1)], {("validation-failure", "mx"): 1}),
    (wants("testing.lab", "testing, a certificate of another name", (Host(cert=OTHER),), sts=Sts("testing")), [("sts", 0, 1)],
     {("certificate-host-mismatch", "mx"): 1}),
    (wants("expired.lab", "an expired certificate", (Host(cert={"expired": True}),), sts=Sts()), [("sts", 0, 1)],
     {("certificate-expired", "mx"): 1}),
    (wants("fetch.lab", "a policy that cannot be fetched", sts=Sts(web={"status": "404 Not Found"})), [("sts", 0, 1)],
     {("sts-policy-fetch-error", None): 1}),
    (wants("strip.lab", "no policy, no STARTTLS", (Host(smtp=NO_TLS),)), [("no-policy-found", 0, 1)], {("starttls-not-supported", "mx"): 1}),
    (wants("any.lab", "no policy, a certificate of anybody", (Host(cert=SELF_SIGNED),)), [("no-policy-found", 1, 0)], {}),
    (wants("broken.lab", "no policy, the handshake breaks; in clear not before the next attempt", (Host(smtp={"handshake": "close"}),)),
     [("no-policy-found", 0, 1)], {("validation-failure", "mx"): 1}),
    (wants("own.test", "a self-signed certificate that DANE knows, MTA-STS not", (Host(tlsa=("3 1 1",), cert=SELF_SIGNED),), sts=Sts()),
     [("sts", 0, 1), ("tlsa", 1, 0)], {("certificate-not-trusted", "mx"): 1}),
    (Domain("unsigned-own.lab", "such a host, an unsigned MX record", mx=("10 mx.hosts.test.",), signed=False, sts=Sts(mx=("mx.hosts.test.",)),
            records=('_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@unsigned-own.lab"',)),
     [("sts", 0, 1), ("tlsa", 1, 0)], {("certificate-not-trusted", "mx.hosts.test"): 1}),
    (wants("ta.test", "only PKIX-TA, which is unusable", (Host(tlsa=("0 0 1",)),)), [("tlsa", 0, 1)], {("tlsa-invalid", "mx"): 1}),
    (wants("demanded.test", "DANE demanded by the operator, none published"), [("tlsa", 0, 1)], {("dane-required", "mx"): 1}),
    (wants("demanded-ta.test", "DANE demanded, none usable", (Host(tlsa=("0 0 1",)),)), [("tlsa", 0, 1)], {("tlsa-invalid", "mx"): 1}),
    (wants("loose.lab", "testing, not in the policy, no STARTTLS", (Host(smtp=NO_TLS),), sts=Sts("testing", ("nobody",))), [("sts", 0, 1)],
     {("validation-failure", "mx"): 1, ("starttls-not-supported", "mx"): 1}),
    (wants("alias.lab", "an MX host that is an alias, certificate of its end", (Host("host"),), sts=Sts(mx=("mx",)),
           also=("mx CNAME host",)), [("sts", 0, 1)], {("certificate-host-mismatch", "mx"): 1}),
    (wants("xn--jxalpdlp.lab", "an A-label", (Host(cert=OTHER),), sts=Sts()), [("sts", 0, 1)], {("certificate-host-mismatch", "mx"): 1}),
]
SILENT = [
    wants("silent.test", "no record", (Host(tlsa=("3 1 1",)),), record=""),
    wants("wrong.lab", "a record without rua", record="v=TLSRPTv1;"),
    wants("refused.lab", "its record cannot be looked up", lies={"_smtp._tls TXT": "servfail"}),
    wants("down.lab", "no host listens", (Host(dead=1, addresses=0),)),
]
REUSED = wants("reused.lab", "many messages", send=False)
AGAIN = wants("again.lab", "before and after a restart and a kill", send=False)
HOSTS = Domain("hosts.test", "a signed host of others", hosts=(Host(tlsa=("3 1 1",), cert=SELF_SIGNED),), send=False)
KEPT = wants("kept.lab", "a policy whose refresh fails", sts=Sts(), ttl=0, send=False)
KEPT_NONE = wants("kept-none.lab", "a policy of mode none whose refresh fails", (Host(cert=OTHER),), sts=Sts("none", ()), ttl=0, send=False)
LEAK = wants("leak.test", "a failure with something to hide", (Host(tlsa=("3 1 1 wrong",)),), send=False)
DOMAINS = [domain for domain, *_ in ROWS] + SILENT + [REUSED, AGAIN, HOSTS, KEPT, KEPT_NONE, LEAK]
SETTINGS = {"security": {"mta_sts": "enforce"}, "tls_rpt": {"enabled": True, "organization": "Relay Test"},
            "delivery": {"retry": {"first": "1h"}},
            "routes": [{"match": ["demanded.test", "demanded-ta.test"], "tls": "dane-only"}]}


def full(host, domain):
    return host if host is None or "." in host else f"{host}.{domain.name}"


def days():
    """Today, and yesterday in case it has just ended."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return [str(today - datetime.timedelta(days=1)), str(today)]


class Ledger(Case):
    def reports(self, domain):
        found = [self.relay.tool("tlsrpt", "show", "--day", day, "--domain", domain) for day in days()]
        return [report for code, report in found if code == 0]

    def elements(self, domain):
        return [element for report in self.reports(domain) for element in report["policies"]]

    def counted(self, domain):
        """Sessions and failures of all its days, as `tlsrpt list` has them."""
        rows = [row for row in self.relay.tool("tlsrpt", "list", "--domain", domain)[1]]
        return sum(row["sessions"] for row in rows), sum(row["failures"] for row in rows)

    def seen(self, domain):
        """How many connections its hosts saw in which TLS was tried or could have been."""
        return sum(1 for host in domain.hosts if host.addresses for session in self.sessions(host.fqdn(domain.name)) if session.verbs())

    def test_RPT_09_RPT_11_RPT_28_elements_and_details_say_what_failed_where_and_why(self):
        for domain, elements, details in ROWS:
            with self.subTest(domain.name, publishes=domain.publishes):
                self.outcome(domain.name)
                found = self.elements(domain.name)
                self.assertEqual(sorted((one["policy"]["policy-type"], one["summary"]["total-successful-session-count"],
                                         one["summary"]["total-failure-session-count"]) for one in found), sorted(elements))
                told = {(one["result-type"], one.get("receiving-mx-hostname")): one["failed-session-count"]
                        for element in found for one in element.get("failure-details", ())}
                self.assertEqual(told, {(kind, full(host, domain)): count for (kind, host), count in details.items()})

    def test_sums_are_what_the_receivers_saw(self):
        for domain, elements, _ in ROWS:
            if not domain.hosts:
                continue  # they are another domain's
            with self.subTest(domain.name):
                self.outcome(domain.name)
                sessions, failures = self.counted(domain.name)
                refused = 1 if domain.name in ("nofit.lab", "bogus.test", "demanded.test", "demanded-ta.test") else 0  # before connecting
                self.assertEqual(sessions, self.seen(domain) + refused)
                self.assertEqual(failures, 1 if any(failed for _, _, failed in elements) else 0)

    def test_STS_26_STS_35_MX_08_DANE_12_DANE_35_what_is_only_observed_or_unusable_or_demanded_is_reported(self):
        for name, event, told in (("loose.lab", "delivered", "sts"), ("own.test", "delivered", "tlsa"), ("own.test", "delivered", "sts"),
                                  ("unsigned-own.lab", "deferred", "tlsa"), ("unsigned-own.lab", "deferred", "sts"),
                                  ("alias.lab", "deferred", "sts"), ("ta.test", "delivered", "tlsa"), ("unusable.test", "delivered", "tlsa"),
                                  ("demanded.test", "deferred", "tlsa"), ("demanded-ta.test", "deferred", "tlsa")):
            with self.subTest(name, policy_type=told):
                self.assertEqual(self.outcome(name)["event"], event)
                self.assertIn(told, [element["policy"]["policy-type"] for element in self.elements(name)])

    def test_MX_15_the_record_is_asked_for_and_the_report_named_under_a_labels(self):
        self.outcome("xn--jxalpdlp.lab")
        self.assertTrue(self.world.wire.queries("_smtp._tls.xn--jxalpdlp.lab", "TXT"))
        self.assertEqual(self.elements("xn--jxalpdlp.lab")[0]["policy"]["policy-domain"], "xn--jxalpdlp.lab")

    def test_STS_37_a_refresh_that_fails_is_told_beside_the_live_policy_and_not_where_its_mode_is_none(self):
        for domain, elements, details in ((KEPT, [("sts", 2, 0)], {"sts-policy-fetch-error": 1}), (KEPT_NONE, [("no-policy-found", 2, 0)], {})):
            with self.subTest(domain.name):
                for turn in range(2):
                    mark = len(self.relay.lines)
                    self.send(domain.name)
                    self.relay.wait_log(30, mark, event="delivered", domain=domain.name)
                    if turn == 0:
                        self.world.site(domain.name).block()
                        self.world.publish(domain.name, id="2")
                        time.sleep(1.1)  # a record with TTL 0 stays until the next second begins
                found = self.elements(domain.name)
                self.assertEqual([(one["policy"]["policy-type"], one["summary"]["total-successful-session-count"],
                                   one["summary"]["total-failure-session-count"]) for one in found], elements)
                self.assertEqual({one["result-type"]: one["failed-session-count"] for element in found
                                  for one in element.get("failure-details", ())}, details)

    def test_RPT_07_one_session_of_many_messages_counts_once(self):
        for number in range(8):
            self.send(f"user{number}@{REUSED.name}")
        for number in range(8):
            self.relay.wait_log(30, event="delivered", to=f"user{number}@{REUSED.name}")
        self.assertEqual(self.counted(REUSED.name)[0], self.seen(REUSED))
        self.assertLess(self.seen(REUSED), 8)

    def test_RPT_06_RPT_10_nothing_is_counted_without_a_valid_record_or_a_tls_step(self):
        for domain in SILENT:
            with self.subTest(domain.name, publishes=domain.publishes):
                self.outcome(domain.name)
                self.assertEqual(self.counted(domain.name), (0, 0))
                self.assertEqual(self.reports(domain.name), [])

    def test_nothing_of_a_message_is_in_a_report_or_in_the_ledger(self):
        """RPT-45: no canary of local parts, subject, header, body or inner addresses in any report or in the store"""
        self.relay.send("canaryto@leak.test", "canaryfrom@relay.test", "canarybody\r\n", "canarysubject", "X-Canary: canaryfield\r\n")
        self.relay.wait_log(30, event="deferred", to="canaryto@leak.test")
        with contextlib.closing(sqlite3.connect(f"file:{self.world.path('relay/data/queue.db')}?mode=ro", uri=True)) as database:
            tables = [name for name, in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'tlsrpt_%'")]
            kept = str([database.execute(f"SELECT * FROM {table}").fetchall() for table in tables])
        self.assertIn("mx.leak.test", kept)
        told = "".join(self.relay.text("tlsrpt", "show", "--day", day)[1] for day in days())
        self.assertIn("mx.leak.test", told)
        for where in (kept, told):
            self.assertNotIn("canary", where)
            self.assertNotIn("user@", where)

    def test_RPT_30_counts_outlive_a_restart_and_a_kill(self):
        expected = 0
        for end in (self.relay.stop, self.relay.kill9, None):
            mark = len(self.relay.lines)
            self.send(AGAIN.name)
            self.relay.wait_log(30, mark, event="delivered", domain=AGAIN.name)
            expected += 1
            self.assertEqual(self.counted(AGAIN.name), (expected, 0))
            if end:
                end()
                self.assertEqual(self.counted(AGAIN.name), (expected, 0), "read from the database of a daemon that is not there")
                self.relay.start()
        self.assertEqual(self.seen(AGAIN), expected)

    def test_check_shows_the_record_and_what_of_it_is_usable(self):
        told = self.relay.tool("check", "--no-connect", "good.test")[1]["tls_rpt"]
        self.assertEqual((told["txt"], told["rua"]), ("v=TLSRPTv1; rua=mailto:tls@good.test", ["mailto:tls@good.test"]))
        told = self.relay.tool("check", "--no-connect", "wrong.lab")[1]["tls_rpt"]
        self.assertEqual((told["txt"], told["rua"]), ("v=TLSRPTv1;", None))
        self.assertTrue(told["error"])
        told = self.relay.tool("check", "--no-connect", "silent.test")[1]["tls_rpt"]
        self.assertEqual((told["txt"], told["rua"]), (None, None))
        self.assertIn("TLS reports: to mailto:tls@good.test", self.relay.text("check", "--no-connect", "good.test")[1])
