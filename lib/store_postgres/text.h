// SPDX-License-Identifier: Apache-2.0
// Text of foreign origin as a column of type text takes it: UTF-8 without NUL. What is that already stays as it is.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace hoplock::store_postgres {

inline std::string text_of(std::string_view text) {
  std::string made = is_utf8(text) ? std::string(text) : sanitized(text, Charset::utf8);
  std::replace(made.begin(), made.end(), '\0', '?');
  return made;
}

}  // namespace hoplock::store_postgres
