// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/reason.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::tlsrpt {

namespace {
std::string ascii_line(std::string_view text, std::size_t limit) {
  std::string line = to_one_line(text, 4 * limit);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (line.size() > limit) line.resize(limit);
  return std::string(trim(line));
}
}  // namespace

std::string short_code(const hop::Refusal& refusal) { return ascii_line(refusal.code, longest_reason); }

std::string short_reason(const hop::Refusal& refusal) {
  return ascii_line(refusal.code.empty() ? refusal.text : refusal.code, longest_reason);
}

// libunbound: "validation failure <_25._tcp.mx.ex. TLSA IN>: signature expired from 192.0.2.53 for key mx.ex. while …"
std::string dnssec_reason(std::string_view why) {
  constexpr std::string_view preamble = "validation failure <";
  if (why.starts_with(preamble)) {
    const std::size_t end = why.find(">: ");
    if (end != std::string_view::npos) why.remove_prefix(end + 3);
  }
  return ascii_line(why.substr(0, why.find(" from ")), longest_reason);
}

std::string clean_helo(std::string_view helo) { return ascii_line(helo, longest_helo); }

}  // namespace hoplock::tlsrpt
