// SPDX-License-Identifier: Apache-2.0
#include "delivery/families.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "delivery/gates.h"
#include "delivery/reply_words.h"

namespace hoplock::delivery {

namespace {
constexpr std::size_t most_hosts = 10'000;
constexpr std::size_t failures_of_machine = 3;  // at hosts of so many owners
constexpr std::chrono::minutes memory{10};

// "ptr" also stands in the middle of other words.
bool speaks_of(std::string_view text, std::string_view word) {
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1))
    if (word != "ptr" || at == 0 || !is_alnum(text[at - 1])) return true;
  return false;
}
}  // namespace

void Families::failed(const std::string& host, const Ip& ip, Clock::time_point now) {
  if (hosts_.size() >= most_hosts) std::erase_if(hosts_, [now](const auto& one) { return now >= one.second; });
  if (hosts_.size() >= most_hosts) hosts_.clear();
  hosts_[{host, ip.is_v4()}] = now + memory;
  Machine& machine = machine_[ip.is_v4()];
  if (now >= machine.until) machine.owners.clear();
  if (machine.owners.size() < failures_of_machine) machine.owners.insert(owner_of(host));
  machine.until = now + memory;
}

void Families::worked(const std::string& host, const Ip& ip) {
  hosts_.erase({host, ip.is_v4()});
  machine_.erase(ip.is_v4());
}

bool Families::is_bad(const std::string& host, bool v4, Clock::time_point now) const {
  const auto here = hosts_.find({host, v4});
  if (here != hosts_.end() && now < here->second) return true;
  const auto machine = machine_.find(v4);
  return machine != machine_.end() && machine->second.owners.size() >= failures_of_machine &&
         now < machine->second.until;
}

std::vector<Ip> Families::ordered(const std::string& host, std::vector<Ip> addresses, Clock::time_point now) const {
  const bool bad4 = is_bad(host, true, now), bad6 = is_bad(host, false, now);
  if (bad4 == bad6) return addresses;
  std::stable_partition(addresses.begin(), addresses.end(), [bad4](const Ip& ip) { return ip.is_v4() != bad4; });
  return addresses;
}

bool is_about_our_address(std::string_view reply) {
  const std::string text = words_of(reply);
  constexpr std::array<std::string_view, 9> words{"ptr",    "reverse dns",  "rdns",   "reverse lookup",  "ipv6",
                                                  "5.7.25", "reverse name", "fcrdns", "reverse hostname"};
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return speaks_of(text, word); });
}

}  // namespace hoplock::delivery
