// SPDX-License-Identifier: Apache-2.0
// Which domains something of the configuration is meant for.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dns/name.h"

namespace hoplock::dns {

// "*" (every domain), "*.contoso.com" (its subdomains, not itself), "contoso.com".
struct Pattern {
  enum class Kind : std::uint8_t { any, subdomains, exact };
  Kind kind = Kind::any;
  Name name;  // root for `any`
  bool matches(const Name& domain) const;
  auto operator<=>(const Pattern&) const = default;
};
Result<Pattern> parse_pattern(std::string_view text);
std::string to_text(const Pattern& pattern);

}  // namespace hoplock::dns
