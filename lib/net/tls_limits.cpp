// SPDX-License-Identifier: Apache-2.0
#include "net/tls_limits.h"

#include <openssl/dh.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "net/openssl_error.h"

namespace hoplock::net {

namespace {
// Named suites only, so that a security level of 0 adds nothing (TLS-02).
constexpr const char* ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:kRSA+AESGCM:kRSA+AES:"
    "!aNULL:!eNULL:!EXPORT:!LOW:!RC4:!3DES:!MD5:!PSK:!SRP:!aDSS";
// Without the finite fields of RFC 7919: 8192 bits cost 140 ms, and who can do them can do curves.
constexpr const char* groups = "X25519:P-256:X448:P-521:P-384";
constexpr const char* ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
using SecurityCheck = int (*)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);

SecurityCheck usual_check() {
  const SslCtx ctx(SSL_CTX_new(TLS_method()));
  return ctx ? SSL_CTX_get_security_callback(ctx.get()) : nullptr;
}

// OpenSSL asks whether what is offered is strong enough; we ask also whether it is too dear.
int check_security(const SSL* ssl, const SSL_CTX* ctx, int what, int bits, int id, void* other, void* ex) {
  static const SecurityCheck usual = usual_check();  // a function of OpenSSL's
  if (what == SSL_SECOP_TMP_DH && other != nullptr &&
      EVP_PKEY_get_bits(static_cast<EVP_PKEY*>(other)) > most_dhe_bits) {
    refuse(const_cast<SSL*>(ssl), "the server's Diffie-Hellman group has more than 3072 bits");
    return 0;
  }
  return usual != nullptr ? usual(ssl, ctx, what, bits, id, other, ex) : 0;
}

int refusal_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
}  // namespace

void refuse(SSL* ssl, const char* why) {
  if (ssl != nullptr) SSL_set_ex_data(ssl, refusal_index(), const_cast<char*>(why));
}

const char* refusal(const SSL* ssl) { return static_cast<const char*>(SSL_get_ex_data(ssl, refusal_index())); }

Result<> use_dhe(SSL_CTX* ctx) {
  ERR_clear_error();
  EVP_PKEY_CTX* making = EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr);
  EVP_PKEY* group = nullptr;
  const bool made = making != nullptr && EVP_PKEY_paramgen_init(making) == 1 &&
                    EVP_PKEY_CTX_set_dh_nid(making, NID_ffdhe2048) == 1 && EVP_PKEY_paramgen(making, &group) == 1;
  EVP_PKEY_CTX_free(making);
  if (made && SSL_CTX_set0_tmp_dh_pkey(ctx, group) == 1) return {};
  EVP_PKEY_free(group);
  return fail(errc::invalid_argument, "cannot set up TLS: " + take_openssl_error());
}

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
      SSL_CTX_set_cipher_list(ctx.get(), ciphers) == 1 && SSL_CTX_set_ciphersuites(ctx.get(), ciphersuites) == 1 &&
      SSL_CTX_set1_groups_list(ctx.get(), groups) == 1;
  if (!good) return fail(errc::invalid_argument, "cannot set up TLS: " + take_openssl_error());
  SSL_CTX_set_security_level(ctx.get(), 2);
  SSL_CTX_set_security_callback(ctx.get(), check_security);
  return ctx;
}

}  // namespace hoplock::net
