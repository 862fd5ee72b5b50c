#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what is written for people against the sources: man pages, dashboard, alerts. documents_test.py BUILD"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(sys.argv.pop()).resolve()


def sources():
    return "\n".join(path.read_text("utf-8") for part in ("lib", "daemon") for path in sorted((ROOT / part).rglob("*.cpp")))


class Documents(unittest.TestCase):
    def test_made_pages_are_up_to_date(self):
        done = subprocess.run([ROOT / "scripts/manual", "--check", "--build", BUILD], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_page_of_the_daemon_has_the_options_that_it_says_to_have(self):
        done = subprocess.run([BUILD / "hoplockd", "--help"], capture_output=True, text=True, check=True)
        page = (ROOT / "daemon/man/hoplockd.8").read_text("utf-8").replace("\\-", "-")
        said = re.findall(r"^  (--[a-z]+)", done.stdout, re.MULTILINE)
        self.assertEqual(said, re.findall(r"^\.BI? (--[a-z]+)", page.split(".SH OPTIONS")[1].split(".SH ")[0], re.MULTILINE))
        self.assertEqual(said, re.findall(r"\[(--[a-z]+)", done.stdout.splitlines()[0]))
        self.assertEqual(said, re.findall(r"\[ (--[a-z]+)", page.split(".SH DESCRIPTION")[0]))

    def test_completion_offers_the_commands_and_options_of_the_tool(self):
        def offered(*words):
            orders = 'source conf/completion/hoplock.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hoplock; printf "%s\\n" "${COMPREPLY[@]}"'
            environment = os.environ | {"PATH": f"{BUILD}:{os.environ['PATH']}"}
            done = subprocess.run(["bash", "-c", orders, "bash", "hoplock", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            return done.stdout.split()

        page = (ROOT / "daemon/man/hoplock.1").read_text("utf-8").split(".SH COMMANDS")[1].split(".SH OPTIONS")[0].replace("\\-", "-")
        commands = [name.strip() for name in re.findall(r"^\.B ([a-z ]+)", page, re.MULTILINE)]
        self.assertGreater(len(commands), 30)
        self.assertEqual(offered(""), sorted({name.split()[0] for name in commands}))
        self.assertEqual(sorted(offered("--config", "x", "queue", "")), sorted(name.split()[1] for name in commands if name.startswith("queue ")))
        self.assertLess({"--domain", "--body", "--yes", "--json", "--config"}, set(offered("queue", "--")))
        self.assertEqual(offered("dkim", "new", "--ed"), ["--ed25519"])

    def test_every_event_is_in_the_page_of_the_log(self):
        page = (ROOT / "daemon/man/hoplock-log.5").read_text("utf-8").replace("\\-", "-")
        named = set(re.findall(r"^\.B ([a-z-]+)$", page.split(".SH KEYS")[0], re.MULTILINE))
        written = set(re.findall(r'Event(?: \w+)?\([^;{]*?Level::\w+(?: : Level::\w+)?, "([a-z-]+)"', sources()))
        self.assertGreater(len(written), 30)
        self.assertEqual(sorted(written - named), [], "events that the page lacks")

    def test_every_key_and_level_of_an_event_is_in_the_page_of_the_log(self):
        """By function: a key that is added in one belongs to an event made there, or, where none is made, to the page at all."""
        page = (ROOT / "daemon/man/hoplock-log.5").read_text("utf-8").replace("\\-", "-")
        events, explained = page.split(".SH KEYS")
        levels, keys = {}, {}
        for name, text in re.findall(r"^\.TP\n\.B ([a-z-]+)\n(.*?)(?=^\.TP|\Z)", events, re.MULTILINE | re.DOTALL):
            levels[name] = set(re.findall(r"\((trace|debug|info|warn|error)\)", text))
            keys[name] = set(" ".join(re.findall(r"^\.I (.*)$", text, re.MULTILINE)).split())
        anywhere = set().union(*keys.values()) | set(re.findall(r"[a-z_]+", " ".join(re.findall(r"^\.B (.*)$", explained, re.MULTILINE))))
        missing, functions = [], 0
        for path in [*sorted((ROOT / "lib").rglob("*.cpp")), *sorted((ROOT / "daemon").rglob("*.cpp"))]:
            if path.relative_to(ROOT).as_posix() == "lib/store/stored.cpp":
                continue  # it makes what `trace` shows, and no line
            for function in path.read_text("utf-8").split("\n}\n"):
                made = re.findall(r'Event(?: \w+)?\(([^;{]*?), "([a-z-]+)"', function)
                added = set(re.findall(r'\badd(?:_bare)?\(\s*"([a-z_]+)"', function)) if made or "Event&" in function else set()
                functions += bool(added)
                known = set().union(*(keys.get(name, set()) for _, name in made)) if made else anywhere
                missing += [f"{path.name}: key {key} of {[name for _, name in made]}" for key in sorted(added - known)]
                for level, name in made:
                    wrong = set(re.findall(r"Level::(\w+)", level)) - levels.get(name, set())
                    missing += [f"{path.name}: level {one} of {name}" for one in sorted(wrong)]
        self.assertGreater(functions, 30)
        self.assertEqual(missing, [])

    def test_every_metric_and_its_type_is_in_the_page_of_the_metrics(self):
        text = sources()
        made = {name: kind for kind, name in re.findall(r'\bto\.(counter|gauge)\(\s*"(hoplock_[a-z_]+)"', text)}
        made |= dict(re.findall(r'\bto\.family\(\s*"(hoplock_[a-z_]+)",\s*(?:Exposition::)?Type::([a-z]+)', text))
        made |= {name: "counter" for name in re.findall(r'\{\s*"(hoplock_[a-z_]+)",', text)}
        self.assertEqual(set(re.findall(r'"(hoplock_[a-z_]+)"', text)) - set(made), set(), "made in a way that this test does not know")
        page = (ROOT / "daemon/man/hoplock-metrics.5").read_text("utf-8")
        self.assertEqual(made, dict(re.findall(r"^\.TP\n\.B (hoplock_[a-z_]+)\n\((counter|gauge|histogram)\) ", page, re.MULTILINE)))

    @unittest.skipUnless(shutil.which("man"), "man is not installed")
    def test_pages_have_no_warnings(self):
        for page in sorted((ROOT / "daemon/man").iterdir()):
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True, check=False)
            self.assertEqual(done.stderr, "", page.name)

    def test_dashboard_and_alerts_use_metrics_that_exist(self):
        known = set(re.findall(r'"(hoplock_[a-z_]+)"', sources()))
        dashboard = json.loads((ROOT / "conf/prometheus/grafana.json").read_text("utf-8"))
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        expressions += re.findall(r"expr: (.*)", (ROOT / "conf/prometheus/alerts.yml").read_text("utf-8"))
        for expression in expressions:
            for metric in re.findall(r"hoplock_[a-z_]+", expression):
                self.assertTrue({metric, metric.removesuffix("_bucket")} & known, f"{metric} in {expression}")

    def test_what_an_alert_watches_is_on_the_dashboard(self):
        panels = json.loads((ROOT / "conf/prometheus/grafana.json").read_text("utf-8"))["panels"]
        shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
        watched = re.findall(r"expr: (.*)", (ROOT / "conf/prometheus/alerts.yml").read_text("utf-8"))
        for metric in sorted(set(re.findall(r"hoplock_[a-z_]+", " ".join(watched)))):
            self.assertRegex(shown, rf"\b{metric}\b")

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_alerts_fire_when_they_should(self):
        done = subprocess.run(["promtool", "test", "rules", "alerts_test.yml"], cwd=ROOT / "conf/prometheus", capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_container_runs_what_the_package_installs(self):
        text = (ROOT / "conf/container/Containerfile").read_text("utf-8")
        orders = dict(re.findall(r"^([A-Z]+) (.*(?:\n .*)*)", text, re.MULTILINE))
        user = re.search(r"^u (\S+) ", (ROOT / "systemd/hoplock.sysusers").read_text("utf-8"), re.MULTILINE)[1]
        self.assertEqual(orders["USER"], f"{user}:{user}")
        self.assertEqual(json.loads(orders["ENTRYPOINT"]), ["/usr/sbin/hoplockd", "--config", "/etc/hoplock/hoplock.yaml"])
        self.assertEqual(json.loads(orders["HEALTHCHECK"].split("CMD ")[1]), ["/usr/bin/hoplock", "status"])
        data = re.search(r"^data_dir: (\S+)", (ROOT / "conf/hoplock.yaml").read_text("utf-8"), re.MULTILINE)[1]
        self.assertEqual(orders["VOLUME"], data)
        self.assertLess(text.index("RUN apt-get"), text.index("USER "), "installed by root, run by the user")
        self.assertEqual(orders["COPY"].split()[0], "hoplock.deb")
        self.assertIn("context/hoplock.deb", (ROOT / "scripts/image").read_text("utf-8"))

    def test_the_guide_to_evidence_names_what_the_audit_has(self):
        view, report = ((ROOT / "daemon/tool" / name).read_text("utf-8") for name in ("audit_view.cpp", "audit_report.cpp"))
        columns = set(re.findall(r'"([a-z]+)"', re.search(r"columns\{(.*?)\};", view, re.DOTALL)[1])) | {"kind"}
        kinds = set(re.findall(r'"([a-z]+)"', re.search(r"last_kind \+ 1> words\{(.*?)\};", report, re.DOTALL)[1]))
        words = set(re.findall(r'"([a-z0-9-]+)"', sources() + (ROOT / "lib/statistics/rows.h").read_text("utf-8")))
        named = re.findall(r"`([a-z_]+)=([A-Za-z0-9.-]+)`", (ROOT / "conf/exchange/evidence.md").read_text("utf-8"))
        self.assertGreater(len(named), 10)
        for column, value in named:
            self.assertIn(column, columns, value)
            self.assertIn(value, kinds if column == "kind" else words, column)

    def test_examples_are_good_configurations(self):
        for path in [*sorted((ROOT / "conf/examples").glob("*.yaml")), ROOT / "conf/hoplock.yaml"]:
            done = subprocess.run([BUILD / "hoplockd", "--check", "--config", path], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, f"{path.name}: {done.stderr}")


if __name__ == "__main__":
    unittest.main()
