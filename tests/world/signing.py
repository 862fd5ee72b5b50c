# SPDX-License-Identifier: Apache-2.0
"""DKIM keys of the world's own, and Python's dkim package as the judge of what was signed with them."""

from dataclasses import dataclass, field

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from .sts import quoted


@dataclass
class SigningKey:
    """One key of one domain. kind: rsa, or ed25519. services: s= of its record; "" leaves it out."""

    domain: str
    selector: str
    kind: str = "rsa"
    bits: int = 2048
    services: str = ""
    key: object = field(default=None, repr=False)

    def __post_init__(self):
        if self.key is None:
            self.key = rsa.generate_private_key(65537, self.bits) if self.kind == "rsa" else ed25519.Ed25519PrivateKey.generate()

    def pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()).decode()

    def record(self):
        """The TXT record, one string."""
        import base64
        public = self.key.public_key()
        if self.kind == "rsa":
            octets = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        else:
            octets = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        services = f" s={self.services};" if self.services else ""
        return f"v=DKIM1; k={self.kind};{services} p={base64.b64encode(octets).decode()}"

    def zone_line(self):
        """For Domain.records of the key's domain."""
        text = self.record()
        parts = [text[at:at + 200] for at in range(0, len(text), 200)]
        return f"{self.selector}._domainkey 60 TXT {' '.join(quoted(part) for part in parts)}"

    def settings(self, world):
        """An entry of `dkim:`, its file written."""
        import os
        path = world.write(f"{self.selector}.{self.domain}.pem", self.pem())
        os.chmod(path, 0o600)
        return {"domain": self.domain, "selector": self.selector, "key": path}


class Judge:
    """Knows what the keys' records say, and asks nothing else."""

    def __init__(self, *keys):
        self._records = {f"{key.selector}._domainkey.{key.domain}.": key.record().encode() for key in keys}

    def _find(self, name, timeout=5):  # pylint: disable=unused-argument
        return self._records.get(name.decode() if isinstance(name, bytes) else name)

    def verdicts(self, message):
        """[(s=, whether it verifies)] of every signature, from the top."""
        found = []
        judge = dkim.DKIM(message)
        count = sum(1 for name, _ in judge.headers if name.lower() == b"dkim-signature")
        for index in range(count):
            judge = dkim.DKIM(message)
            try:
                good = judge.verify(idx=index, dnsfunc=self._find)
            except dkim.DKIMException as error:
                good = str(error)
            found.append((judge.signature_fields[b"s"].decode() if judge.signature_fields else "?", good))
        return found
