// SPDX-License-Identifier: Apache-2.0
#include "daemon/unit_settings.h"

#include "base/ascii.h"

namespace hoplock::daemon {

UnitSettings::UnitSettings(std::string_view text) {
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view one = trim(line);
    const auto equals = one.find('=');
    if (equals == std::string_view::npos || one.front() == '#' || one.front() == ';') continue;
    auto& words = words_[std::string(trim(one.substr(0, equals)))];
    const std::string_view value = trim(one.substr(equals + 1));
    if (value.empty()) words.clear();
    for (const std::string_view word : split(value, ' ')) {
      if (!trim(word).empty()) words.emplace_back(trim(word));
    }
  }
}

const std::vector<std::string>& UnitSettings::words(std::string_view key) const {
  static const std::vector<std::string> none;
  const auto found = words_.find(key);
  return found == words_.end() ? none : found->second;
}

std::string UnitSettings::last(std::string_view key) const {
  const auto& all = words(key);
  return all.empty() ? "" : all.back();
}

}  // namespace hoplock::daemon
