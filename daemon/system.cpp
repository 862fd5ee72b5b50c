#include "daemon/system.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/ascii.h"

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
    if (one->ifa_addr->sa_family == AF_INET) {
      const auto& octets = reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
      found.push_back(Ip::from_octets({reinterpret_cast<const char*>(&octets), 4}));
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      const auto& octets = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr;
      found.push_back(Ip::from_octets({reinterpret_cast<const char*>(&octets), 16}));
    }
  }
  return found;
}

}  // namespace hoplock::daemon
