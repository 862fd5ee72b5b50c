// SPDX-License-Identifier: Apache-2.0
#include "smtp/capabilities.h"

#include <algorithm>

#include "base/ascii.h"

namespace hoplock::smtp {

namespace {

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string_view take_word(std::string_view& text) {
  text = trim(text);
  const auto length = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, length);
  text.remove_prefix(length);
  return word;
}

// RFC 4422 section 3.1
bool is_mechanism(std::string_view word) {
  return word.size() <= 20 && std::all_of(word.begin(), word.end(),
                                          [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_'; });
}

void add_mechanisms(Capabilities& found, std::string_view list) {
  constexpr std::size_t most = 50;
  for (auto word = take_word(list); !word.empty() && found.auth.size() < most; word = take_word(list)) {
    if (is_mechanism(word) && !found.offers_auth(word)) found.auth.push_back(to_upper(word));
  }
}

void add_line(Capabilities& found, std::string_view line) {
  const std::string keyword = to_upper(take_word(line));
  if (keyword == "SIZE") {
    found.size = true;
    const auto limit = parse_decimal(trim(line));
    if (limit && *limit > 0) found.size_limit = *limit;  // RFC 1870 section 4: 0 and none: no fixed limit
  } else if (keyword == "PIPELINING") {
    found.pipelining = true;
  } else if (keyword == "8BITMIME") {
    found.eight_bit_mime = true;
  } else if (keyword == "BINARYMIME") {
    found.binary_mime = true;
  } else if (keyword == "STARTTLS") {
    found.starttls = true;
  } else if (keyword == "ENHANCEDSTATUSCODES") {
    found.enhanced_status_codes = true;
  } else if (keyword == "CHUNKING") {
    found.chunking = true;
  } else if (keyword == "DSN") {
    found.dsn = true;
  } else if (keyword == "SMTPUTF8") {
    found.smtputf8 = true;
  } else if (keyword == "REQUIRETLS") {
    found.require_tls = true;
  } else if (keyword == "AUTH") {
    add_mechanisms(found, line);
  } else if (keyword.starts_with("AUTH=")) {  // from before RFC 2554, still sent beside the right form
    add_mechanisms(found, std::string_view(keyword).substr(5));
    add_mechanisms(found, line);
  }
}

}  // namespace

Capabilities Capabilities::parse(const Reply& ehlo) {
  Capabilities found;
  if (!ehlo.is_positive()) return found;
  found.extended = true;
  std::string_view rest = ehlo.text;
  for (bool first = true;; first = false) {  // the first line is the server's name
    const auto newline = rest.find('\n');
    if (!first) add_line(found, rest.substr(0, newline));
    if (newline == std::string_view::npos) return found;
    rest.remove_prefix(newline + 1);
  }
}

bool Capabilities::offers_auth(std::string_view mechanism) const {
  return std::any_of(auth.begin(), auth.end(), [&](const auto& one) { return equals_ignoring_case(one, mechanism); });
}

}  // namespace hoplock::smtp
