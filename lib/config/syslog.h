// SPDX-License-Identifier: Apache-2.0
// The value of log.syslog: "tls://host:6514", "tcp://192.0.2.1:601", "udp://[::1]:514".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::config {

struct Syslog {
  enum class Transport : std::uint8_t { tls, tcp, udp };
  Transport transport = Transport::tls;
  std::string host;  // a name, or an address without brackets
  std::uint16_t port = 0;
  std::string text() const;  // as it is written
  bool operator==(const Syslog&) const = default;
};

// Without a port the transport's own one (RFC 5425, 6587, 5426). The error says what is allowed.
Result<Syslog> parse_syslog(std::string_view text);

}  // namespace hoplock::config
