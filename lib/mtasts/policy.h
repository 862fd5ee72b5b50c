// SPDX-License-Identifier: Apache-2.0
// The policy text that a domain serves over HTTPS: RFC 8461 section 3.2. Value, parser and writer; fetches and keeps nothing.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "dns/name.h"

namespace hoplock::mtasts {

// The policy stands at `https://mta-sts.<policy domain>/.well-known/mta-sts.txt`, and nowhere else (STS-07).
inline constexpr std::string_view policy_host_label = "mta-sts";
inline constexpr std::string_view policy_path = "/.well-known/mta-sts.txt";
inline constexpr std::size_t max_policy_octets = 65536;  // STS-11
inline constexpr Seconds max_lifetime{31557600};         // STS-17

enum class Mode : std::uint8_t { enforce, testing, none };
std::string_view to_text(Mode mode);
std::optional<Mode> parse_mode(std::string_view text);  // case-sensitive

// "mx.example.org", or "*.example.org": exactly one label in front of `name`.
struct Pattern {
  enum class Kind : std::uint8_t { host, one_label_below };
  Kind kind = Kind::host;
  dns::Name name;
  bool operator==(const Pattern&) const = default;
};
std::string to_text(const Pattern& pattern);

struct Policy {
  Mode mode = Mode::none;
  std::vector<Pattern> mx;  // in the order written; empty only for mode none
  Seconds max_age{0};       // 0 to max_lifetime, larger ones were clamped
  bool operator==(const Policy&) const = default;
};

// STS-15 to STS-19. Takes LF and CRLF, blanks at line ends, empty lines, any order of fields and unknown keys; of duplicates
// the first counts, but for mx. Errors: one sentence that names the field or the line.
Result<Policy> parse_policy(std::string_view text);

// The policy as RFC 8461 writes it, CRLF after each line; parse_policy gives back the same value.
std::string to_text(const Policy& policy);

}  // namespace hoplock::mtasts
