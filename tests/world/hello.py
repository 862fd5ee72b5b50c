# SPDX-License-Identifier: Apache-2.0
"""Reads a captured TLS ClientHello (RFC 8446 section 4.1.2): just what the tests ask about."""

from dataclasses import dataclass

SERVER_NAME, CLIENT_CERTIFICATE_TYPE, SERVER_CERTIFICATE_TYPE, EARLY_DATA, SUPPORTED_VERSIONS, PRE_SHARED_KEY = 0, 19, 20, 42, 43, 41


@dataclass
class Hello:
    ciphers: list
    compressions: list
    extensions: dict

    def versions(self):
        data = self.extensions.get(SUPPORTED_VERSIONS, b"\0")
        return [int.from_bytes(data[i:i + 2], "big") for i in range(1, len(data), 2)]


def parse(record):
    body = record[5 + 4:]  # record header, handshake header
    position = 2 + 32
    position += 1 + body[position]
    length = int.from_bytes(body[position:position + 2], "big")
    position += 2
    ciphers = [int.from_bytes(body[i:i + 2], "big") for i in range(position, position + length, 2)]
    position += length
    compressions = list(body[position + 1:position + 1 + body[position]])
    position += 1 + body[position] + 2
    extensions = {}
    while position + 4 <= len(body):
        kind, size = int.from_bytes(body[position:position + 2], "big"), int.from_bytes(body[position + 2:position + 4], "big")
        extensions[kind] = body[position + 4:position + 4 + size]
        position += 4 + size
    return Hello(ciphers, compressions, extensions)


# Suites by their IANA numbers, for the promises of TLS-02 and DANE-37.
ANONYMOUS = {0x0018, 0x001A, 0x001B, 0x0034, 0x003A, 0x0046, 0x006C, 0x006D, 0x0089, 0x009B, 0x00A6, 0x00A7, 0x00BF, 0x00C5,
             *range(0xC015, 0xC01A)}
NULL = {0x0000, 0x0001, 0x0002, 0x003B, 0x002C, 0x002D, 0x002E, *range(0x00B0, 0x00B2), 0x00B4, 0x00B5, 0x00B8, 0x00B9, 0xC001,
        0xC006, 0xC00B, 0xC010, 0xC015, 0xC039, 0xC03A, 0xC03B}
EXPORT = {0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019, *range(0x0026, 0x002C)}
RC4 = {0x0004, 0x0005, 0x0018, 0x0020, 0x0024, 0x008A, 0x008E, 0x0092, 0xC002, 0xC007, 0xC00C, 0xC011, 0xC016, 0xC033}
TRIPLE_DES = {0x000A, 0x000D, 0x0010, 0x0013, 0x0016, 0x001B, 0x001F, 0x0023, 0x008B, 0x008F, 0x0093, 0xC003, 0xC008, 0xC00D, 0xC012,
              0xC017, 0xC01A, 0xC01B, 0xC01C, 0xC034}
