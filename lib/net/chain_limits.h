// SPDX-License-Identifier: Apache-2.0
// What a peer's certificates may cost before anybody looks at what they say: the length of keys, the kind of curves, the number of
// names that are held against name constraints, the length of a path. Every bound is far beyond what authorities issue, and keeps one verification within a
// few milliseconds (TLS-13, BND-01). For this module's own sources.
#pragma once
#include <openssl/ssl.h>

namespace hoplock::net {

// Certificates between the peer's own and a root that are looked at: authorities issue one or two.
constexpr int most_intermediates = 6;
// Of all that a peer shows: each key in it is decoded, whether it is of use or not.
constexpr long most_certificate_octets = 40L * 1024;

// Why these certificates are not looked at any further, in words (a literal); null: they may be.
const char* excess_of(const STACK_OF(X509) * chain);

// X509_verify_cert for certificates within the limits; others end the handshake, whatever the session's verify mode. To be set with
// SSL_CTX_set_cert_verify_callback.
int verify_within_limits(X509_STORE_CTX* ctx, void* nothing);

}  // namespace hoplock::net
