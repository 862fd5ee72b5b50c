// SPDX-License-Identifier: Apache-2.0
#include "daemon/system.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/ascii.h"
#include "net/endpoint.h"

namespace hoplock::daemon {

namespace {

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  for (const char* const blanks = " \t\r";;) {
    const auto begin = line.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return found;
    line.remove_prefix(begin);
    const auto end = line.find_first_of(blanks);
    found.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return found;
    line.remove_prefix(end);
  }
}

std::optional<Ip> address_in(const sockaddr& from) {
  if (from.sa_family == AF_INET) {
    const auto& octets = reinterpret_cast<const sockaddr_in&>(from).sin_addr;
    return Ip::from_octets({reinterpret_cast<const char*>(&octets), 4});
  }
  if (from.sa_family != AF_INET6) return std::nullopt;
  const auto& octets = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
  return Ip::from_octets({reinterpret_cast<const char*>(&octets), 16});
}

}  // namespace

dns::Name qualified_hostname(std::string_view short_name, std::string_view hosts_file) {
  if (short_name.find('.') == std::string_view::npos) {
    for (const auto line : split(hosts_file, '\n')) {
      const auto names = words(line.substr(0, line.find('#')));
      bool mine = false;
      for (std::size_t i = 1; i < names.size(); ++i) mine = mine || equals_ignoring_case(names[i], short_name);
      for (std::size_t i = 1; mine && i < names.size(); ++i) {
        const auto name = dns::Name::parse(names[i]);
        if (name && name->labels() > 1) return *name;
      }
    }
  }
  const auto name = dns::Name::parse(short_name);
  if (name && name->labels() > 1) return *name;
  if (name && !name->is_root()) {
    if (const auto qualified = dns::Name::parse(name->text() + ".localdomain")) return *qualified;
  }
  return *dns::Name::parse("localhost.localdomain");
}

dns::Name system_hostname() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  std::ifstream in("/etc/hosts", std::ios::binary);
  const std::string hosts{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return qualified_hostname(name.data(), hosts);
}

std::vector<Ip> interface_addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, freeifaddrs);
  std::vector<Ip> found;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    if (const auto ip = address_in(*one->ifa_addr)) found.push_back(*ip);
  }
  return found;
}

std::optional<Ip> address_towards(const Ip& target) {
  namespace asio = boost::asio;
  constexpr std::uint16_t any_port = 25;
  asio::io_context unused;
  asio::ip::udp::socket socket(unused);
  const auto to = net::to_asio({target, any_port});
  boost::system::error_code ec;
  socket.connect({to.address(), to.port()}, ec);
  if (ec) return std::nullopt;
  const auto own = socket.local_endpoint(ec);
  if (ec) return std::nullopt;
  return net::from_asio({own.address(), own.port()}).ip;
}

}  // namespace hoplock::daemon
