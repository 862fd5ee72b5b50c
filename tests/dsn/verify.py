#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""DSN-03 to DSN-07, DSN-13, DSN-16: Python's email package reads what lib/dsn composes."""

import email
import email.policy
import pathlib
import subprocess
import sys
import tempfile

WANTED = {"From", "To", "Date", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}


def parse(octets):
    assert b"\n" not in octets.replace(b"\r\n", b""), "a bare LF"
    message = email.message_from_bytes(octets, policy=email.policy.default)
    defects = [defect for part in message.walk() for defect in part.defects]
    assert not defects, defects
    assert message.get_content_type() == "multipart/report", message.get_content_type()
    assert message.get_param("report-type") == "delivery-status"
    assert WANTED <= set(message.keys()), WANTED - set(message.keys())
    assert message["Auto-Submitted"] == "auto-replied"
    return message, list(message.iter_parts())


def status_of(part):
    assert part.get_content_type() == "message/delivery-status", part.get_content_type()
    blocks = [block for block in part.get_payload() if block.keys()]
    return blocks[0], blocks[1:]


def main():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.argv[1], directory], check=True)
        read = {path.name: parse(path.read_bytes()) for path in pathlib.Path(directory).iterdir()}
    assert len(read) == 7, sorted(read)
    for name, (message, parts) in read.items():
        assert len(parts) == (2 if name == "redacted" else 3), name
        assert parts[0].get_content_type() == "text/plain", name
        per_message, groups = status_of(parts[1])
        assert per_message["Reporting-MTA"] == "dns; relay.example.net", name
        assert per_message["Arrival-Date"], name
        assert "Bcc" not in message and all("Bcc" not in group for group in groups), name
        for group in groups:
            assert group["Final-Recipient"] == "rfc822; bob@partner.example", name
            assert group["Action"] == ("delayed" if name == "delayed" else "failed"), name

    message, parts = read["failed"]
    _, (group,) = status_of(parts[1])
    assert (group["Status"], group["Remote-MTA"]) == ("5.1.1", "dns; mx1.partner.example")
    assert group["Diagnostic-Code"] == "smtp; 550 5.1.1 <bob@partner.example> no such user"
    assert message["In-Reply-To"] == "<plans.1@contoso.com>"
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert "Subject: the plans" in parts[2].get_payload() and "Here they are" not in parts[2].get_payload()

    per_message, groups = status_of(read["full"][1][1])
    assert per_message["Original-Envelope-Id"] == "a b"
    assert [g["Original-Recipient"] for g in groups] == [None, "rfc822;b+ob@partner.example"]
    assert [g["Diagnostic-Code"] is None for g in groups] == [True, False]
    assert [g["Remote-MTA"] is None for g in groups] == [True, False]
    returned = read["full"][1][2].get_payload(0)
    assert returned["Subject"] == "the plans" and "Here they are" in returned.get_payload()

    assert status_of(read["delayed"][1][1])[1][0]["Will-Retry-Until"] == "Thu, 26 Nov 2026 10:00:00 +0000"
    assert b"caf\xe9" in read["eight-headers"][1][2].get_payload(decode=True)
    assert read["eight-full"][0]["Content-Transfer-Encoding"] == "8bit"
    assert read["eight-full"][1][2]["Content-Transfer-Encoding"] == "8bit"
    assert read["eight-full"][1][2].get_content_type() == "message/rfc822"
    print(f"{len(read)} notices read")


if __name__ == "__main__":
    main()
