// SPDX-License-Identifier: Apache-2.0
#include "dns/spf.h"

#include <algorithm>

#include "base/ascii.h"

namespace hoplock::dns {

namespace {

constexpr std::string_view version = "v=spf1";
constexpr std::string_view qualifiers = "+-~?";

bool is_spf(std::string_view text) {
  const std::string_view first = text.substr(0, text.find(' '));
  return equals_ignoring_case(first, version);
}

// Whether the mechanism means the address; nothing: that needs a look-up.
std::optional<bool> matches(std::string_view mechanism, const Ip& ip, const std::vector<Ip>& own) {
  const std::string_view name = mechanism.substr(0, mechanism.find_first_of(":/"));
  if (equals_ignoring_case(mechanism, "all")) return true;
  if (equals_ignoring_case(mechanism, "a")) return std::find(own.begin(), own.end(), ip) != own.end();
  if (!equals_ignoring_case(name, "ip4") && !equals_ignoring_case(name, "ip6")) return std::nullopt;
  const auto network = Network::parse(mechanism.substr(std::min(name.size() + 1, mechanism.size())));
  if (!network) return std::nullopt;
  return network->contains(ip);
}

}  // namespace

std::optional<std::string> spf_record(const std::vector<std::string>& texts) {
  if (std::count_if(texts.begin(), texts.end(), is_spf) != 1) return std::nullopt;
  return *std::find_if(texts.begin(), texts.end(), is_spf);
}

Spf judge_spf(std::string_view record, const Ip& ip, const std::vector<Ip>& own) {
  bool is_sure = true;
  for (std::string_view term : split(record.substr(std::min(version.size(), record.size())), ' ')) {
    if (term.empty() || term.starts_with("exp=")) continue;
    const char qualifier = qualifiers.find(term.front()) == std::string_view::npos ? '+' : term.front();
    if (term.front() == qualifier) term.remove_prefix(1);
    const auto met = matches(term, ip, own);
    is_sure = is_sure && met.has_value();
    if (met != true) continue;
    if (!is_sure) break;  // what stands before it may have decided
    return qualifier == '+' ? Spf::passes : Spf::fails;
  }
  return is_sure ? Spf::fails : Spf::unknown;
}

}  // namespace hoplock::dns
