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

// TLS 1.2 and newer, AEAD with ECDHE first, nothing anonymous, NULL, export, RC4 or 3DES whatever the security level, no
// compression, no renegotiation, no 0-RTT, buffers only while they hold something. The system's openssl.cnf has no say.
Result<SslCtx> make_ssl_ctx(const SSL_METHOD* method, TlsVersion min_version);

}  // namespace hoplock::net
