// SPDX-License-Identifier: Apache-2.0
// TLS as a server: a certificate, and sessions that present it. TLS 1.2 and 1.3 only, no compression, no renegotiation,
// no 0-RTT (RFC 9325, TLS-01, TLS-02). A ServerTls never changes: on reload the owner takes a new one, and sessions
// that run keep theirs.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "net/options.h"
#include "net/stream.h"

struct ssl_ctx_st;

namespace hoplock::net {

class ServerTls {
 public:
  // Errors name the file and what is wrong with it: unreadable, not PEM, a key that is not the certificate's.
  static Result<std::shared_ptr<const ServerTls>> load(CertificateFiles files);
  // Also asks every client for a certificate of the authorities in `client_ca` (PEM) and lets it in whatever it has; what it
  // proved says client_certificate.h. Their names are sent along only while the list is short: Schannel breaks on a long one.
  static Result<std::shared_ptr<const ServerTls>> load(CertificateFiles files, const std::string& client_ca);
  ~ServerTls();
  ServerTls(const ServerTls&) = delete;
  ServerTls& operator=(const ServerTls&) = delete;

  // A new session for Stream::start_tls.
  SslHandle session() const;

 private:
  explicit ServerTls(ssl_ctx_st* ctx) : ctx_(ctx) {}
  ssl_ctx_st* ctx_;
};

// REQUIRES: the caller has looked for octets that arrived in clear (SUB-10). The stream's deadline bounds it.
boost::asio::awaitable<Result<>> accept_tls(Stream& stream, std::shared_ptr<const ServerTls> tls);

struct CertificatePem {
  std::string certificate;
  std::string key;
};
// EC P-256, valid for ten years, for `hostname` only.
Result<CertificatePem> make_self_signed(const std::string& hostname);
// Makes one and writes it, key (mode 0600) before certificate (mode 0640), each replaced as a whole. For a start that misses
// either file.
Result<> write_self_signed(const std::string& hostname, CertificateFiles files);

}  // namespace hoplock::net
