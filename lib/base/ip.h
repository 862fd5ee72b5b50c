// SPDX-License-Identifier: Apache-2.0
// IP addresses and networks as values: parsed, compared, printed (RFC 5952), classified. No sockets.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock {

class Ip {
 public:
  Ip() = default;  // 0.0.0.0
  // "192.0.2.1" or "2001:db8::1"; no brackets, no zone.
  static Result<Ip> parse(std::string_view text);
  // REQUIRES: octets.size() is 4 or 16.
  static Ip from_octets(std::string_view octets);

  bool is_v4() const { return v4_; }
  bool is_v6() const { return !v4_; }
  // Network order: 4 octets or 16.
  std::string octets() const;
  // Dotted, or RFC 5952.
  std::string text() const;
  // "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3).
  std::string literal() const;

  // An IPv4-mapped IPv6 address is classified as the IPv4 address in it.
  bool is_loopback() const;
  bool is_unspecified() const;  // 0.0.0.0/8, ::
  bool is_link_local() const;
  bool is_multicast() const;  // also 255.255.255.255
  bool is_private() const;    // RFC 1918, RFC 4193
  bool is_shared() const;     // RFC 6598, between a provider and its customers
  // May lead to this machine or into its network: all of the above, the retired site-local and IPv4-compatible blocks, local NAT64
  // (RFC 8215), and such an IPv4 address inside NAT64 (RFC 6052) or 6to4. What foreign DNS names as a policy host or report endpoint
  // must not be there (STS-11, RPT-42) unless dns.local_targets allows it.
  bool is_internal() const;
  // ::ffff:a.b.c.d as a.b.c.d; anything else as it is.
  Ip unmapped() const;

  auto operator<=>(const Ip&) const = default;

 private:
  bool v4_ = true;
  std::array<std::uint8_t, 16> octets_{};
  friend class Network;
};

class Network {
 public:
  // "127.0.0.0/8", "::1" (a single address); host bits below the prefix are an error that names the right network.
  static Result<Network> parse(std::string_view text);
  bool contains(const Ip& ip) const;  // an IPv4-mapped address counts as IPv4
  std::string text() const;
  auto operator<=>(const Network&) const = default;

 private:
  Ip base_;
  unsigned prefix_ = 32;
};

}  // namespace hoplock
