#include "net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string_view>
#include <utility>

#include "net/certificate.h"
#include "net/openssl_error.h"
#include "net/tls_limits.h"

namespace hoplock::net {

namespace {
constexpr std::string_view session_context = "hoplock";  // tickets are for this daemon's sessions only

Result<> present(SSL_CTX* ctx, const Identity& identity, const CertificateFiles& files) {
  ERR_clear_error();
  const int used =
      SSL_CTX_use_cert_and_key(ctx, identity.certificate.get(), identity.key.get(), identity.chain.get(), 1);
  if (used == 1) return {};
  return bad_input(files.certificate + ": the certificate cannot be used: " + take_openssl_error());
}
}  // namespace

Result<std::shared_ptr<const ServerTls>> ServerTls::load(CertificateFiles files) {
  auto identity = load_identity(files);
  if (!identity) return identity.error();
  auto ctx = make_ssl_ctx(TLS_server_method(), TlsVersion::tls12);
  if (!ctx) return ctx.error();
  if (auto used = present(ctx->get(), *identity, files); !used) return used.error();
  SSL_CTX_set_dh_auto(ctx->get(), 1);
  SSL_CTX_set_num_tickets(ctx->get(), 1);
  const auto* id = reinterpret_cast<const unsigned char*>(session_context.data());
  SSL_CTX_set_session_id_context(ctx->get(), id, static_cast<unsigned>(session_context.size()));
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
