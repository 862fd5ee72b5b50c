// SPDX-License-Identifier: Apache-2.0
#include "config/syslog.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/ascii.h"
#include "base/ip.h"
#include "dns/name.h"

namespace hoplock::config {

namespace {
struct Scheme {
  std::string_view begin;
  Syslog::Transport transport;
  std::uint16_t port;
};
constexpr std::array<Scheme, 3> schemes{{{"tls://", Syslog::Transport::tls, 6514},
                                         {"tcp://", Syslog::Transport::tcp, 601},
                                         {"udp://", Syslog::Transport::udp, 514}}};
constexpr const char* allowed = "; allowed: \"tls://host:6514\", \"tcp://host:601\", \"udp://host:514\"";

bool is_host(std::string_view text, bool bracketed) {
  const auto ip = Ip::parse(text);
  if (bracketed) return ip.has_value() && ip->is_v6();
  if (ip) return ip->is_v4();
  const auto name = dns::Name::parse(text);
  return name.has_value() && !name->is_root();
}
}  // namespace

std::string Syslog::text() const {
  const auto scheme =
      std::find_if(schemes.begin(), schemes.end(), [this](const Scheme& one) { return one.transport == transport; });
  const bool brackets = host.find(':') != std::string::npos;
  return std::string(scheme->begin) + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Syslog> parse_syslog(std::string_view text) {
  const auto wrong = bad_input("'" + std::string(text) + "' is no log server" + allowed);
  const auto scheme =
      std::find_if(schemes.begin(), schemes.end(), [&](const Scheme& one) { return text.starts_with(one.begin); });
  if (scheme == schemes.end()) return wrong;
  std::string_view rest = text.substr(scheme->begin.size());
  Syslog found{scheme->transport, {}, scheme->port};
  const bool bracketed = rest.starts_with('[');
  const std::size_t end = bracketed ? rest.find(']') : rest.find(':');
  if (bracketed && end == std::string_view::npos) return wrong;
  found.host = rest.substr(bracketed ? 1 : 0, bracketed ? end - 1 : end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + (bracketed ? 1 : 0));
  if (!is_host(found.host, bracketed)) return wrong;
  if (rest.empty()) return found;
  const auto port = rest.front() == ':' ? parse_decimal(rest.substr(1)) : std::nullopt;
  if (!port || *port == 0 || *port > std::numeric_limits<std::uint16_t>::max()) return wrong;
  found.port = static_cast<std::uint16_t>(*port);
  return found;
}

}  // namespace hoplock::config
