// SPDX-License-Identifier: Apache-2.0
// What a unit takes of the file system from its service (systemd.exec(5)): a file whose owner and mode are right may be out of the
// service's sight, or behind a file system that it may only read. Judged by the unit's text; no namespace is entered.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hoplock::daemon {

class UnitMounts {
 public:
  UnitMounts() = default;  // takes nothing away
  // The unit's text, its drop-ins after it: the last of a setting counts, lists grow, an empty value empties them.
  explicit UnitMounts(std::string_view text);

  // The setting that keeps the service from seeing what is at this absolute path, "ProtectHome=yes"; "": none does.
  std::string hides(const std::string& path) const;
  // The setting that lets it read there only; "": none does.
  std::string locks(const std::string& path) const;
  // Why the file of a credential is not to be there at the next start: the unit hands over none of that name, or from a file that is
  // missing; "": it will be there, or the path is none of a credential's.
  std::string misses(const std::string& path) const;

 private:
  enum class Effect : std::uint8_t { inaccessible, replaced, bound, read_only, writable };
  struct Rule {
    std::string path;
    Effect effect;
    std::string setting;
  };
  struct Credential {
    std::string name;
    std::string source;  // an absolute path; "": another way
  };
  void add_home(std::string_view value);
  void add_system(std::string_view value);
  std::vector<Rule> rules_;
  std::vector<Credential> credentials_;
};

}  // namespace hoplock::daemon
