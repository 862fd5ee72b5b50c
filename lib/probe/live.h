// SPDX-License-Identifier: Apache-2.0
// The certificates that a live host presents, and whether the TLSA records that DNS holds for it let them pass: STARTTLS (RFC 3207)
// on ports 25 and 587, TLS from the first octet elsewhere. Reports; judges nothing.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "probe/check.h"

namespace hoplock::probe {

struct LiveTarget {
  std::variant<dns::Name, Ip> host;
  std::uint16_t port = 25;
  std::optional<dns::Name>
      name;  // under which DNS holds the records and the certificate is asked for; default: the host
};

struct Live {
  Ip ip;
  std::string tls;                 // version
  std::vector<std::string> chain;  // DER, leaf first; never empty
  dns::Name name;                  // root: an address literal without a name
  hop::TlsaFact published;         // what DNS holds; `present` is secure
  std::vector<dns::Tlsa> usable;   // of it
  std::optional<dns::Tlsa> matched;
  std::vector<hop::Refusal> defects;  // why nothing matched
};

// The first address with which a handshake completes; the Error tells of the last one that failed.
boost::asio::awaitable<Result<Live>> look_live(Tools tools, LiveTarget target);

}  // namespace hoplock::probe
