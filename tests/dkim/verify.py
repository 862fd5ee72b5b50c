#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other people's verifiers judge our signatures: Python's dkim package and Perl's Mail::DKIM, each over odd messages, with an RSA and an
Ed25519 key (which Debian 12's Mail::DKIM does not know yet), fed to the signer in several splits; and both must refuse what was
changed on the way.

Usage: verify.py DKIM_SIGN    (the program that tests/dkim/sign.cpp makes)
"""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import dkim

SIGN = Path(sys.argv.pop(1)).resolve()
DOMAIN = "example.net"
HEADER = (b"Received: from a by b; Sat, 1 Mar 2025 00:00:00 +0000\r\nFrom: Ann <ann@example.net>\r\n"
          b"To: bob@example.com,\r\n\tcarol@example.com\r\nSubject: a  folded\r\n subject \t\r\nMIME-Version: 1.0\r\n"
          b"Content-Type: text/plain;\r\n\tcharset=utf-8\r\nCc: d@example.com\r\nCc: e@example.com\r\n")
BODIES = {
    "empty": b"", "one empty line": b"\r\n", "blank lines": b"\r\n\r\n \t\r\n\t\r\n", "no final line end": b"text",
    "blanks at line ends": b"a  \r\n\tb\t \r\n", "many tabs": b"\t\ta\t\t \tb\t\r\n", "blank lines at the end": b"a\r\n\r\n\r\n",
    "blank lines at the start": b"\r\n\r\na\r\n", "utf-8": "žluťoučký kůň\r\n".encode(), "dots": b".\r\n..\r\n.a\r\n",
    "long": b"x" * 5000 + b"\r\n" + b"y z\t" * 9000 + b"\r\n",
}
PERL = r"""
use Mail::DKIM::Verifier;
my %record = map { split / /, $_, 2 } split /\n/, $ENV{RECORDS};
no warnings 'redefine';
*Mail::DKIM::PublicKey::fetch_async = sub {
  my ($class, %prms) = @_;
  my $key = $class->parse($record{$prms{Selector}});
  $key->{Selector} = $prms{Selector};
  $key->{Domain} = $prms{Domain};
  $key->check;
  return sub { $prms{Callbacks}{Success}->($key) };
};
my $verifier = Mail::DKIM::Verifier->new();
binmode STDIN; local $/; my $text = <STDIN>; $verifier->PRINT($text); $verifier->CLOSE;
print join(' ', map { $_->algorithm . '=' . $_->result } $verifier->signatures);
"""


class Verifiers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.keys = []
        for selector, kind in ("rsa1", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]), ("ed1", ["ED25519"]):
            path = f"{cls.folder.name}/{selector}.pem"
            subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", *kind, "-out", path], check=True, stderr=subprocess.DEVNULL)
            cls.keys += [selector, path]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def sign(self, message, step=65536):
        done = subprocess.run([SIGN, DOMAIN, str(step), *self.keys], input=message, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.records = dict(line.split(" ", 1) for line in done.stderr.decode().splitlines())
        return done.stdout

    def python(self, message):
        """What Python's dkim says of each signature."""
        find = lambda name, timeout=5: self.records[name.decode().split(".")[0]].encode()
        return [dkim.DKIM(message).verify(idx=index, dnsfunc=find) for index in (0, 1)]

    def perl(self, message):
        env = {"RECORDS": "\n".join(" ".join(pair) for pair in self.records.items()), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["/usr/bin/perl", "-e", PERL], input=message, capture_output=True, env=env)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode()

    def test_both_accept_every_body_in_every_split(self):
        for name, body in BODIES.items():
            for step in (1, 5, 65536):
                with self.subTest(name, step=step):
                    message = self.sign(HEADER + b"\r\n" + body, step)
                    self.assertEqual(self.python(message), [True, True])
                    if step == 65536:
                        self.assertEqual(self.perl(message), "rsa-sha256=pass ed25519-sha256=invalid")

    def test_both_refuse_what_was_changed(self):
        good = self.sign(HEADER + b"\r\nbody\r\n")
        for name, bad in {
            "a line more": good + b"more\r\n",
            "a second From": good.replace(b"\r\n\r\n", b"\r\nFrom: eve@evil.example\r\n\r\n", 1),
            "a second Subject": b"Subject: other\r\n" + good,
            "one Cc less": good.replace(b"Cc: e@example.com\r\n", b""),
            "a Reply-To": good.replace(b"\r\nTo:", b"\r\nReply-To: eve@evil.example\r\nTo:", 1),
        }.items():
            with self.subTest(name):
                self.assertNotIn(True, [self.quietly(bad, index) for index in (0, 1)])
                self.assertNotIn("pass", self.perl(bad))
        self.assertEqual(self.python(b"Received: from c by d; Sat, 1 Mar 2025 00:00:01 +0000\r\n" + good), [True, True])

    def quietly(self, message, index):
        try:
            return dkim.DKIM(message).verify(idx=index, dnsfunc=lambda n, timeout=5: self.records[n.decode().split(".")[0]].encode())
        except dkim.DKIMException:  # two From fields: it will not even look
            return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
