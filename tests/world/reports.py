# SPDX-License-Identifier: Apache-2.0
"""TLS reports as they arrive (RFC 8460): by mail and by https, taken apart by Python's own email, gzip and json."""

import email
import email.policy
import gzip
import json
from dataclasses import dataclass

from .sts import quoted


def asks(*rua, ttl=0, text=None):
    """The line of a zone file by which its domain asks for reports."""
    return f"_smtp._tls {ttl} TXT {quoted(text if text is not None else 'v=TLSRPTv1; rua=' + ','.join(rua))}"


@dataclass
class Arrived:
    """One report, and how it came."""

    domain: str  # that it is about
    json: dict
    octets: bytes  # gzip
    mail: object = None  # email.message.EmailMessage
    raw: bytes = b""  # the mail
    request: object = None  # web.Request

    @property
    def id(self):
        return self.json["report-id"]

    def policies(self, kind=None):
        return [one for one in self.json["policies"] if kind in (None, one["policy"]["policy-type"])]

    def sessions(self):
        """(successes, failures) over all policies of it."""
        parts = [one["summary"] for one in self.json["policies"]]
        return sum(one["total-successful-session-count"] for one in parts), sum(one["total-failure-session-count"] for one in parts)

    def failures(self):
        return [detail for one in self.json["policies"] for detail in one.get("failure-details", ())]


def _loads(octets):
    def once(pairs):
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), f"a member stands twice: {keys}"
        return dict(pairs)
    return json.loads(octets.decode("utf-8"), object_pairs_hook=once)


def from_mail(raw):
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert message.get_content_type() == "multipart/report", message.get_content_type()
    assert message.get_param("report-type") == "tlsrpt"
    text, attached = message.iter_parts()
    assert text.get_content_type() == "text/plain", text.get_content_type()
    assert attached.get_content_type() == "application/tlsrpt+gzip", attached.get_content_type()
    octets = attached.get_payload(decode=True)
    return Arrived(message["TLS-Report-Domain"], _loads(gzip.decompress(octets)), octets, mail=message, raw=raw)


def from_request(request):
    body = _loads(gzip.decompress(request.body))
    domain = body["report-id"].split("@", 1)[0]  # only a hint: the report itself does not name the domain
    return Arrived(domain, body, request.body, request=request)


def mailed(receiver, rcpt=None):
    """The reports among what a receiver took."""
    mails = [mail for mail in receiver.mails() if b"\r\nTLS-Report-Domain:" in mail.data and (rcpt is None or rcpt in mail.recipients)]
    return [from_mail(mail.data) for mail in mails]


def posted(site, target=None):
    return [from_request(request) for request in site.requests() if request.method == "POST" and target in (None, request.target)]
