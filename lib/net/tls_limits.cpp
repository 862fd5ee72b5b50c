#include "net/tls_limits.h"

#include <openssl/err.h>

#include "net/openssl_error.h"

namespace hoplock::net {

namespace {
// Named suites only, so that a security level of 0 adds nothing (TLS-02).
constexpr const char* ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:kRSA+AESGCM:kRSA+AES:"
    "!aNULL:!eNULL:!EXPORT:!LOW:!RC4:!3DES:!MD5:!PSK:!SRP:!aDSS";
constexpr const char* ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
}  // namespace

Result<SslCtx> make_ssl_ctx(const SSL_METHOD* method, TlsVersion min_version) {
  ERR_clear_error();
  SslCtx ctx(SSL_CTX_new(method));
  if (!ctx) return fail(errc::not_enough_memory, "cannot set up TLS: " + take_openssl_error());
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(ctx.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx.get(), 1);  // a whole record with one system call
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(ctx.get(), 0);
  SSL_CTX_set_recv_max_early_data(ctx.get(), 0);
  const int lowest = min_version == TlsVersion::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  const bool good =
      SSL_CTX_set_min_proto_version(ctx.get(), lowest) == 1 && SSL_CTX_set_max_proto_version(ctx.get(), 0) == 1 &&
      SSL_CTX_set_cipher_list(ctx.get(), ciphers) == 1 && SSL_CTX_set_ciphersuites(ctx.get(), ciphersuites) == 1;
  if (!good) return fail(errc::invalid_argument, "cannot set up TLS: " + take_openssl_error());
  SSL_CTX_set_security_level(ctx.get(), 2);
  return ctx;
}

}  // namespace hoplock::net
