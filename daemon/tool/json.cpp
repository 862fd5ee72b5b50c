// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/json.h"

#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "base/utf8.h"

namespace hoplock::daemon::tool {

json::string clean(std::string_view text) {
  json::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view one = length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
    out.append(json::string_view(one.data(), one.size()));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

json::value text_or_null(std::string_view text) { return text.empty() ? json::value() : json::value(clean(text)); }
json::value time_or_null(const std::optional<Time>& time) {
  return time ? json::value(clean(to_rfc3339(*time))) : json::value();
}
json::value address(std::string_view text) { return clean(text.empty() ? "<>" : text); }

// Boost escapes what is below a blank; DEL, the C1 controls and what turns the writing direction are escaped here. None of them
// can stand outside a string.
std::string to_line(const json::value& value) {
  const std::string text = json::serialize(value);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = [&](std::size_t n) {
      return i + n < text.size() ? static_cast<unsigned char>(text[i + n]) : static_cast<unsigned char>(0);
    };
    unsigned escaped = 0;
    std::size_t length = 1;
    if (c == 0x7F) {
      escaped = c;
    } else if (c == 0xC2 && next(1) < 0xA0) {
      escaped = next(1);
      length = 2;
    } else if (c == 0xE2 && (next(1) == 0x80 || next(1) == 0x81)) {
      const unsigned point = ((c & 0x0FU) << 12U) | ((next(1) & 0x3FU) << 6U) | (next(2) & 0x3FU);
      const bool turns = (point >= 0x200E && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
                         (point >= 0x2066 && point <= 0x2069);
      escaped = turns ? point : 0;
      length = turns ? 3 : 1;
    }
    if (escaped == 0) {
      out += text[i];
    } else {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\u%04x", escaped);
      out += code.data();
    }
    i += length;
  }
  return out;
}

}  // namespace hoplock::daemon::tool
