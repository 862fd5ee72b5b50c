// SPDX-License-Identifier: Apache-2.0
#include "dns/pattern.h"

namespace hoplock::dns {

bool Pattern::matches(const Name& domain) const {
  switch (kind) {
    case Kind::any:
      return true;
    case Kind::subdomains:
      return domain != name && domain.is_within(name);
    case Kind::exact:
      return domain == name;
  }
  return false;
}

Result<Pattern> parse_pattern(std::string_view text) {
  Pattern pattern;
  if (text == "*") return pattern;
  pattern.kind = Pattern::Kind::exact;
  if (text.substr(0, 2) == "*.") {
    pattern.kind = Pattern::Kind::subdomains;
    text.remove_prefix(2);
  }
  auto name = Name::parse(text);
  if (!name) return name.error();
  if (name->is_root() || name->text().find('*') != std::string::npos) {
    return bad_input("\"" + std::string(text) + "\": a pattern is \"*\", \"*.example.org\" or \"example.org\"");
  }
  pattern.name = std::move(*name);
  return pattern;
}

std::string to_text(const Pattern& pattern) {
  switch (pattern.kind) {
    case Pattern::Kind::any:
      return "*";
    case Pattern::Kind::subdomains:
      return "*." + pattern.name.text();
    case Pattern::Kind::exact:
      return pattern.name.text();
  }
  return "?";
}

}  // namespace hoplock::dns
