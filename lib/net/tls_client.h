// SPDX-License-Identifier: Apache-2.0
// TLS as a client, under a hop::Connect plan: makes the handshake, has OpenSSL check what the plan demands (RFC 7671,
// 7672; RFC 5280, 9525), and reports facts. It judges nothing: no failed check ends the handshake, so that reports and
// audit get to know; hop::after decides whether the session may be used.
//
// Bounded (TLS-13): by the stream's deadline, 100 KiB of certificates, a path of 10. No resumption ever (TLS-07), no
// 0-RTT, no raw public keys (DANE-37), no revocation fetch; a stapled "revoked" counts for PKIX (TLS-06).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "hop/outcome.h"
#include "net/options.h"
#include "net/stream.h"

struct ssl_ctx_st;
struct x509_store_st;

namespace hoplock::net {

// Shown to a next hop that asks, on routes that say so and nowhere else.
class ClientCertificate {
 public:
  static Result<std::shared_ptr<const ClientCertificate>> load(CertificateFiles files);
  ~ClientCertificate();
  ClientCertificate(const ClientCertificate&) = delete;
  ClientCertificate& operator=(const ClientCertificate&) = delete;

 private:
  struct Parts;
  explicit ClientCertificate(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
  friend class ClientTls;
};

// The handshake's part of a hop::Outcome.
struct Handshake {
  // ready, or where it failed: starttls for octets that were injected in clear (no retry in clear then), else
  // handshake.
  hop::Stage stage = hop::Stage::ready;
  std::optional<hop::Refusal> failure;     // the handshake itself: validation_failure, connect_timeout
  std::optional<hop::TlsSession> session;  // exactly when it completed; then also the verdicts that the plan asks for
  std::optional<hop::DaneVerdict> dane;
  std::optional<hop::PkixVerdict> pkix;
  std::optional<hop::ObservedVerdict> observed;
  std::optional<hop::PkixVerdict> name;
};

// What is spoken inside TLS, as ALPN tells it (RFC 7301): SMTP offers nothing.
enum class Alpn : std::uint8_t { none, http };

class ClientTls {
 public:
  // The error names ca_file and what is wrong with it.
  static Result<std::shared_ptr<const ClientTls>> load(TlsOptions options);
  ~ClientTls();
  ClientTls(const ClientTls&) = delete;
  ClientTls& operator=(const ClientTls&) = delete;

  // REQUIRES: the caller's buffer holds nothing that came after the 220 (TLS-09). Octets in clear that wait in the
  // socket are a validation_failure. *this must outlive the operation.
  boost::asio::awaitable<Handshake> handshake(Stream& stream, hop::Connect plan,
                                              std::shared_ptr<const ClientCertificate> certificate = nullptr,
                                              Alpn alpn = Alpn::none) const;

 private:
  ClientTls(ssl_ctx_st* ctx, x509_store_st* roots) : ctx_(ctx), roots_(roots) {}
  Result<SslHandle> session(const hop::Connect& plan, const ClientCertificate* certificate, Alpn alpn) const;
  ssl_ctx_st* ctx_;
  x509_store_st* roots_;  // public roots: for PKIX only, never seen by DANE (DANE-18)
};

}  // namespace hoplock::net
