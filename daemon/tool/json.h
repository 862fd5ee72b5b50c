// SPDX-License-Identifier: Apache-2.0
// JSON as the tool prints it: strings are well-formed UTF-8 and hold no raw control character, times are RFC 3339, addresses stand
// without brackets but for the empty sender `<>`, nothing known is null.
#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace hoplock::daemon::tool {

namespace json = boost::json;

// Octets that are not UTF-8 become U+FFFD.
json::string clean(std::string_view text);
// null for the empty text
json::value text_or_null(std::string_view text);
json::value time_or_null(const std::optional<Time>& time);
// "" is the empty sender
json::value address(std::string_view text);
// One line, without its end.
std::string to_line(const json::value& value);

}  // namespace hoplock::daemon::tool
