# SPDX-License-Identifier: Apache-2.0
"""The operator's HTTP listener: metrics that a strict parser takes, health that turns red, a page that nobody can turn against its reader."""

import base64
import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import time

from case import Case, Domain, Host, Stage
from test_dns import WRONG_ANCHOR
from world import reports
from world.relay import Relay
from world.signing import SigningKey

KEY = SigningKey("relay.test", "s1", services="*")
TODAY = time.strftime("%Y-%m-%d", time.gmtime())
PORT = 9465

DOMAINS = [
    Domain("relay.test", "the submitter", mx=(), records=(KEY.zone_line(),), send=False),
    Domain("h01.test", "DANE that holds", hosts=(Host(tlsa=("3 1 1",)),), records=(reports.asks("mailto:no@box.test"),)),
    Domain("h02.test", "TLSA that does not match", hosts=(Host(tlsa=("3 1 1 wrong",)),)),
    Domain("h03.test", "refuses every recipient", hosts=(Host(smtp={"rcpt": {"user": '550 5.1.1 <script>alert("x")</script>'}}),)),
    Domain("h04.test", "puts every recipient off",
           hosts=(Host(smtp={"rcpt": {"user": "451 4.7.1 <img src=x onerror=alert(1)>\u202e & later"}}),)),
    Domain("box.test", "a report mailbox that is not there", hosts=(Host(smtp={"rcpt": {"no": "550 5.1.1 no such mailbox"}}),), send=False),
]


def SETTINGS(world):  # pylint: disable=invalid-name
    return {"http": {"address": f"127.0.0.1:{PORT}"}, "dkim": [KEY.settings(world)], "delivery": {"retry": {"first": "1h"}},
            "tls_rpt": {"enabled": True, "from": "tlsrpt@relay.test"}}


def get(path, port=PORT, method="GET", headers=()):
    """(status, headers, text)"""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode("utf-8")


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HEAD = re.compile(rf"^# (HELP|TYPE) ({NAME}) (\S.*)$")
SAMPLE = re.compile(rf"^({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text):
    """{(name, ((label, value), …)): number} of an exposition in text format 0.0.4, every rule of which is held."""
    assert text.endswith("\n") and "\r" not in text
    found, helps, types, family = {}, {}, {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            kind, family, value = HEAD.match(line).groups()
            seen = helps if kind == "HELP" else types
            assert family not in seen, f"twice: {line}"
            assert not any(name == family for name, _ in found), f"behind its samples: {line}"
            seen[family] = value
            assert kind == "HELP" or value in ("counter", "gauge", "histogram"), line
            continue
        name, inside, value = SAMPLE.match(line).groups()
        base = re.sub(r"_(bucket|sum|count)$", "", name) if types.get(family) == "histogram" else name
        assert base == family and family in helps and family in types, f"without its head: {line}"
        labels = tuple(LABEL.findall(inside or ""))
        assert sum(len(m.group(0)) for m in LABEL.finditer(inside or "")) == len(inside or ""), line
        assert len({label for label, _ in labels}) == len(labels), line
        assert (name, labels) not in found, f"twice: {line}"
        found[name, labels] = float(value)
    for family, kind in types.items():
        assert family.startswith("hoplock_"), family
        assert (kind == "counter") == family.endswith("_total"), family
        if kind == "histogram":
            buckets = [(float(dict(labels)["le"]), number) for (name, labels), number in found.items() if name == family + "_bucket"]
            assert buckets == sorted(buckets) and [n for _, n in buckets] == sorted(n for _, n in buckets), family
            assert buckets[-1] == (float("inf"), found[family + "_count", ()]), family
    return found


def metrics(port=PORT):
    status, headers, text = get("/metrics", port)
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(text)


class Http(Case):
    def setUp(self):
        for domain in ("h01.test", "h02.test", "h03.test", "h04.test"):
            self.outcome(domain)

    def wait(self, what, timeout=40):
        """The first true answer; the survey of the database is some seconds old."""
        end = time.monotonic() + timeout
        while not (answer := what()):
            self.assertLess(time.monotonic(), end, "it did not come")
            time.sleep(0.2)
        return answer

    def test_every_line_of_the_metrics_is_well_formed_and_says_what_the_log_says(self):
        found = metrics()
        for domain in ("h01.test", "h02.test", "h03.test", "h04.test"):
            line = self.outcome(domain)
            labels = tuple((key, line.get("event" if key == "outcome" else key, "")) for key in ("outcome", "policy", "tls", "auth", "reason"))
            self.assertGreaterEqual(found["hoplock_attempts_total", labels], 1, labels)

        def counted():  # as the log is written later, and mail goes on meanwhile
            now = metrics()
            sums = collections.Counter()
            for (name, _), number in now.items():
                sums[name] += number
            return ((sums["hoplock_attempts_total"], now["hoplock_delivery_delay_seconds_count", ()], sums["hoplock_messages_accepted_total"]),
                    tuple(len(self.relay.log(event=event)) for event in (("delivered", "deferred", "bounced", "expired"), "delivered", "accepted")))
        self.wait(lambda: len(set(counted())) == 1 or print("metrics and log:", *counted()), 10)
        self.assertGreater(found["hoplock_commit_seconds_count", ()], 0)
        self.assertEqual(found["hoplock_healthy", ()], 1)

    def test_the_labels_are_those_of_the_manual(self):
        page = pathlib.Path(__file__).parents[2].joinpath("daemon/man/hoplock-metrics.5").read_text("utf-8")
        told = {name: set(labels.split()) for name, labels in re.findall(r"(?m)^\.B (\w+)\n\(.*\n\.br\n\.I (.*)$", page)}
        for (name, labels), _ in metrics().items():
            family = name if f".B {name}\n" in page else re.sub("_(bucket|sum|count)$", "", name)
            self.assertIn(f".B {family}\n", page)
            self.assertEqual({label for label, _ in labels} - {"le"}, told.get(family, set()), name)

    def test_labels_hold_no_domain_and_no_address(self):
        # but for the names in our own certificates, which are ours and few
        text = "\n".join(line for line in get("/metrics")[2].splitlines() if not line.startswith("hoplock_certificate_expiry_"))
        for word in ("h01", "h02", "test\"", "user@", "127.0", "mx."):
            self.assertNotIn(word, text)

    def test_another_parser_takes_the_metrics_too(self):
        script = ("import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n"
                  "print(sum(len(f.samples) for f in parse(sys.stdin.read())))")
        text = get("/metrics")[2]
        done = subprocess.run(["/usr/bin/python3", "-c", script], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(int(done.stdout), len(parse(text)))

    def test_the_queue_is_counted_by_state(self):
        self.wait(lambda: metrics().get(("hoplock_queue_recipients", (("state", "deferred"),)), 0) >= 2)
        found = metrics()
        self.assertGreaterEqual(found["hoplock_queue_messages", ()], 2)
        self.assertGreater(found["hoplock_queue_oldest_seconds", ()], 0)

    def test_the_page_shows_what_waits_and_why_and_nothing_of_it_is_markup(self):
        page = self.wait(lambda: (seen := get("/")[2]) and "h04.test" in seen and "h02.test" in seen and seen)
        status, headers, _ = get("/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertIn("script-src 'self'; style-src 'self'; ", headers["Content-Security-Policy"])
        self.assertNotIn("unsafe", headers["Content-Security-Policy"])
        self.assertEqual(page.count("<script"), page.count('<script src="/page.js" defer></script>'))
        page = page.replace('<script src="/page.js" defer></script>', "")
        self.assertIn("tlsa-invalid", page)
        self.assertIn("dane-ee", page)
        for evil in ("<script", "<img", "onerror=alert(1)>", "javascript:"):
            self.assertNotIn(evil, page)

    def test_health_is_text_or_json_and_good(self):
        self.assertEqual((get("/healthz")[0], get("/healthz")[2]), (200, "ok\n"))
        status, headers, text = get("/healthz", headers={"Accept": "application/json"})
        self.assertEqual((status, headers["Content-Type"], json.loads(text)), (200, "application/json", {"status": "ok", "problems": []}))

    def test_only_reading_and_only_what_there_is(self):
        self.assertEqual(get("/nothing")[0], 404)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"):
            status, headers, _ = get("/", method=method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        status, headers, text = get("/metrics", method="HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertGreater(int(headers["Content-Length"]), 1000)

    def test_who_may_look_says_so_by_a_password_inside_tls_and_health_is_open(self):
        users = self.world.path("page-users")
        hashed = subprocess.run(["openssl", "passwd", "-6", "correct horse"], capture_output=True, check=True, text=True).stdout.strip()
        pathlib.Path(users).write_text(f"anna:{hashed}\n", encoding="utf-8")
        pair = self.world.authority.leaf("relay.test").path
        settings = {"http": {"address": "127.0.0.1:9472", "certificate": pair, "key": pair, "users_file": users}}
        context = ssl.create_default_context(cafile=self.world.authority.ca_file)
        context.check_hostname = False

        def status(path, login=None):
            headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
            with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", 9472, timeout=20, context=context)) as connection:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                return answer.status, answer.headers.get("WWW-Authenticate", "")

        with Relay(self.world, Stage.build, settings, "guarded", 2536):
            for path in ("/", "/metrics", "/domain/h01.test", "/find?q=h01.test", "/page.css", "/nothing"):
                self.assertEqual(status(path), (401, 'Basic realm="hoplock", charset="UTF-8"'), path)
            self.assertEqual(status("/healthz")[0], 200)
            for login in ("anna:wrong", "anna:", "otto:correct horse", ":", "anna"):
                self.assertEqual(status("/", login)[0], 401, login)
            self.assertEqual(status("/", "anna:correct horse")[0], 200)
            with self.assertRaises((OSError, http.client.HTTPException)):
                get("/healthz", 9472)  # in clear

    def test_a_page_that_is_asked_for_often_costs_one_hash_until_its_users_change(self):
        def hashed(password):  # some tenths of a second
            command = ["openssl", "passwd", "-6", "-salt", "rounds=400000$relaytest", password]
            return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

        users = pathlib.Path(self.world.path("costly-users"))
        users.write_text(f"anna:{hashed('first')}\n", encoding="utf-8")
        pair = self.world.authority.leaf("relay.test").path
        settings = {"http": {"address": "127.0.0.1:9474", "certificate": pair, "key": pair, "users_file": str(users)}}
        context = ssl.create_default_context(cafile=self.world.authority.ca_file)
        context.check_hostname = False

        def asked(password):
            """(status, seconds)"""
            start = time.monotonic()
            headers = {"Authorization": "Basic " + base64.b64encode(f"anna:{password}".encode()).decode()}
            with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", 9474, timeout=20, context=context)) as connection:
                connection.request("GET", "/page.css", headers=headers)
                return connection.getresponse().status, time.monotonic() - start

        with Relay(self.world, Stage.build, settings, "costly", 2545) as relay:
            status, first = asked("first")
            self.assertEqual(status, 200)
            again = [asked("first") for _ in range(20)]
            self.assertEqual({status for status, _ in again}, {200})
            self.assertLess(sum(seconds for _, seconds in again), 10 * first)
            users.write_text(f"anna:{hashed('second')}\n", encoding="utf-8")
            self.assertEqual(relay.reload()["ok"], "true")
            self.assertEqual(asked("first")[0], 401)
            self.assertEqual(asked("second")[0], 200)

    def test_behind_a_proxy_its_header_lets_in_and_nothing_else_does(self):
        settings = {"http": {"address": "127.0.0.1:9473", "trusted_proxy_header": "X-Forwarded-User", "hosts": ["page.relay.test"]}}
        with Relay(self.world, Stage.build, settings, "proxied", 2537):
            self.assertEqual(get("/", 9473)[0], 401)
            self.assertEqual(get("/", 9473, headers={"X-Forwarded-User": ""})[0], 401)
            self.assertEqual(get("/", 9473, headers={"X-Forwarded-User": "anna", "Host": "page.relay.test"})[0], 200)
            self.assertEqual(get("/", 9473, headers={"X-Forwarded-User": "anna", "Host": "evil.example"})[0], 421)
            self.assertEqual(get("/healthz", 9473)[0], 200)

    def test_hostile_searches_get_a_page_in_time_whatever_they_are(self):
        words = ("%00", "%ff%fe", "a" * 7000, "%", "%%%", "../../etc/passwd", "'%20OR%201=1--", "@", "a@", "@h01.test", "%25", "*", "%E2%80%AE@x",
                 "(" * 300, "xn--" + "a" * 60, "." * 200, "x" * 319 + "@")
        for word in words:
            start = time.monotonic()
            status, headers, text = get("/find?q=" + word)
            self.assertIn(status, (200, 303, 404), word)
            self.assertLess(time.monotonic() - start, 2, word)
            self.assertNotIn("\n", headers.get("Location", ""))
            self.assertNotIn("<script>", text)
        self.assertEqual(self.relay.log(event="internal-error"), [])

    def test_hostile_clients_keep_the_monitoring_waiting_for_nothing(self):
        crowd = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(200)]
        for i, one in enumerate(crowd):
            with contextlib.suppress(OSError):
                one.sendall((b"", b"GET /", b"\0" * 100, b"GET / HTTP/1.1\r\nHost: " + b"a" * 20000, b"EHLO x\r\n")[i % 5])
        start = time.monotonic()
        self.assertEqual(get("/healthz")[0], 200)
        self.assertLess(time.monotonic() - start, 5)
        for one in crowd:
            one.close()
        self.assertEqual(self.relay.log(event="internal-error"), [])

    def test_clients_that_read_nothing_or_never_end_a_request_keep_nobody_out(self):
        """64 who ask for more than they take, then 64 whose request comes octet by octet; whoever comes then is answered at once."""
        with contextlib.ExitStack() as stack:
            deaf = []
            for _ in range(64):
                one = stack.enter_context(contextlib.closing(socket.socket()))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect(("127.0.0.1", PORT))
                one.setblocking(False)
                deaf.append(one)
            request = b"GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
            quiet = 0  # rounds in which nobody took a request any more: all are stuck in an answer
            while quiet < 3:
                _, writable, _ = select.select([], deaf, [], 0.1)
                quiet = 0 if writable else quiet + 1
                for one in writable:
                    try:
                        one.send(request)
                    except BlockingIOError:
                        pass
                    except OSError:
                        deaf.remove(one)
            self.assertGreater(len(deaf), 60)
            for path in ("/healthz", "/metrics", "/"):
                start = time.monotonic()
                self.assertEqual(get(path)[0], 200)
                self.assertLess(time.monotonic() - start, 3, path)
            slow = [stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", PORT)))) for _ in range(64)]
            for octet in b"GET /healthz HTTP/1.1\r\nHost: l":
                for one in slow:
                    with contextlib.suppress(OSError):
                        one.sendall(bytes([octet]))
                start = time.monotonic()
                self.assertEqual(get("/healthz")[0], 200)
                self.assertLess(time.monotonic() - start, 3)
        self.assertEqual(self.relay.log(event="internal-error"), [])

    def test_DNS_04_health_turns_red_while_validation_does_not_work(self):
        settings = {"http": {"address": "127.0.0.1:9466"}, "dns": {"trust_anchor": self.world.write("http-wrong.key", WRONG_ANCHOR)}}
        with Relay(self.world, Stage.build, settings, "blind", 2530) as blind:
            blind.wait_log(30, event="dnssec-failed")
            status, _, text = get("/healthz", 9466)
            self.assertEqual(status, 503)
            self.assertRegex(text, "^dnssec: our own DNSSEC validation does not work")
            self.assertEqual(metrics(9466)["hoplock_problem", (("problem", "dnssec"),)], 1)
            self.assertEqual(metrics(9466)["hoplock_healthy", ()], 0)
            self.assertIn("dnssec", get("/", 9466)[2])

    def test_a_damaged_body_turns_health_red_until_it_is_removed(self):
        settings = {"http": {"address": "127.0.0.1:9467"}, "delivery": {"retry": {"first": "1h"}}}
        relay = Relay(self.world, Stage.build, settings, "rotten", 2531).start()
        lost = relay.send("user@h04.test", body="x" * 5000 + "\r\n")
        relay.outcome("user@h04.test")
        self.assertEqual(relay.stop(), 0)
        with contextlib.closing(sqlite3.connect(self.world.path("rotten/data/queue.db"))) as database:
            self.assertEqual(database.execute("UPDATE chunk SET data = zeroblob(length(data))").rowcount, 1)
            database.commit()
        with relay:
            self.assertEqual(relay.tool("queue", "retry", lost)[0], 0)
            mark = relay.wait_log(20, event="body-damaged", id=lost)
            self.assertEqual(mark["level"], "error")
            status, _, text = get("/healthz", 9467)
            self.assertEqual(status, 503, text)
            self.assertRegex(text, f"^damaged: .*{lost}")
            self.assertEqual(relay.tool("queue", "show", lost)[1]["state"], "held")
            self.assertEqual(relay.tool("queue", "remove", lost)[0], 0)
            self.wait(lambda: get("/healthz", 9467)[0] == 200)

    def test_below_min_free_space_health_is_red(self):
        with Relay(self.world, Stage.build, {"http": {"address": "127.0.0.1:9468"}}, "full", 2532) as relay:
            self.assertEqual(get("/healthz", 9468)[0], 200)
            free = os.statvfs(relay.directory)
            relay.settings["limits"]["min_free_space"] = f"{free.f_bavail * free.f_frsize // 2**20 + 2**20}MiB"
            relay.write_config()
            self.assertEqual(relay.reload()["ok"], "true")
            status, _, text = get("/healthz", 9468)
            self.assertEqual(status, 503)
            self.assertRegex(text, "^disk-space: ")

    def test_an_address_that_cannot_be_had_stops_no_mail_and_is_served_once_it_is_free(self):
        holder = socket.create_server(("127.0.0.1", 9471))
        relay = Relay(self.world, Stage.build, {"http": {"address": "127.0.0.1:9471"}}, "second", 2533)
        with holder, relay:
            line = relay.wait_log(10, event="listener-failed")
            self.assertRegex(line["error"], r"^cannot listen on 127\.0\.0\.1:9471: .*; it is tried again until it works$")
            _, status = relay.tool("status")
            self.assertIn("listeners", str(status["problems"]))
            holder.close()
            relay.wait_log(10, event="listener-works", listener="127.0.0.1:9471")
            self.assertEqual(get("/healthz", 9471)[0], 200)
            for address, works in ((f"127.0.0.1:{PORT}", False), ("127.0.0.1:9469", True), ("127.0.0.1:9470", True)):
                relay.settings["http"]["address"] = address
                relay.write_config()
                self.assertEqual(relay.reload()["ok"], "true")
                if not works:
                    relay.wait_log(10, event="listener-failed", listener=address)
            self.assertEqual(get("/healthz", 9470)[0], 200)
            with self.assertRaises(OSError):
                get("/healthz", 9469)

    def test_RPT_40_a_report_that_its_mailbox_rejects_makes_no_notice_and_no_report_but_one_metric(self):
        failed = ("hoplock_tlsrpt_total", (("action", "failed"),))
        before = metrics()[failed]
        mark = len(self.relay.lines)
        self.assertEqual(self.relay.tool("tlsrpt", "send", "--day", TODAY, "--domain", "h01.test")[0], 0)
        line = self.relay.wait_log(30, mark, event="bounced", to="no@box.test")
        self.relay.wait_log(10, mark, event="tlsrpt", action="failed", rua="mailto:no@box.test")
        self.assertEqual(metrics()[failed], before + 1)
        self.assertEqual(self.relay.log(mark, **{"from": "<>"}), [])  # nobody is told
        self.assertEqual(self.relay.log(mark, event="notice-dropped"), [])
        code, shown = self.relay.tool("queue", "show", line["id"])
        self.assertEqual(code, 1, shown)
        self.assertEqual(self.relay.tool("tlsrpt", "show", "--day", TODAY, "--domain", "box.test")[0], 1)  # nothing was counted there

    def test_RPT_40_what_bounces_back_to_the_sender_of_reports_is_thrown_away_and_counted(self):
        before = metrics()["hoplock_tlsrpt_bounces_total", ()]
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=20) as client:
            client.ehlo()
            self.assertEqual(client.mail("")[0], 250)
            self.assertEqual(client.rcpt("tlsrpt@relay.test")[0], 250)
            code, reply = client.data(b"From: <>\r\nSubject: Undelivered Mail Returned to Sender\r\n\r\nhello\r\n")
            self.assertEqual((code, reply), (250, b"2.0.0 Ok: discarded"))
        self.assertEqual(metrics()["hoplock_tlsrpt_bounces_total", ()], before + 1)
        self.assertEqual([one for one in self.relay.tool("queue", "list")[1] if one["from"] == "<>"], [])
