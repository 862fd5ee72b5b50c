# SPDX-License-Identifier: Apache-2.0
"""A day of mixed traffic, and the reports of it: who gets them, by mail and by https, and whether they tell what the servers saw."""

import datetime
import email
import email.policy
import smtplib
import time

from case import Case, Domain, Host, Stage, Sts
from world import reports
from world.signing import Judge, SigningKey
from world.web import WebHost

KEY = SigningKey("relay.test", "s1", services="*")
ED = SigningKey("relay.test", "s2", "ed25519")
JUDGE = Judge(KEY, ED)
TODAY = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")

GOOD, MISMATCH = ("3 1 1",), ("3 1 1 wrong",)
EXPIRED, OTHER = {"expired": True}, {"names": ("other.test",)}


def box(name):
    return f"mailto:{name}@box.test"


def asks(*rua):
    return (reports.asks(*rua),)


DOMAINS = [
    Domain("relay.test", "the submitter", mx=(), records=(KEY.zone_line(), ED.zone_line()), send=False),
    # where reports go by mail: its own TLS is broken under its own policies, and it asks for reports itself
    Domain("box.test", "report mailboxes", hosts=(Host(tlsa=MISMATCH),), sts=Sts(mx=("elsewhere",)), records=asks(box("box")), send=False),
    Domain("rpt.test", "report endpoints", mx=(), send=False, webs=(
        WebHost("ok"), WebHost("ok2"), WebHost("created", web={"status": "201 Created"}), WebHost("error", web={"status": "500 Oops"}),
        WebHost("hang", web={"drop": "silent"}), WebHost("redirect", web={"status": "302 Found", "headers": ("Location: https://ok.rpt.test/",)}),
        WebHost("cut", web={"handshake": "close"}), WebHost("expired", cert=EXPIRED), WebHost("dead", web={"down": "refused"}))),
    Domain("dane.test", "DANE that holds", hosts=(Host(tlsa=GOOD),), records=asks(box("dane"), "https://ok.rpt.test/dane")),
    Domain("danebad.test", "a certificate that was renewed without its TLSA record", hosts=(Host(tlsa=MISMATCH),),
           records=asks(box("danebad"), "https://ok.rpt.test/danebad")),
    Domain("two.test", "the first host fails, the second takes it", mx=("10 mx1", "20 mx2"),
           hosts=(Host("mx1", tlsa=MISMATCH), Host("mx2", tlsa=GOOD)), records=asks("https://ok.rpt.test/two")),
    Domain("sts.test", "MTA-STS that holds", hosts=(Host(),), sts=Sts(), records=asks(box("sts"))),
    Domain("stsexpired.test", "an expired certificate under MTA-STS", hosts=(Host(cert=EXPIRED),), sts=Sts(), records=asks(box("stsexpired"))),
    Domain("stsclear.test", "no STARTTLS under MTA-STS", hosts=(Host(smtp={"starttls": "none"}),), sts=Sts(), records=asks(box("stsclear"))),
    Domain("ststesting.test", "a wrong name under a policy in testing", hosts=(Host(cert=OTHER),), sts=Sts(mode="testing"),
           records=asks(box("ststesting"))),
    Domain("plain.test", "no policy", hosts=(Host(),), records=asks("https://created.rpt.test/plain")),
    Domain("hangs.test", "an endpoint that hangs", hosts=(Host(tlsa=GOOD),), records=asks("https://hang.rpt.test/", box("hangs"))),
    Domain("errors.test", "an endpoint that fails", hosts=(Host(tlsa=GOOD),), records=asks("https://error.rpt.test/", box("errors"))),
    Domain("redirects.test", "an endpoint that redirects", hosts=(Host(tlsa=GOOD),), records=asks("https://redirect.rpt.test/")),
    Domain("cuts.test", "endpoints without TLS, or that are not there", hosts=(Host(tlsa=GOOD),),
           records=asks("https://cut.rpt.test/", "https://dead.rpt.test/", "https://ok2.rpt.test/cuts")),
    Domain("lapsed.test", "an endpoint whose certificate has expired", hosts=(Host(tlsa=GOOD),), records=asks("https://expired.rpt.test/x")),
    Domain("odd.test", "URIs of which one is good", hosts=(Host(tlsa=GOOD),),
           records=asks("ftp://rpt.test/", "mailto:a%0Db@box.test", "https://ok.rpt.test/odd")),
    Domain("silent.test", "no record", hosts=(Host(tlsa=GOOD),)),
    Domain("leaves.test", "a record that goes away", hosts=(Host(tlsa=GOOD),), records=asks(box("leaves"))),
    Domain("later.test", "its mailbox takes reports and sends them back hours later", hosts=(Host(tlsa=GOOD),), records=asks(box("later"))),
    Domain("moves.test", "a record that changes", hosts=(Host(tlsa=GOOD),), records=asks(box("before"))),
]
TRAFFIC = {"dane.test": 3, "two.test": 2, "plain.test": 2, "ststesting.test": 2}  # further messages, each over a session of its own


def SETTINGS(world):  # pylint: disable=invalid-name
    return {"security": {"mta_sts": "enforce"}, "dkim": [KEY.settings(world), ED.settings(world)],
            "delivery": {"idle_session": "0s", "retry": {"first": "1h"}},
            "tls_rpt": {"enabled": True, "organization": "The Relay", "contact": "tls@relay.test", "from": "tlsrpt@relay.test"}}


class Day(Case):
    """Everything is sent once, at the first test."""

    day = None

    def setUp(self):
        if Day.day is None:
            Day.day = self.have_a_day()

    def have_a_day(self):
        for domain in self.world.zones.domains.values():
            if domain.send and "." in domain.name:
                self.outcome(domain.name)
        for domain, count in TRAFFIC.items():
            for i in range(count):
                self.relay.send(f"more{i}@{domain}")
                self.relay.outcome(f"more{i}@{domain}")
        self.seen = {name: self.count_sessions(name) for name, d in self.world.zones.domains.items() if d.hosts}
        Day.seen = self.seen
        self.world.domain("leaves.test").records = ()
        self.world.domain("moves.test").records = asks(box("after"))
        self.world.change("leaves.test")
        self.world.change("moves.test")
        time.sleep(1.1)  # the resolver keeps what it has until the next second begins
        Day.shown = {}
        for name in Day.seen:
            code, text, _ = self.relay.text("tlsrpt", "show", "--day", TODAY, "--domain", name)
            Day.shown[name] = (code, text)
        code, told = self.relay.tool("tlsrpt", "send", "--day", TODAY)
        self.assertEqual(code, 0, told)
        Day.told = told
        for rua, action in ((box("dane"), "queued"), ("https://ok.rpt.test/two", "sent"), ("https://ok.rpt.test/odd", "sent"),
                            ("https://hang.rpt.test/", "failed"), ("https://error.rpt.test/", "failed"), (box("stsclear"), "queued"),
                            ("https://dead.rpt.test/", "failed"), ("https://expired.rpt.test/x", "sent"), (box("after"), "queued"), (box("later"), "queued")):
            self.relay.wait_log(60, event="tlsrpt", rua=rua, action=action)
        for line in self.relay.log(event="tlsrpt", action="queued"):
            self.relay.wait_log(20, event="delivered", id=line["id"])
        return TODAY

    def count_sessions(self, name):
        """(with mail, without) of the domain's hosts, as they saw them."""
        sessions = [session for host in self.world.domain(name).hosts for session in self.sessions(host.fqdn(name))]
        return sum(1 for one in sessions if one.mails), sum(1 for one in sessions if not one.mails)

    def mailed(self, to):
        found = reports.mailed(self.world.receiver("mx.box.test"), f"{to}@box.test")
        self.assertEqual(len(found), 1, f"{to}: {len(found)} reports")
        return found[0]

    def posted(self, host, target):
        found = reports.posted(self.world.site(f"{host}.rpt.test"), target)
        self.assertEqual(len(found), 1, f"{host}{target}: {len(found)} reports")
        return found[0]

    def everything(self):
        """{domain: report} of each report, from wherever it came."""
        found = {name: self.mailed(name.split(".", maxsplit=1)[0]) for name in ("dane.test", "danebad.test", "sts.test", "stsexpired.test",
                                                                    "stsclear.test", "ststesting.test", "hangs.test", "errors.test")}
        found["two.test"] = self.posted("ok", "/two")
        found["plain.test"] = self.posted("created", "/plain")
        found["cuts.test"] = self.posted("ok2", "/cuts")
        found["lapsed.test"] = self.posted("expired", "/x")
        found["odd.test"] = self.posted("ok", "/odd")
        found["moves.test"] = self.mailed("after")
        return found

    def test_RPT_09_the_reports_add_up_with_what_the_servers_saw_session_by_session(self):
        for name, report in self.everything().items():
            with self.subTest(name):
                with_mail, without = Day.seen[name]
                good, bad = report.sessions()
                expected = (0, with_mail + without) if name == "ststesting.test" else (with_mail, without)
                self.assertEqual((good, bad), expected, report.json)
                self.assertEqual(report.json["date-range"],
                                 {"start-datetime": f"{TODAY}T00:00:00Z", "end-datetime": f"{TODAY}T23:59:59Z"})
                self.assertEqual((report.json["organization-name"], report.json["contact-info"]), ("The Relay", "tls@relay.test"))

    def test_the_report_of_a_domain_that_fails_says_which_host_and_why(self):
        every = self.everything()
        for name, host, kind in (("danebad.test", "mx.danebad.test", "tlsa-invalid"), ("two.test", "mx1.two.test", "tlsa-invalid"),
                                 ("stsexpired.test", "mx.stsexpired.test", "certificate-expired"),
                                 ("stsclear.test", "mx.stsclear.test", "starttls-not-supported"),
                                 ("ststesting.test", "mx.ststesting.test", "certificate-host-mismatch")):
            with self.subTest(name):
                detail, = every[name].failures()
                self.assertEqual((detail["result-type"], detail["receiving-mx-hostname"]), (kind, host), detail)
                self.assertEqual(detail["failed-session-count"], every[name].sessions()[1])
                self.assertIn(detail["receiving-ip"], self.world.host(host).ip)

    def test_RPT_11_RPT_12_RPT_13_RPT_14_RPT_15_policies_are_told_as_they_stood(self):
        every = self.everything()
        policy = every["dane.test"].json["policies"][0]["policy"]
        self.assertEqual((policy["policy-type"], policy["policy-domain"]), ("tlsa", "mx.dane.test"))
        self.assertRegex(policy["policy-string"][0], r"^3 1 1 [0-9A-Fa-f]{64}$")
        policy = every["sts.test"].json["policies"][0]["policy"]
        self.assertEqual((policy["policy-type"], policy["policy-domain"], policy["mx-host"]), ("sts", "sts.test", ["mx.sts.test"]))
        self.assertEqual(policy["policy-string"], self.world.domain("sts.test").sts.policy(self.world.domain("sts.test")).decode().split("\r\n")[:-1])
        self.assertEqual([one["policy"]["policy-type"] for one in every["plain.test"].json["policies"]], ["no-policy-found"])

    def test_RPT_35_RPT_36_RPT_33_the_mail_and_its_names(self):
        report = self.mailed("dane")
        mail = report.mail
        self.assertEqual(mail["TLS-Report-Domain"], "dane.test")
        self.assertEqual(mail["TLS-Report-Submitter"], "relay.test")
        self.assertEqual(mail["Subject"], f"Report Domain: dane.test Submitter: relay.test Report-ID: <{report.id}>")
        self.assertEqual(mail["From"].addresses[0].addr_spec, "tlsrpt@relay.test")
        self.assertEqual(mail["TLS-Required"], "No")
        attached = list(mail.iter_parts())[1]
        midnight = datetime.datetime.strptime(TODAY, "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc).timestamp()
        self.assertRegex(attached.get_filename(), rf"^relay\.test!dane\.test!{midnight:.0f}!{midnight + 86399:.0f}(![A-Za-z0-9]+)?\.json\.gz$")
        self.assertEqual(attached["Content-Transfer-Encoding"], "base64")
        self.assertEqual(mail.defects, [])

    def test_RPT_37_RPT_36_RPT_33_every_mailed_report_is_signed_by_the_submitter_and_verifies(self):
        mails = self.world.receiver("mx.box.test").mails()
        self.assertGreaterEqual(len(mails), 8)
        for mail in mails:
            self.assertEqual(JUDGE.verdicts(mail.data), [("s1", True), ("s2", True)])
            header = email.message_from_bytes(mail.data, policy=email.policy.compat32)["DKIM-Signature"]
            tags = dict(part.strip().split("=", 1) for part in header.replace("\r\n", "").split(";") if part.strip())
            self.assertEqual(tags["d"], "relay.test")
            self.assertNotIn("l", tags)
            signed = [name.strip().lower() for name in tags["h"].split(":")]
            self.assertIn("tls-report-domain", signed)
            self.assertIn("tls-report-submitter", signed)

    def test_RPT_38_RPT_40_reports_arrive_whatever_tls_does_there_and_ordinary_mail_does_not(self):
        self.relay.send("person@box.test")
        self.deferred("person@box.test", reason="tlsa-invalid")
        for mail in self.world.receiver("mx.box.test").mails():
            self.assertEqual(mail.sender, "tlsrpt@relay.test")
            self.assertNotIn("NOTIFY", " ".join(mail.parameters).upper())

    def come_back(self, header, action="failed", said="550 5.7.1 no attachments here"):
        """A notice (RFC 3464) about the mail with this header, from a stranger's server."""
        notice = ("From: MAILER-DAEMON@mx.box.test\r\nTo: tlsrpt@relay.test\r\nSubject: Undelivered Mail Returned to Sender\r\n"
                  "Message-Id: <1@mx.box.test>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\r\n\r\n"
                  "--B\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n"
                  "Reporting-MTA: dns; mx.box.test\r\n\r\nFinal-Recipient: rfc822; later@inner.box.test\r\n"
                  f"Action: {action}\r\nStatus: 5.7.1\r\nDiagnostic-Code: smtp; {said}\r\n\r\n--B\r\n"
                  f"Content-Type: text/rfc822-headers\r\n\r\n{header}\r\n\r\n--B--\r\n")
        with smtplib.SMTP("127.0.0.1", self.relay.port, local_hostname="mx.box.test", timeout=30) as client:
            client.ehlo()
            self.assertEqual((client.mail("")[0], client.rcpt("tlsrpt@relay.test")[0]), (250, 250))
            self.assertEqual(client.data(notice.encode()), (250, b"2.0.0 Ok: discarded"))

    def test_RPT_47_a_report_that_comes_back_after_it_was_taken_is_failed_with_domain_and_day(self):
        def destination():
            listed, = [one for one in self.relay.tool("tlsrpt", "list", "--domain", "later.test")[1] if one["domain"] == "later.test"]
            return listed["state"], listed["destinations"][0]
        header = self.mailed("later").raw.split(b"\r\n\r\n", maxsplit=1)[0].decode()
        self.assertEqual((destination()[0], destination()[1]["state"]), ("sent", "accepted"))
        # neither a stranger who never saw the report nor a delay says anything about it
        self.come_back(header.replace(self.mailed("later").id, self.mailed("dane").id))
        self.come_back(header, action="delayed")
        self.assertEqual(destination()[1]["state"], "accepted")
        self.come_back(header)
        line = self.relay.wait_log(10, event="tlsrpt", action="failed", rua=box("later"))
        self.assertEqual((line["domain"], line["day"], line["error"]), ("later.test", TODAY, "550 5.7.1 no attachments here"))
        self.assertEqual((destination()[0], destination()[1]["state"]), ("failed", "failed"))
        self.assertEqual(destination()[1]["error"], "550 5.7.1 no attachments here")
        self.come_back(header)  # once more: known
        self.come_back("Subject: another")
        deadline = time.monotonic() + 10
        while len(self.relay.log(event="tlsrpt-bounce")) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(self.relay.log(event="tlsrpt", action="failed", rua=box("later"))), 1)

    def test_RPT_39_sessions_that_deliver_reports_are_in_no_report(self):
        code, listed = self.relay.tool("tlsrpt", "show", "--day", TODAY, "--domain", "box.test")
        if code == 0:  # the ordinary mail of another test
            self.assertEqual(sum(p["summary"]["total-successful-session-count"] for p in listed["policies"]), 0)

    def test_RPT_06_the_record_is_read_again_when_the_report_is_sent(self):
        box_host = self.world.receiver("mx.box.test")
        self.assertEqual((reports.mailed(box_host, "before@box.test"), reports.mailed(box_host, "leaves@box.test")), ([], []))
        self.mailed("after")
        self.relay.wait_log(5, event="tlsrpt", domain="leaves.test", action="skipped")

    def test_RPT_41_https_reports_are_posted_as_they_are(self):
        request = self.posted("ok", "/two").request
        self.assertEqual((request.method, request.header("Content-Type"), request.header("Content-Encoding")),
                         ("POST", "application/tlsrpt+gzip", None))
        self.assertEqual(request.body[:2], b"\x1f\x8b")
        self.assertEqual(self.world.site("ok.rpt.test").requests(), [r for r in self.world.site("ok.rpt.test").requests() if r.target != "/"])
        self.relay.wait_log(5, event="tlsrpt", domain="redirects.test", action="failed", error=lambda text: "302" in (text or ""))

    def test_RPT_42_a_certificate_that_has_expired_gets_it_with_a_warning(self):
        self.posted("expired", "/x")
        line = self.relay.wait_log(5, event="tlsrpt", domain="lapsed.test", action="sent")
        self.assertEqual(line["level"], "warn")
        self.assertIn("expired", line["error"])

    def test_RPT_43_a_destination_that_fails_spoils_only_itself(self):
        for domain, rua in (("hangs.test", "https://hang.rpt.test/"), ("errors.test", "https://error.rpt.test/"),
                            ("cuts.test", "https://cut.rpt.test/"), ("cuts.test", "https://dead.rpt.test/")):
            self.relay.wait_log(5, event="tlsrpt", domain=domain, rua=rua, action="failed")
        self.assertEqual(len(reports.posted(self.world.site("error.rpt.test"))), 1)
        for uri in ("ftp://rpt.test/", "mailto:a%0Db@box.test"):
            self.relay.wait_log(5, event="tlsrpt", domain="odd.test", rua=uri, action="skipped")

    def test_show_is_what_was_sent_octet_by_octet(self):
        import gzip
        for name, report in self.everything().items():
            with self.subTest(name):
                sent = gzip.decompress(report.octets)
                self.assertEqual(Day.shown[name][0], 0)
                self.assertEqual(Day.shown[name][1].encode().strip(), sent.strip())
                code, text, _ = self.relay.text("tlsrpt", "show", "--day", TODAY, "--domain", name)
                self.assertEqual((code, text.encode().strip()), (0, sent.strip()))

    def test_the_same_report_by_mail_and_by_https(self):
        self.assertEqual(self.mailed("dane").octets, self.posted("ok", "/dane").octets)
        self.assertEqual(self.mailed("danebad").octets, self.posted("ok", "/danebad").octets)

    def test_send_again_sends_nothing_that_was_sent_and_says_so(self):
        count = len(self.world.receiver("mx.box.test").mails())
        code, _ = self.relay.tool("tlsrpt", "send", "--day", TODAY, "--domain", "dane.test")
        self.assertEqual(code, 1)
        self.assertEqual(self.relay.tool("tlsrpt", "send", "--day", "2020-01-01")[0], 1)
        self.assertEqual(self.relay.tool("tlsrpt", "send", "--day", "yesterday")[0], 64)
        self.assertEqual(len(self.world.receiver("mx.box.test").mails()), count)


class Settings(Case):
    def test_RPT_37_without_a_key_the_start_says_so(self):
        relay = Stage.relay.__class__(self.world, Stage.build, {"tls_rpt": {"enabled": True}}, "keyless", 2630)
        with relay:
            line = relay.wait_log(10, event="config-warning", error=lambda text: "'dkim' has no key" in (text or ""))
            self.assertEqual(line["level"], "warn")
            self.assertIn("relay.test", line["error"])
