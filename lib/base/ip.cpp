// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/ascii.h"

namespace hoplock {

Result<Ip> Ip::parse(std::string_view text) {
  const std::string terminated(text);
  Ip ip;
  if (terminated.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, terminated.c_str(), ip.octets_.data()) == 1) return ip;
    ip.v4_ = false;
    if (inet_pton(AF_INET6, terminated.c_str(), ip.octets_.data()) == 1) return ip;
  }
  return bad_input("'" + terminated + "' is not an IPv4 or IPv6 address");
}

Ip Ip::from_octets(std::string_view octets) {
  Ip ip;
  ip.v4_ = octets.size() == 4;
  std::copy_n(octets.begin(), std::min<std::size_t>(octets.size(), 16), ip.octets_.begin());
  return ip;
}

std::string Ip::octets() const {
  return {reinterpret_cast<const char*>(octets_.data()), v4_ ? std::size_t{4} : std::size_t{16}};
}

std::string Ip::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  inet_ntop(v4_ ? AF_INET : AF_INET6, octets_.data(), out.data(), out.size());
  return out.data();
}

std::string Ip::literal() const { return (v4_ ? "[" : "[IPv6:") + text() + "]"; }

Ip Ip::unmapped() const {
  constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (v4_ || !std::equal(prefix.begin(), prefix.end(), octets_.begin())) return *this;
  Ip ip;
  std::copy_n(octets_.begin() + 12, 4, ip.octets_.begin());
  return ip;
}

bool Ip::is_loopback() const {
  const Ip ip = unmapped();
  if (ip.v4_) return ip.octets_[0] == 127;
  return std::all_of(octets_.begin(), octets_.end() - 1, [](auto o) { return o == 0; }) && octets_[15] == 1;
}

bool Ip::is_unspecified() const {
  const Ip ip = unmapped();
  if (ip.v4_) return ip.octets_[0] == 0;
  return std::all_of(octets_.begin(), octets_.end(), [](auto o) { return o == 0; });
}

bool Ip::is_link_local() const {
  const Ip ip = unmapped();
  if (ip.v4_) return ip.octets_[0] == 169 && ip.octets_[1] == 254;
  return octets_[0] == 0xfe && (octets_[1] & 0xc0U) == 0x80;
}

bool Ip::is_multicast() const {
  const Ip ip = unmapped();
  if (ip.v4_) return (ip.octets_[0] & 0xf0U) == 0xe0 || ip.octets() == std::string(4, '\xff');
  return octets_[0] == 0xff;
}

bool Ip::is_private() const {
  const Ip ip = unmapped();
  if (!ip.v4_) return (octets_[0] & 0xfeU) == 0xfc;
  return ip.octets_[0] == 10 || (ip.octets_[0] == 172 && (ip.octets_[1] & 0xf0U) == 16) ||
         (ip.octets_[0] == 192 && ip.octets_[1] == 168);
}

bool Ip::is_shared() const {
  const Ip ip = unmapped();
  return ip.v4_ && ip.octets_[0] == 100 && (ip.octets_[1] & 0xc0U) == 64;
}

bool Ip::is_internal() const {
  if (is_loopback() || is_unspecified() || is_link_local() || is_multicast() || is_private() || is_shared())
    return true;
  if (unmapped().v4_) return false;
  const std::string all = octets();
  const auto begins = [&all](std::string_view prefix) {
    return std::string_view(all).substr(0, prefix.size()) == prefix;
  };
  using namespace std::string_view_literals;
  constexpr auto nat64 = "\0\x64\xff\x9b\0\0\0\0\0\0\0\0"sv;
  if (begins(nat64)) return from_octets(all.substr(12)).is_internal();
  if (begins("\x20\x02"sv)) return from_octets(all.substr(2, 4)).is_internal();  // 6to4
  const bool site_local = octets_[0] == 0xfe && (octets_[1] & 0xc0U) == 0xc0;
  const auto compatible = nat64.substr(4, 8);  // zeros
  return site_local || begins("\0\x64\xff\x9b\0\1"sv) ||
         (begins(compatible) && all.substr(8, 4) == compatible.substr(0, 4));
}

namespace {
void clear_host_bits(std::array<std::uint8_t, 16>& octets, unsigned prefix) {
  for (unsigned bit = prefix; bit < 128; ++bit) octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
}
}  // namespace

Result<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto ip = Ip::parse(text.substr(0, slash));
  if (!ip) return ip.error();
  Network network;
  network.base_ = *ip;
  const unsigned most = ip->is_v4() ? 32 : 128;
  network.prefix_ = most;
  if (slash != std::string_view::npos) {
    const auto prefix = parse_decimal(text.substr(slash + 1));
    if (!prefix || *prefix > most)
      return bad_input("'" + std::string(text) + "': the prefix length must be 0 to " + std::to_string(most));
    network.prefix_ = static_cast<unsigned>(*prefix);
  }
  clear_host_bits(network.base_.octets_, network.prefix_);
  if (network.base_ != *ip)
    return bad_input("'" + std::string(text) + "' has host bits set; the network is " + network.text());
  if (const Ip inner = network.base_.unmapped(); inner.is_v4() && network.base_.is_v6() && network.prefix_ >= 96) {
    network.base_ = inner;  // as contains() compares unmapped addresses
    network.prefix_ -= 96;
  }
  return network;
}

bool Network::contains(const Ip& ip) const {
  Ip other = ip.unmapped();
  if (other.v4_ != base_.v4_) return false;
  clear_host_bits(other.octets_, prefix_);
  return other == base_;
}

std::string Network::text() const {
  return prefix_ == (base_.is_v4() ? 32U : 128U) ? base_.text() : base_.text() + "/" + std::to_string(prefix_);
}

}  // namespace hoplock
