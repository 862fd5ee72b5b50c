# SPDX-License-Identifier: Apache-2.0
"""The test CA: a root, an intermediate, and leaves of every good and bad kind, with the TLSA data of any of them.

Keys are ECDSA P-256 unless a kind says otherwise. A private key lives in one PEM file with its chain, ready for ssl.
"""

import datetime
import hashlib
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _now():
    return datetime.datetime.utcnow().replace(microsecond=0)


class Certificate:
    """One certificate with its key and what a server sends after it."""

    def __init__(self, x509_certificate, key, chain=()):
        self.x509 = x509_certificate
        self.key = key
        self.chain = list(chain)
        self.path = None

    def der(self):
        return self.x509.public_bytes(serialization.Encoding.DER)

    def spki(self):
        return self.x509.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def key_digest(self):
        """What hoplock logs as `cert`: SHA-256 of the public key."""
        return hashlib.sha256(self.spki()).hexdigest()

    def association(self, selector, matching):
        """The certificate association data of a TLSA record (RFC 6698 section 2.1.4), in hex."""
        data = self.der() if selector == 0 else self.spki()
        if matching == 1:
            return hashlib.sha256(data).hexdigest()
        if matching == 2:
            return hashlib.sha512(data).hexdigest()
        return data.hex()

    def tlsa(self, usage, selector, matching):
        return f"{usage} {selector} {matching} {self.association(selector, matching)}"

    def pem(self):
        parts = [self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                        serialization.NoEncryption())]
        parts += [c.x509.public_bytes(serialization.Encoding.PEM) for c in [self] + self.chain]
        return b"".join(parts)


class Authority:
    """Signs everything below one directory. `root` is what goes into the relay's `tls.ca_file`."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self._count = 0
        self.root = self._make("Private World Root", ca=True)
        self.intermediate = self._make("Private World Intermediate", ca=True, issuer=self.root)
        self.stranger = self._make("Somebody Else's Root", ca=True)  # in nobody's trust store
        self.ca_file = os.path.join(directory, "ca.pem")
        with open(self.ca_file, "wb") as file:
            file.write(self.root.x509.public_bytes(serialization.Encoding.PEM))

    def leaf(self, *names, issuer=None, send="chain", **kind):
        """A server's certificate for `names`, signed by the intermediate unless `issuer` says otherwise.

        send: chain (with the intermediate), full (the root too), leaf (nothing but itself).
        kind: expired, not_yet, self_signed, cn (subject only, no SAN), bits (RSA of that size), eku, ips, key (reuse one),
              responder (address of an OCSP responder and CRL server to name).
        """
        issuer = issuer or self.intermediate
        made = self._make(kind.pop("cn", None), names=names, issuer=None if kind.pop("self_signed", False) else issuer, **kind)
        if made.x509.issuer != made.x509.subject:
            above = [issuer] + issuer.chain
            made.chain = {"leaf": [], "chain": [c for c in above if c is not self.root] or [], "full": above}[send]
        self.save(made)
        return made

    def staple(self, certificate, revoked):
        """An OCSP response for a leaf, signed by its issuer, in DER."""
        issuer = certificate.chain[0]
        status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate.x509, issuer=issuer.x509, algorithm=hashes.SHA1(), cert_status=status, this_update=_now() - DAY,
            next_update=_now() + DAY, revocation_time=_now() - 2 * DAY if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None)
        return builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.x509).sign(issuer.key, hashes.SHA256()).public_bytes(
            serialization.Encoding.DER)

    def sub(self, name, issuer=None, **kind):
        """Another intermediate below `issuer` (the root by default)."""
        return self._make(name, ca=True, issuer=issuer or self.root, **kind)

    def save(self, certificate):
        self._count += 1
        certificate.path = os.path.join(self.directory, f"{self._count:04d}.pem")
        with open(certificate.path, "wb") as file:
            file.write(certificate.pem())
        os.chmod(certificate.path, 0o600)

    def _make(self, cn, names=(), issuer=None, ca=False, expired=False, not_yet=False, bits=0, eku=(ExtendedKeyUsageOID.SERVER_AUTH,),
              ips=(), key=None, pathlen=None, padding=0, responder=""):
        key = key or (rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1()))
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Private World")]
        if cn:
            attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, cn))
        subject = x509.Name(attributes)
        start, end = _now() - 30 * DAY, _now() + 60 * DAY
        if expired:
            end = _now() - DAY
        if not_yet:
            start = _now() + 10 * DAY
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.x509.subject if issuer else subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(start).not_valid_after(end)
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=pathlen if ca else None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
        if issuer:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        if ca:
            builder = builder.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        elif eku:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(eku)), critical=False)
        alternatives = [x509.DNSName(name) for name in names] + [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        if responder:
            place = x509.UniformResourceIdentifier(f"http://{responder}/")
            builder = builder.add_extension(x509.AuthorityInformationAccess(
                [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place),
                 x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)]), critical=False)
            builder = builder.add_extension(
                x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)]), critical=False)
        if padding:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x04\x82" + bytes(padding)), critical=False)
        signer = issuer.key if issuer else key
        made = Certificate(builder.sign(signer, hashes.SHA256()), key)
        if issuer and ca:
            made.chain = [issuer] + issuer.chain
        return made
