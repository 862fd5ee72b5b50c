// SPDX-License-Identifier: Apache-2.0
#include "delivery/source.h"

#include <algorithm>

namespace hoplock::delivery {

namespace {

bool takes(const std::vector<dns::Pattern>& patterns, const std::optional<dns::Name>& domain) {
  if (patterns.empty()) return true;
  return domain && std::any_of(patterns.begin(), patterns.end(),
                               [&](const dns::Pattern& pattern) { return pattern.matches(*domain); });
}

std::optional<dns::Name> domain_of(std::string_view sender) {
  const auto at = sender.rfind('@');
  if (at == std::string_view::npos) return std::nullopt;
  auto name = dns::Name::parse(sender.substr(at + 1));
  return name ? std::optional(std::move(*name)) : std::nullopt;
}

}  // namespace

Source source_for(std::string_view sender, const dns::Name& recipient, const std::vector<SourceRule>& rules,
                  Source otherwise) {
  if (rules.empty()) return otherwise;
  const auto from = domain_of(sender);
  const auto rule = std::find_if(rules.begin(), rules.end(), [&](const SourceRule& one) {
    return takes(one.senders, from) && takes(one.match, recipient);
  });
  if (rule == rules.end()) return otherwise;
  if (rule->ipv4 || rule->ipv6) {
    otherwise.ipv4 = rule->ipv4;
    otherwise.ipv6 = rule->ipv6;
    otherwise.uses_ipv4 = rule->ipv4.has_value();
    otherwise.uses_ipv6 = rule->ipv6.has_value();
  }
  if (!rule->hostname.is_root()) otherwise.hostname = rule->hostname;
  return otherwise;
}

}  // namespace hoplock::delivery
