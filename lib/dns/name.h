// SPDX-License-Identifier: Apache-2.0
// A domain name in the one form that hoplock works with: A-labels, lower case, absolute, without the trailing dot.
// Names become canonical on entry (RFC 5890/5891 by libidn2; RFC 1035 section 2.3.4 for lengths), so that comparing
// texts compares names.
#pragma once
#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::dns {

class Name {
 public:
  Name() = default;  // the root

  // From text as people and protocols write it: U-labels or A-labels, any case, an optional trailing dot; "." is the
  // root. Errors: empty label, label over 63 or name over 253 octets, octets that no host or service name has, IDNA2008
  // refusal.
  static Result<Name> parse(std::string_view text);
  // From uncompressed wire format (RFC 1035 section 3.1); the whole of `wire` must be the name.
  // Labels with octets outside [A-Za-z0-9_-] and an empty wire are errors, but for "*", which stays a label.
  static Result<Name> from_wire(std::string_view wire);

  const std::string& text() const { return text_; }  // "mx.example.org"; the root is "."
  bool is_root() const { return text_ == "."; }
  std::size_t labels() const;
  // prefix "_25._tcp" gives "_25._tcp.mx.example.org". Error: too long.
  Result<Name> under(std::string_view prefix) const;
  // For people: with U-labels where there are any. No input for anything.
  std::string unicode() const;
  // Equal, or below it.
  bool is_within(const Name& zone) const;
  // Without the left-most label; the root's parent is the root.
  Name parent() const;

  auto operator<=>(const Name&) const = default;

 private:
  std::string text_ = ".";
};

}  // namespace hoplock::dns

template <>
struct std::hash<hoplock::dns::Name> {
  std::size_t operator()(const hoplock::dns::Name& name) const noexcept {
    return std::hash<std::string>{}(name.text());
  }
};
