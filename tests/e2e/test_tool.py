# SPDX-License-Identifier: Apache-2.0
"""The operator's tool: the queue of a running and of a stopped daemon, `check` and `tlsa` against the world."""

import datetime
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time

from case import Case, Domain, Host, Stage
from world.relay import Relay

TWO = ("10 mx1", "20 mx2")
SELF_SIGNED = {"self_signed": True, "names": ("somebody.else.example",)}
REFUSED = {"down": "refused"}
NOT_NOW = {"rcpt": {"user": "450 4.2.1 not now"}}


def one(name, what, host, **more):
    return Domain(name, what, hosts=(host,), send=False, **more)


# The domain, the verdict, and (host, policy, dnssec, result, auth) of every address that is asked.
CHECKS = [
    (one("ee.test", "DANE-EE", Host(tlsa=("3 1 1",))), "dane", [("mx", "dane", "secure", "ok", "dane-ee")]),
    (one("ta.test", "DANE-TA", Host(tlsa=("2 1 1",))), "dane", [("mx", "dane", "secure", "ok", "dane-ta")]),
    (one("unusable.test", "PKIX-EE only", Host(tlsa=("1 1 1",), cert=SELF_SIGNED)), "dane", [("mx", "dane", "secure", "ok", "none")]),
    (Domain("second.test", "the first MX does not match", TWO, (Host("mx1", ("3 1 1 wrong",)), Host("mx2", ("3 1 1",))), send=False),
     "dane", [("mx1", "dane", "secure", "tlsa-invalid", "none"), ("mx2", "dane", "secure", "ok", "dane-ee")]),
    (one("mismatch.test", "no match", Host(tlsa=("3 1 1 wrong",))), "fail", [("mx", "dane", "secure", "tlsa-invalid", "none")]),
    (one("stripped.test", "TLSA, no STARTTLS", Host(tlsa=("3 1 1",), smtp={"starttls": "none"})), "fail",
     [("mx", "dane", "secure", "starttls-not-supported", "none")]),
    (one("bogus.test", "MX bogus", Host(), spoil=("@ MX",)), "fail", []),
    (one("bogustlsa.test", "TLSA bogus", Host(tlsa=("3 1 1",)), spoil=("_25._tcp.mx TLSA",)), "fail",
     [("mx", "dane", "bogus", "dnssec-invalid", "none")]),
    (one("servfail.test", "TLSA SERVFAIL", Host(tlsa=("3 1 1",)), lies={"_25._tcp.mx TLSA": "servfail"}), "fail",
     [("mx", "dane", "failed", "dnssec-invalid", "none")]),
    (one("open.lab", "unsigned", Host(cert=SELF_SIGNED), signed=False), "opportunistic",
     [("mx", "opportunistic", "insecure", "ok", "none")]),
    (one("plain.lab", "unsigned, no STARTTLS", Host(smtp={"starttls": "none"}), signed=False), "plaintext",
     [("mx", "opportunistic", "insecure", "ok", "none")]),
    (one("broken.lab", "unsigned, broken handshake", Host(smtp={"handshake": "garbage"}), signed=False), "plaintext",
     [("mx", "opportunistic", "insecure", "ok", "none")]),
    (Domain("hosted.lab", "unsigned, its MX host is signed", ("10 mx.ee.test.",), signed=False, send=False), "dane",
     [("mx.ee.test.", "dane", "insecure", "ok", "dane-ee")]),
    (Domain("mixed.test", "one of two equal hosts has no TLSA", ("10 mx1", "10 mx2"), (Host("mx1", ("3 1 1",)), Host("mx2")), send=False),
     "opportunistic", [("mx1", "dane", "secure", "ok", "dane-ee"), ("mx2", "opportunistic", "secure", "ok", "none")]),
    (one("closed.test", "refuses connections", Host(smtp=REFUSED)), "fail", [("mx", "opportunistic", "secure", "connect-refused", "none")]),
    (one("busy.test", "no service", Host(smtp={"banner": "554 5.7.1 no service for you"})), "fail",
     [("mx", "opportunistic", "secure", "smtp-reply", "none")]),
    (Domain("null.test", "null MX", ("0 .",), (Host("@"),), send=False), "fail", []),
    (Domain("implicit.test", "no MX", (), (Host("@", ("3 1 1",)),), send=False), "dane", [("@", "dane", "secure", "ok", "dane-ee")]),
]
DOMAINS = [domain for domain, _, _ in CHECKS]
DOMAINS += [
    one("later.test", "not now", Host(smtp=NOT_NOW)),
    one("later2.test", "not now", Host(smtp=NOT_NOW)),
    one("dead.test", "refuses connections", Host(smtp=REFUSED)),
    one("esc.test", "an answer with control characters", Host(smtp={"rcpt": {"user": "450 4.2.1 \x1b[31mred\x07\x9b no"}})),
    one("slow.test", "a route with a rate", Host()),
    one("smtps.test", "TLS from the first octet", Host("mx", ("3 1 1",), port=587)),
]
SETTINGS = {"delivery": {"retry": {"first": "1h"}}, "routes": [{"match": ["slow.test"], "rate": "1/h"}]}
NOBODY = "0000000001"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def run(relay, *arguments, stdout=subprocess.PIPE):
    """What people see: the exit code, standard output and standard error."""
    done = subprocess.run([os.path.join(Stage.build, "hoplock"), "--config", relay.config, *arguments], stdin=subprocess.DEVNULL,
                          stdout=stdout, stderr=subprocess.PIPE, timeout=30, check=False)
    return done.returncode, (done.stdout or b"").decode(), done.stderr.decode()


def read_from(terminal):
    """What is written to a terminal until its other end is closed."""
    octets = b""
    try:
        while piece := os.read(terminal, 65536):
            octets += piece
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return octets.decode().replace("\r\n", "\n")


def on_terminal(relay, width, *arguments):
    """What the tool writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen([os.path.join(Stage.build, "hoplock"), "--config", relay.config, *arguments], stdin=subprocess.DEVNULL,
                          stdout=theirs, stderr=subprocess.DEVNULL):
        os.close(theirs)
        return read_from(ours)


def by_a_person(relay, rows, *arguments, **environment):
    """The exit code, and what a person at a terminal of that many rows reads."""
    pid, ours = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        known = {name: value for name, value in os.environ.items() if name not in ("PAGER", "LESS", "NO_COLOR", "TERM")}
        program = os.path.join(Stage.build, "hoplock")
        os.execve(program, [program, "--config", relay.config, *arguments], known | {"TERM": "xterm"} | environment)
    text = read_from(ours)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


class Terminal(Case):
    def test_what_is_longer_than_the_screen_goes_through_the_pager_and_nothing_else_does(self):
        marks = {"PAGER": "sed s/^/paged:/"}
        _, whole, _ = run(self.relay, "help")
        lines = whole.count("\n")
        self.assertGreater(lines, 24)
        code, text = by_a_person(self.relay, 24, "help", **marks)
        self.assertEqual(code, 0)
        self.assertEqual(text, "".join(f"paged:{line}\n" for line in whole.splitlines()))
        self.assertEqual(by_a_person(self.relay, lines + 1, "help", **marks), (0, whole))
        self.assertTrue(by_a_person(self.relay, lines, "help", **marks)[1].startswith("paged:"))
        self.assertEqual(by_a_person(self.relay, 24, "help", PAGER="cat"), (0, whole))
        self.assertEqual(by_a_person(self.relay, 24, "help", PAGER=""), (0, whole))
        self.assertNotIn("paged:", on_terminal(self.relay, 80, "help"))  # nobody could leave the pager

    def test_who_leaves_the_pager_early_has_seen_enough(self):
        self.assertEqual(by_a_person(self.relay, 24, "help", PAGER="head -n 1")[0], 0)

    def test_colour_says_how_things_are_and_only_at_a_terminal_that_wants_it(self):
        self.assertRegex(by_a_person(self.relay, 24, "status")[1], "Health: +\x1b\\[")
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PAGER": "more"}):
            with self.subTest(environment):
                self.assertNotIn("\x1b", by_a_person(self.relay, 24, "status", **environment)[1])
        self.assertNotIn("\x1b", run(self.relay, "status")[1])

    def test_words_that_are_no_command_are_told_with_what_is_allowed(self):
        for arguments, words in ((("frobnicate",), "unknown command 'frobnicate'"), (("queue", "lst"), "queue list"),
                                 (("help", "frobnicate"), "unknown command 'frobnicate'"), ((), "hoplock help")):
            with self.subTest(arguments):
                code, out, err = run(self.relay, *arguments)
                self.assertEqual((code, out), (64, ""))
                self.assertIn(words, err)
        self.assertRegex(run(self.relay, "version")[1], r"^hoplock \d+\.\d+\.\d+")


class Queue(Case):
    def deferred_mail(self, domain, count=1, **how):
        ids = [self.send(f"user@{domain}", **how) for _ in range(count)]
        for ident in ids:
            self.relay.wait_log(event="deferred", id=ident)
        return ids

    def listed(self, *arguments):
        code, data = self.relay.tool("queue", "list", *arguments)
        self.assertEqual(code, 0)
        return data

    def state(self, ident):
        code, data = self.relay.tool("queue", "show", ident)
        return data["state"] if code == 0 else None

    def test_list_has_the_shape_of_the_contract(self):
        first, second = self.deferred_mail("later.test", 2, sender="shape@relay.test")
        data = self.listed("--sender", "<shape@RELAY.test>")
        self.assertEqual([message["id"] for message in data], [first, second], "oldest first")
        message = data[0]
        self.assertEqual((message["from"], message["state"]), ("shape@relay.test", "deferred"))
        self.assertRegex(message["received"], TIME)
        self.assertGreater(message["size"], 50)
        recipient, = message["recipients"]
        self.assertEqual((recipient["state"], recipient["attempts"], recipient["reason"]), ("deferred", 1, "smtp-reply"))
        self.assertRegex(recipient["next"], TIME)
        self.assertTrue(recipient["to"] == "user@later.test" and "not now" in recipient["reply"])

    def test_list_filters_and_what_matches_nothing_is_an_empty_list(self):
        ident, = self.deferred_mail("later2.test", sender="")
        self.assertIn(ident, [message["id"] for message in self.listed("--domain", "LATER2.test")])
        self.assertIn(("<>", ident), [(message["from"], message["id"]) for message in self.listed("--sender", "<>")])
        self.assertNotIn(ident, [message["id"] for message in self.listed("--state", "held")])
        self.assertEqual(self.listed("--domain", "nobody.example"), [])

    def test_hold_retry_release(self):
        ident, = self.deferred_mail("later.test")
        self.assertEqual(self.relay.tool("queue", "hold", ident)[1]["touched"], 1)
        self.relay.wait_log(event="held", id=ident, by="root")
        self.assertEqual(self.state(ident), "held")
        self.relay.tool("queue", "retry", ident)
        self.assertEqual(self.state(ident), "held", "retry leaves held messages held")
        mark = len(self.relay.lines)
        code, data = self.relay.tool("queue", "release", ident)
        self.assertEqual((code, data["touched"]), (0, 1))
        self.relay.wait_log(event="released", id=ident)
        self.relay.wait_log(since=mark, event="deferred", id=ident, attempt="2")

    def test_retry_is_an_attempt_now(self):
        ident, = self.deferred_mail("later.test")
        code, out, _ = run(self.relay, "queue", "retry", ident)
        self.assertEqual((code, out), (0, "1 message will be tried again now\n"))
        self.relay.wait_log(event="retried", id=ident)
        self.relay.wait_log(event="deferred", id=ident, attempt="2")

    def test_retry_ends_the_wait_for_a_destination_that_is_down(self):
        first = self.send("user@dead.test")
        self.relay.wait_log(event="deferred", id=first)
        second = self.send("user@dead.test")  # waits, for the destination is held off
        self.assertEqual(self.relay.tool("queue", "retry", "--domain", "dead.test")[1]["touched"], 2)
        self.relay.wait_log(event="deferred", id=second, reason="connect-refused")

    def test_remove_by_id_and_by_domain(self):
        first, second = self.deferred_mail("later2.test", 2, sender="remove@relay.test")
        self.assertEqual(self.relay.tool("queue", "remove", first)[1]["touched"], 1)
        self.assertIsNone(self.state(first))
        self.assertEqual(self.state(second), "deferred")
        code, data = self.relay.tool("queue", "remove", "--domain", "later2.test", "--yes")
        self.assertGreaterEqual(data["touched"], 1)
        self.assertEqual((code, self.listed("--domain", "later2.test")), (0, []))
        self.relay.wait_log(event="removed", ids=lambda ids: second in (ids or "").split(","))  # one line a batch

    def test_an_action_that_touches_nothing_is_exit_1(self):
        self.assertEqual(self.relay.tool("queue", "hold", NOBODY), (1, {"touched": 0, "recipients": 0, "active": 0}))
        self.assertEqual(self.relay.tool("queue", "remove", "--domain", "nobody.example", "--yes")[0], 1)
        self.assertEqual(run(self.relay, "queue", "show", NOBODY)[0], 1)

    def test_show_with_its_attempts_and_its_octets(self):
        body = "caf\xe9 \x1b[31m\r\nsecond line\r\n"
        ident, = self.deferred_mail("later.test", body=body)
        code, data = self.relay.tool("queue", "show", ident)
        self.assertEqual((code, data["id"], data["recipients"][0]["attempts"]), (0, ident, 1))
        self.assertEqual([one["reason"] for one in data["history"]], ["smtp-reply"])
        raw = subprocess.run([os.path.join(Stage.build, "hoplock"), "--config", self.relay.config, "queue", "show", ident, "--body"],
                             stdout=subprocess.PIPE, timeout=30, check=True).stdout
        self.assertTrue(raw.endswith(b"\r\n\r\n" + body.encode()), raw[-200:])
        self.assertIn(b"Received: from", raw)

    def test_no_control_characters_whatever_a_server_said(self):
        ident = self.send("user@esc.test")
        self.relay.wait_log(event="deferred", id=ident)
        for arguments in (("queue", "list"), ("--json", "queue", "list"), ("queue", "show", ident), ("--json", "queue", "show", ident)):
            _, out, err = run(self.relay, *arguments)
            self.assertIn("red", out)
            self.assertNotRegex(out + err, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_on_a_terminal_everything_fits_and_nothing_is_raw(self):
        ident = self.send("user@esc.test", body="\x1b[2J\x07 a long line " + 40 * "of words " + "\r\n", subject="\x1b]0;title\x07")
        self.relay.wait_log(event="deferred", id=ident)
        for arguments in (("queue", "list"), ("queue", "show", ident), ("queue", "show", ident, "--body"), ("check", "second.test")):
            text = on_terminal(self.relay, 70, *arguments)
            self.assertNotRegex(text, "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
            if "--body" in arguments:
                self.assertIn("Subject: ?]0;title?", text)
            else:
                self.assertLessEqual(max(len(line) for line in text.splitlines()), 70, text)

    def test_stats_count_by_state_and_by_domain(self):
        self.deferred_mail("later.test", 2)
        code, data = self.relay.tool("queue", "stats")
        self.assertEqual(code, 0)
        self.assertGreaterEqual(data["states"]["deferred"]["count"], 2)
        self.assertGreaterEqual(data["total"], 2)
        self.assertRegex(data["oldest"], TIME)
        row, = [row for row in data["domains"] if row["domain"] == "later.test"]
        self.assertGreaterEqual(row["count"], 2)
        self.assertEqual(row["reason"], "smtp-reply")

    def test_what_a_rate_keeps_back_says_so_and_until_when(self):
        self.send("user@slow.test")
        self.relay.wait_log(event="delivered", domain="slow.test")
        self.send("user@slow.test")
        end = time.monotonic() + 30
        while not (kept := [one for one in self.listed("--domain", "slow.test") if "rate" in one["recipients"][0]["why"]]):
            self.assertLess(time.monotonic(), end, self.listed())
            time.sleep(0.1)
        (message,) = kept
        self.assertEqual(message["recipients"][0]["why"], "the route's rate is used up (all mail for slow.test waits)")
        left = datetime.datetime.fromisoformat(message["recipients"][0]["next"]) - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(50 < left.total_seconds() / 60 <= 60, message)
        self.assertRegex(on_terminal(self.relay, 80, "queue", "list", "--domain", "slow.test"), r"queued +0  in 59m  user@slow\.test\n    .*rate is used up")
        (waits,) = self.relay.tool("trace", message["id"])[1][0]["waiting"]
        self.assertEqual(waits["next"], message["recipients"][0]["next"])

    def test_doctor_says_what_the_last_day_failed_with(self):
        self.deferred_mail("later.test")
        _, rows = self.relay.tool("doctor", timeout=90)
        texts = [one["text"] for one in rows if one["about"] == "last day"]
        self.assertTrue(any(re.fullmatch(r"\d+ attempts? failed for now since its start \S+ ago: smtp-reply", text) for text in texts), rows)

    def test_a_stopped_daemon_can_be_read_but_not_told(self):
        with Relay(self.world, Stage.build, SETTINGS, name="stopped", port=2727) as relay:
            self.assertEqual(relay.tool("queue", "list"), (0, []))
            ident = relay.send("user@later.test")
            relay.wait_log(event="deferred", id=ident)
            relay.stop()
            self.assertEqual([message["id"] for message in relay.tool("queue", "list")[1]], [ident])
            self.assertEqual(relay.tool("queue", "show", ident)[0], 0)
            self.assertEqual(relay.tool("queue", "stats")[1]["total"], 1)
            code, out, err = run(relay, "queue", "hold", ident)
            self.assertEqual((code, out), (69, ""))
            self.assertIn("not reachable", err)


class Check(Case):
    def test_check_says_what_a_delivery_would_meet(self):
        for domain, verdict, probes in CHECKS:
            with self.subTest(domain.name, publishes=domain.publishes):
                code, data = self.relay.tool("check", domain.name)
                self.assertEqual((data["verdict"], code), (verdict, 1 if verdict == "fail" else 0), data)
                found = [(mx["host"], mx["policy"], mx["dnssec"], probe["result"], probe["auth"]) for mx in data["mx"] for probe in mx["probes"]]
                self.assertEqual(found, [(domain.absolute(host).rstrip("."), *rest) for host, *rest in probes])
                self.assertEqual(data["domain"], domain.name)
                self.assertEqual((data["tls_rpt"] or {}).get("txt"), None)
                self.assertEqual(set((data["mta_sts"] or {}).values()) - {None}, set())

    def test_check_never_names_a_sender(self):
        self.relay.tool("check", "ee.test")
        for session in self.sessions("mx.ee.test"):
            self.assertNotIn("MAIL", session.verbs())

    def test_check_without_connecting(self):
        before = self.world.connections("mx.mismatch.test")
        code, data = self.relay.tool("check", "mismatch.test", "--no-connect")
        self.assertEqual((code, data["verdict"], data["mx"][0]["probes"]), (0, "dane", []), "what the domain publishes is in order")
        self.assertEqual(data["mx"][0]["tlsa_base"], "mx.mismatch.test")
        self.assertEqual(self.world.connections("mx.mismatch.test"), before)
        self.assertEqual(self.relay.tool("check", "bogustlsa.test", "--no-connect")[1]["verdict"], "fail")
        self.assertEqual(self.relay.tool("check", "open.lab", "--no-connect")[1]["verdict"], "opportunistic")

    def test_check_for_people(self):
        code, out, _ = run(self.relay, "check", "second.test")
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith("second.test: dane"))
        self.assertRegex(out, r"\n  10  mx1\.second\.test  secure  dane    - +1\n  20  mx2\.second\.test  secure  dane    - +1\n")
        self.assertRegex(out, r"\nmx1\.second\.test  127\.\S+ +TLSv1\.3  none +tlsa-invalid: no TLSA record matches")

    def test_check_of_what_does_not_exist(self):
        code, data = self.relay.tool("check", "nowhere-at-all.test")
        self.assertEqual((code, data["verdict"], data["mx"]), (1, "fail", []))

    def configured(self, **settings):
        """A configuration for the tool alone; `check` needs no daemon."""
        return Relay(self.world, Stage.build, settings, name=self.id().rsplit(".", 1)[-1], port=2828)

    def test_check_under_audit_is_still_about_what_is_published(self):
        code, data = self.configured(security={"dane": "audit"}).tool("check", "mismatch.test")
        probe = data["mx"][0]["probes"][0]
        self.assertEqual((code, data["verdict"], probe["result"]), (1, "fail", "tlsa-invalid"))
        self.assertIn("audit", probe["detail"])

    def test_check_follows_a_route(self):
        relay = self.configured(routes=[{"match": ["routed.example"], "hosts": ["mx.ee.test:25"], "tls": "dane-only", "note": "by hand"}])
        code, data = relay.tool("check", "routed.example")
        self.assertEqual((code, data["verdict"], data["note"], data["route"]), (0, "dane", "by hand", "mx.ee.test:25"))
        relay = self.configured(routes=[{"match": ["routed.example"], "hosts": ["mx.ee.test:25"], "tls": "none"}])
        code, data = relay.tool("check", "routed.example")
        self.assertEqual((code, data["verdict"], data["mx"][0]["policy"]), (0, "plaintext", "route"))


class Tlsa(Case):
    def record(self, *arguments):
        code, data = self.relay.tool("tlsa", *arguments)
        return code, data[0]

    def test_a_live_host_and_what_dns_holds(self):
        code, record = self.record("mx.ee.test")
        host = self.world.host("mx.ee.test")
        self.assertEqual((code, record["matches"], record["name"]), (0, True, "_25._tcp.mx.ee.test"))
        self.assertEqual((record["usage"], record["selector"], record["matching"]), (3, 1, 1))
        self.assertEqual(record["data"], host.certificate.association(1, 1).lower())
        self.assertEqual(self.record("mx.mismatch.test")[0], 1)
        self.assertEqual(self.record("mx.open.lab")[0], 1, "no TLSA in DNS")
        code, record = self.record("mx.smtps.test:587")
        self.assertEqual((code, record["name"]), (0, "_587._tcp.mx.smtps.test"))

    def test_an_address_under_a_name(self):
        ip = self.world.host("mx.ee.test").ip[0]
        self.assertEqual(self.record(ip, "--name", "mx.ee.test")[1]["matches"], True)
        self.assertEqual(self.record(f"[{ip}]:25")[0], 1, "an address has no TLSA records")

    def test_parameters(self):
        certificate = self.world.host("mx.ta.test").certificate
        for selector in (0, 1):
            for matching in (0, 1, 2):
                _, record = self.record("mx.ta.test", "--selector", str(selector), "--matching", str(matching))
                self.assertEqual(record["data"], certificate.association(selector, matching).lower())
        _, record = self.record("mx.ta.test", "--usage", "2")
        self.assertEqual(record["data"], self.world.authority.intermediate.association(1, 1).lower())

    def test_the_steps_of_a_change_to_the_next_certificate(self):
        own, other = (self.world.host(name).certificate.path for name in ("mx.ee.test", "mx.mismatch.test"))
        long_ago = ("--published", "2020-01-01T00:00:00Z", "--ttl", "1h")
        for arguments, code, state in (((other,), 1, "publish"), ((other, *long_ago), 1, "publish"), ((own,), 1, "wait"),
                                       ((own, *long_ago), 0, "done")):
            with self.subTest(arguments=arguments[1:], state=state):
                found, step = self.relay.tool("tlsa", "mx.ee.test", "--next", *arguments)
                self.assertEqual((found, step["state"], step["name"]), (code, state, "_25._tcp.mx.ee.test"), step)
        _, out, _ = run(self.relay, "tlsa", "mx.ee.test", "--next", other)
        self.assertIn("_25._tcp.mx.ee.test. IN TLSA 3 1 1 ", out)
        code, _, err = run(self.relay, "tlsa", "mx.open.lab", "--next", own)
        self.assertEqual(code, 1)
        self.assertIn("not signed", err)

    def test_a_file(self):
        host = self.world.host("mx.ee.test")
        code, record = self.record(host.certificate.path)
        self.assertEqual((code, record["data"], record["matches"]), (0, host.certificate.association(1, 1).lower(), None))
        self.assertEqual(run(self.relay, "tlsa", "/nonexistent.pem")[0], 74)
