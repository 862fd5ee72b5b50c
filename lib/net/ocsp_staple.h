// SPDX-License-Identifier: Apache-2.0
// A stapled OCSP response (RFC 6066 section 8, RFC 6960), as far as TLS-06 wants it: a good signature that says "revoked" counts, everything
// else (no staple, an old, broken or foreign one) says nothing. Nothing is fetched. For this module's own sources.
#pragma once
#include <openssl/ssl.h>

namespace hoplock::net {

// Before the handshake: ask for a staple.
void ask_for_staple(SSL* ssl);

// After it: did the issuer of the peer's certificate, or a responder of its, sign that the certificate is revoked?
// REQUIRES: `ssl` completed its handshake as a client.
bool staple_says_revoked(SSL* ssl, X509_STORE* roots);

}  // namespace hoplock::net
