// SPDX-License-Identifier: Apache-2.0
#include "net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "net/certificate.h"
#include "net/chain_limits.h"
#include "net/openssl_error.h"
#include "net/tls_limits.h"

namespace hoplock::net {

namespace {
constexpr std::size_t longest_list = 8192;               // octets of CA names in a handshake
constexpr std::string_view session_context = "hoplock";  // tickets are for this daemon's sessions only

Result<> present(SSL_CTX* ctx, const Identity& identity, const CertificateFiles& files) {
  ERR_clear_error();
  const int used =
      SSL_CTX_use_cert_and_key(ctx, identity.certificate.get(), identity.key.get(), identity.chain.get(), 1);
  if (used == 1) return {};
  return bad_input(files.certificate + ": the certificate cannot be used: " + take_openssl_error());
}
// Lets the handshake go on, and keeps the first complaint about a certificate that did not verify (client_certificate.cpp).
int note_refusal(int ok, X509_STORE_CTX* store) {
  if (ok == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const int complaint = X509_STORE_CTX_get_error(store);
  const std::intptr_t error = complaint == X509_V_OK ? X509_V_ERR_UNSPECIFIED : complaint;
  if (SSL_get_app_data(ssl) == nullptr) SSL_set_app_data(ssl, reinterpret_cast<void*>(error));
  return 1;
}

// The list as it would be sent (RFC 8446 section 4.2.4): each name with two octets of length.
bool is_short(const STACK_OF(X509_NAME) * names) {
  std::size_t octets = 0;
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    const int one = i2d_X509_NAME(sk_X509_NAME_value(names, i), nullptr);
    octets += one > 0 ? static_cast<std::size_t>(one) + 2 : 0;
  }
  return octets <= longest_list;
}

Result<> ask_clients(SSL_CTX* ctx, const std::string& client_ca) {
  ERR_clear_error();
  if (SSL_CTX_load_verify_locations(ctx, client_ca.c_str(), nullptr) != 1)
    return bad_input(client_ca + ": no certificates can be read from it: " + take_openssl_error());
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(client_ca.c_str());
  if (names == nullptr) return bad_input(client_ca + ": no certificates can be read from it: " + take_openssl_error());
  if (is_short(names)) {
    SSL_CTX_set_client_CA_list(ctx, names);
  } else {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
  }
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, note_refusal);
  SSL_CTX_set_cert_verify_callback(ctx, verify_within_limits, nullptr);
  SSL_CTX_set_verify_depth(ctx, most_intermediates);
  SSL_CTX_set_max_cert_list(ctx, most_certificate_octets);
  // RFC 5280's purpose is judged with the names: public authorities no longer sign for clients.
  X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(ctx), X509_PURPOSE_ANY);
  // A resumed session would bring a verdict that was made under other authorities, at another time.
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(ctx, 0);
  return {};
}

}  // namespace

Result<std::shared_ptr<const ServerTls>> ServerTls::load(CertificateFiles files) { return load(std::move(files), {}); }

Result<std::shared_ptr<const ServerTls>> ServerTls::load(CertificateFiles files, const std::string& client_ca) {
  auto identity = load_identity(files);
  if (!identity) return identity.error();
  auto ctx = make_ssl_ctx(TLS_server_method(), TlsVersion::tls12);
  if (!ctx) return ctx.error();
  if (auto used = present(ctx->get(), *identity, files); !used) return used.error();
  if (auto used = use_dhe(ctx->get()); !used) return used.error();
  SSL_CTX_set_num_tickets(ctx->get(), 1);
  const auto* id = reinterpret_cast<const unsigned char*>(session_context.data());
  SSL_CTX_set_session_id_context(ctx->get(), id, static_cast<unsigned>(session_context.size()));
  if (!client_ca.empty()) {
    if (auto asking = ask_clients(ctx->get(), client_ca); !asking) return asking.error();
  }
  return std::shared_ptr<const ServerTls>(new ServerTls(ctx->release()));
}

ServerTls::~ServerTls() { SSL_CTX_free(ctx_); }

SslHandle ServerTls::session() const {
  SslHandle ssl(SSL_new(ctx_));
  if (ssl) SSL_set_accept_state(ssl.get());
  return ssl;
}

boost::asio::awaitable<Result<>> accept_tls(Stream& stream, std::shared_ptr<const ServerTls> tls) {
  SslHandle ssl = tls->session();
  if (!ssl) co_return fail(errc::not_enough_memory, "cannot start TLS: " + take_openssl_error());
  co_return co_await stream.start_tls(std::move(ssl));
}

}  // namespace hoplock::net
