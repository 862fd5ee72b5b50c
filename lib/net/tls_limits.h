// SPDX-License-Identifier: Apache-2.0
// What both roles of TLS have in common: RFC 9325 as TLS-01 and TLS-02 read it. For this module's own sources.
#pragma once
#include <openssl/ssl.h>

#include <memory>

#include "base/result.h"
#include "net/options.h"

namespace hoplock::net {

struct SslCtxFree {
  void operator()(SSL_CTX* ctx) const { SSL_CTX_free(ctx); }
};
using SslCtx = std::unique_ptr<SSL_CTX, SslCtxFree>;

// Why a session of ours was refused beyond what OpenSSL has words for; null: it was not. `why`: a literal.
void refuse(SSL* ssl, const char* why);
const char* refusal(const SSL* ssl);

// No cryptographic operation that a peer offers costs more than about 20 ms: its DHE groups have at most so many bits, its curves
// and finite fields of TLS 1.3 are those named here, its certificates those of chain_limits.h.
constexpr int most_dhe_bits = 3072;

// As a server's own group for DHE: ffdhe2048 (RFC 7919), whose keys are short and whose checks cheap.
Result<> use_dhe(SSL_CTX* ctx);

// TLS 1.2 and newer, AEAD with ECDHE first, nothing anonymous, NULL, export, RC4 or 3DES whatever the security level, no
// compression, no renegotiation, no 0-RTT, buffers only while they hold something. The system's openssl.cnf has no say.
Result<SslCtx> make_ssl_ctx(const SSL_METHOD* method, TlsVersion min_version);

}  // namespace hoplock::net
