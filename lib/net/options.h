// SPDX-License-Identifier: Apache-2.0
// What the operator may set about addresses, TLS and certificates. Values only; the words of the configuration file are `config`'s.
#pragma once
#include <cstdint>
#include <string>

#include "base/ip.h"

namespace hoplock::net {

struct Endpoint {
  Ip ip;
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
  std::string text() const;  // "192.0.2.1:25", "[2001:db8::1]:25"
};

enum class TlsVersion : std::uint8_t { tls12, tls13 };

// `tls:` of the configuration: outbound sessions.
struct TlsOptions {
  std::string ca_file = "/etc/ssl/certs/ca-certificates.crt";
  TlsVersion min_version = TlsVersion::tls12;
};

// A PEM chain, leaf first, and the PEM key of its leaf: of a listener, or a route's client certificate.
struct CertificateFiles {
  std::string certificate;
  std::string key;
  auto operator<=>(const CertificateFiles&) const = default;
};

}  // namespace hoplock::net
