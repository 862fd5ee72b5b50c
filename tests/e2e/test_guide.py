# SPDX-License-Identifier: Apache-2.0
"""The Exchange guide taken at its word: the listeners and routes that it prints, the commands that it tells people to type."""

import pathlib
import re
import shlex
import shutil
import subprocess
import unittest

import yaml
from case import Case, Domain, Host
from world import ns

ROOT = pathlib.Path(__file__).parent.parent.parent
GUIDE = (ROOT / "conf/exchange/README.md").read_text("utf-8")
RELAY, EXCHANGE = "192.0.2.25", "192.0.2.10"
PASSWORD = "correct horse"
DOMAINS = [
    Domain("good.test", "DANE", hosts=(Host(tlsa=("3 1 1",)),), send=False),
    Domain("broken.test", "a record that does not match", hosts=(Host(tlsa=("3 1 1 wrong",)),), send=False),
    Domain("plain.test", "TLSA, no STARTTLS", hosts=(Host(tlsa=("3 1 1",), smtp={"starttls": "none"}),), send=False),
]


def blocks(kind):
    return [block for block in re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)]


def listeners():
    return next(found["listeners"] for found in map(yaml.safe_load, blocks("yaml")) if "listeners" in found)


def routes():
    """The guide's routes, as an address is led by each block of them."""
    return [found["routes"] for found in map(yaml.safe_load, blocks("yaml")) if "routes" in found]


def commands(program):
    return [line.strip() for line in GUIDE.splitlines() if line.startswith(f"    {program} ")]


def settings(world):
    for address in (RELAY, EXCHANGE, "192.0.2.99"):
        ns.add_address(f"{address}/32")
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, check=True, text=True).stdout.strip()
    files = {"users": f"exchange:{hashed}\n"}
    for name, person in (("relay", "relay.contoso.com"), ("exch01", "exch01.contoso.com")):
        files[f"{name}.pem"] = files[f"{name}.key"] = pathlib.Path(world.authority.leaf(person).path).read_text("utf-8")
    # swaks shows its own certificate and none above it, so the file needs every authority between
    files["contoso-ca.pem"] = pathlib.Path(world.authority.ca_file).read_text("utf-8") + files["exch01.pem"].split("-----END CERTIFICATE-----\n", 1)[1]
    directory = pathlib.Path(world.path("relay"))
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, "utf-8")
    return {"listeners": listeners(), "security": {"dane": "audit"}, "routes": [route for block in routes() for route in block]}


SETTINGS = settings


class Guide(Case):
    def type(self, command, recipient, *more):
        """A line of swaks as the guide has it, from the Exchange server's address."""
        words = shlex.split(command.split("#")[0])
        replaced = {"SECRET": PASSWORD, "you@example.org": recipient}
        words = [replaced.get(word, word).replace("relay.contoso.com", RELAY) for word in words]
        interface = [] if "--local-interface" in more else ["--local-interface", EXCHANGE]
        done = subprocess.run([*words, *interface, *more], cwd=self.relay.directory, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    @unittest.skipUnless(shutil.which("swaks"), "swaks is not installed")
    def test_SUB_24_the_three_set_ups_work_as_they_are_written(self):
        typed = commands("swaks")
        self.assertEqual(len(typed), 3)
        for number, command in enumerate(typed, 1):
            with self.subTest(command):
                code, said = self.type(command, f"way{number}@good.test")
                self.assertEqual(code, 0, said)
                self.assertIn(" TLSv1.", said)
                self.relay.wait_log(20, event="delivered", to=f"way{number}@good.test")
        self.assertEqual(self.relay.wait_log(10, event="accepted", user="exchange")["client"], EXCHANGE)

    @unittest.skipUnless(shutil.which("swaks"), "swaks is not installed")
    def test_SUB_01_none_of_them_is_an_open_relay(self):
        first, second, third = commands("swaks")
        for command, more in ((first, ("--local-interface", "192.0.2.99")), (first, ("--from", "ann@elsewhere.example")),
                              (second.replace("SECRET", "guess"), ()), (re.sub(r"--auth.*SECRET", "", second), ()),
                              (re.sub(r"--tls-cert.*exch01.key", "", third), ()), (third.replace("exch01", "relay"), ())):
            with self.subTest(command):
                code, said = self.type(command, "nobody@good.test", *more)
                self.assertNotEqual(code, 0, said)
                self.assertNotIn("queued as", said)
        self.assertEqual(self.relay.log(event="accepted", to="nobody@good.test"), [])

    def test_the_routes_lead_where_it_says(self):
        data = self.relay.tool("check", "--route", "ann@eu.contoso.com")[1]
        self.assertEqual(data["route"]["position"], 1)
        self.assertEqual([host["host"] for host in data["hosts"]], ["exch01.contoso.local", "exch02.contoso.local"])
        self.assertIsNone(self.relay.tool("check", "--route", "ann@contoso.mail.onmicrosoft.com")[1].get("route"),
                          "hybrid mail is none of the relay's routes")

    def test_the_audit_log_is_read_as_it_is_written(self):
        for recipient in ("a@broken.test", "b@broken.test", "c@plain.test"):
            with self.subTest(recipient):
                code, said = self.type(commands("swaks")[0], recipient)
                self.assertEqual(code, 0, said)
                self.relay.wait_log(20, event="delivered", to=recipient)
        pipeline = commands("journalctl")[0].split("|", 1)[1]
        done = subprocess.run(["sh", "-c", pipeline], input="\n".join(self.relay.raw), capture_output=True, text=True, check=True)
        self.assertEqual([line.split() for line in done.stdout.splitlines()],
                         [["2", "broken.test", "tlsa-invalid"], ["1", "plain.test", "starttls-not-supported"]])

    def test_every_command_of_the_tool_is_one(self):
        for command in commands("hoplock"):
            with self.subTest(command):
                words = shlex.split(command.split("#")[0])[1:]
                code, _, err = self.relay.text(*words, timeout=60)
                self.assertNotEqual(code, 64, err)

    def test_every_powershell_line_uses_cmdlets_and_parameters_that_exist(self):
        """PowerShell is not in Debian: what Microsoft's reference lists for each cmdlet that the guide uses."""
        known = {
            "New-SendConnector": "Name Usage AddressSpaces DNSRoutingEnabled SmartHosts Port SourceTransportServers MaxMessageSize "
                                 "ProtocolLoggingLevel SmartHostAuthMechanism AuthenticationCredential RequireTLS TlsCertificateName",
            "Set-SendConnector": "Identity AddressSpaces Enabled SmartHosts Port DNSRoutingEnabled MaxMessageSize RequireTLS TlsAuthLevel TlsDomain",
            "Get-SendConnector": "Identity", "Get-Queue": "Identity Server",
            "Get-MessageTrackingLog": "EventId Source Recipients Start End Sender Server",
            "New-ReceiveConnector": "Name Server TransportRole Custom Bindings RemoteIPRanges PermissionGroups",
            "Get-ExchangeCertificate": "Thumbprint", "Enable-ExchangeCertificate": "Thumbprint Services", "Start-EdgeSynchronization": "",
            "Test-NetConnection": "ComputerName Port", "Format-Table": "AutoSize", "Format-List": "", "Get-Credential": "",
            "Get-ChildItem": "", "Export-Certificate": "FilePath",
        }
        seen = set()
        for block in blocks("powershell"):
            for line in re.sub(r"`\n\s*", "", block).splitlines():
                line = re.sub(r"#.*", "", line)
                for part in re.split(r"[|;(]|(?<==) ", re.sub(r'"[^"]*"', '""', line)):
                    cmdlet = re.search(r"\b([A-Z]\w+-[A-Z]\w+)", part)
                    if not cmdlet:
                        continue
                    with self.subTest(line):
                        self.assertIn(cmdlet[1], known)
                        for parameter in re.findall(r"(?<=\s)-([A-Z]\w+)", part):
                            self.assertIn(parameter, known[cmdlet[1]].split(), cmdlet[1])
                        seen.add(cmdlet[1])
                self.assertEqual(line.count('"') % 2, 0, line)
                self.assertEqual(line.count("("), line.count(")"), line)
        self.assertGreater(len(seen), 10)

    def test_readme_is_for_a_newcomer_and_its_links_lead_somewhere(self):
        text = (ROOT / "README.md").read_text("utf-8")
        self.assertLess(len(text.encode()), 8 * 1024)
        for path in re.findall(r"\]\(([^)#]+)\)", text):
            self.assertTrue((ROOT / path).exists(), path)
        for script in re.findall(r"^    (scripts/\w+)", text, re.MULTILINE):
            self.assertTrue((ROOT / script).exists(), script)
        for line in re.findall(r"^    (hoplock .*)", text, re.MULTILINE):
            code, _, err = self.relay.text(*shlex.split(line.split("#")[0])[1:], timeout=60)
            self.assertNotEqual(code, 64, f"{line}: {err}")
