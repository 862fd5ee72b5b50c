# SPDX-License-Identifier: Apache-2.0
"""What a domain publishes for MTA-STS (RFC 8461): the record in DNS, the policy, and the host that serves it."""

from dataclasses import dataclass, field

from .web import WebHost


def quoted(text):
    """A character-string of a TXT record as a zone file wants it."""
    return '"' + "".join(chr(octet) if 32 <= octet < 127 and chr(octet) not in '"\\' else f"\\{octet:03}" for octet in text.encode()) + '"'


@dataclass
class Sts:
    """Everything but `ttl` and the host may be changed at run time, see World.publish.

    mx: patterns relative to the zone ("mx", "*", "mx.other.test."); None: the hosts of the domain's MX records.
    txt: the records at _mta-sts in place of the one made from `id`, each a string or a tuple of strings; (): there is none.
    text: the policy's octets in place of those made from mode, mx and max_age.
    cert, web, ip, aaaa, alias: of the host mta-sts, as web.WebHost has them.
    """

    mode: str = "enforce"
    mx: tuple = None
    max_age: object = 86400
    id: str = "1"
    txt: tuple = None
    text: bytes = None
    ttl: int = 0  # of the record: a resolver may still keep it until the next second begins
    cert: object = field(default_factory=dict)
    web: dict = field(default_factory=dict)
    ip: list = field(default_factory=list)
    aaaa: tuple = ()
    alias: str = ""

    def __post_init__(self):
        self.host = WebHost("mta-sts", self.cert, self.web, self.ip, self.aaaa, alias=self.alias)

    def belong_to(self, domain):
        self.host.text = lambda: self.policy(domain)

    def patterns(self, domain):
        names = self.mx
        if names is None:
            names = [record.split()[1] for record in domain.mx] or ["@"]
        return [domain.absolute(name).rstrip(".") for name in names]

    def policy(self, domain):
        """The policy's octets."""
        if self.text is not None:
            return self.text
        lines = ["version: STSv1", f"mode: {self.mode}", *(f"mx: {name}" for name in self.patterns(domain)), f"max_age: {self.max_age}"]
        return "".join(line + "\r\n" for line in lines).encode()

    def records(self):
        """Lines of the zone file for the record in DNS."""
        texts = (f"v=STSv1; id={self.id};",) if self.txt is None else self.txt
        strings = [(text,) if isinstance(text, str) else text for text in texts]
        return [f"_mta-sts {self.ttl} TXT {' '.join(quoted(part) for part in parts)}" for parts in strings]
