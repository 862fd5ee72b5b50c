// SPDX-License-Identifier: Apache-2.0
// The settings of a unit's text, its drop-ins after it (systemd.syntax(7)). Pure.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hoplock::daemon {

class UnitSettings {
 public:
  explicit UnitSettings(std::string_view text);
  // Of all lines of the setting; an empty value empties them.
  const std::vector<std::string>& words(std::string_view key) const;
  // "": none.
  std::string last(std::string_view key) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> words_;  // by key
};

}  // namespace hoplock::daemon
