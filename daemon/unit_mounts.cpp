// SPDX-License-Identifier: Apache-2.0
#include "daemon/unit_mounts.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/ascii.h"
#include "daemon/unit_settings.h"

namespace hoplock::daemon {

namespace {

constexpr std::string_view credentials_directory = "/run/credentials/hoplockd.service/";

bool is_yes(std::string_view value) { return value == "yes" || value == "true" || value == "on" || value == "1"; }

// "-/srv/mail", "+/srv/mail" and, of what is mounted, "/from:/to:options" and "/at:options".
std::string path_in_word(std::string_view word) {
  while (!word.empty() && (word.front() == '-' || word.front() == '+')) word.remove_prefix(1);
  while (word.size() > 1 && word.back() == '/') word.remove_suffix(1);
  return std::string(word);
}
std::string target_of_bind(std::string_view word) {
  const auto parts = split(word, ':');
  return path_in_word(parts.size() > 1 && !parts[1].empty() ? parts[1] : parts[0]);
}

bool is_at_or_in(std::string_view path, std::string_view directory) {
  return directory == "/" || path == directory ||
         (path.starts_with(directory) && path.size() > directory.size() && path[directory.size()] == '/');
}

}  // namespace

void UnitMounts::add_home(std::string_view value) {
  if (!is_yes(value) && value != "read-only" && value != "tmpfs") return;
  const Effect effect = value == "tmpfs"       ? Effect::replaced
                        : value == "read-only" ? Effect::read_only
                                               : Effect::inaccessible;
  for (const char* const path : {"/home", "/root", "/run/user"})
    rules_.push_back({path, effect, "ProtectHome=" + std::string(value)});
}

void UnitMounts::add_system(std::string_view value) {
  const std::string setting = "ProtectSystem=" + std::string(value);
  const auto lock = [&](const char* path) { rules_.push_back({path, Effect::read_only, setting}); };
  if (value == "strict") {
    lock("/");
    for (const char* const path : {"/dev", "/proc", "/sys"}) rules_.push_back({path, Effect::writable, ""});
  } else if (is_yes(value) || value == "full") {
    for (const char* const path : {"/usr", "/boot", "/efi"}) lock(path);
    if (value == "full") lock("/etc");
  }
}

UnitMounts::UnitMounts(std::string_view text) {
  const UnitSettings all(text);
  add_system(to_lower(all.last("ProtectSystem")));
  add_home(to_lower(all.last("ProtectHome")));
  if (const std::string tmp = to_lower(all.last("PrivateTmp")); is_yes(tmp) || tmp == "disconnected") {
    for (const char* const path : {"/tmp", "/var/tmp"}) rules_.push_back({path, Effect::replaced, "PrivateTmp=" + tmp});
  }
  constexpr std::array made{std::pair{"StateDirectory", "/var/lib/"}, std::pair{"LogsDirectory", "/var/log/"},
                            std::pair{"CacheDirectory", "/var/cache/"}, std::pair{"RuntimeDirectory", "/run/"}};
  for (const auto& [key, above] : made) {
    for (const auto& word : all.words(key))
      rules_.push_back({above + path_in_word(split(word, ':').front()), Effect::writable, ""});
  }
  constexpr std::array named{std::pair{"ReadOnlyPaths", Effect::read_only},
                             std::pair{"ReadWritePaths", Effect::writable},
                             std::pair{"InaccessiblePaths", Effect::inaccessible}};
  for (const auto& [key, effect] : named) {
    for (const auto& word : all.words(key)) rules_.push_back({path_in_word(word), effect, key + ("=" + word)});
  }
  for (const auto& word : all.words("TemporaryFileSystem"))
    rules_.push_back({path_in_word(split(word, ':').front()), Effect::replaced, "TemporaryFileSystem=" + word});
  for (const char* const key : {"BindPaths", "BindReadOnlyPaths"}) {
    for (const auto& word : all.words(key)) rules_.push_back({target_of_bind(word), Effect::bound, ""});
  }
  for (const char* const key :
       {"LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"}) {
    for (const auto& word : all.words(key)) {
      const auto parts = split(word, ':');
      const bool from_file = std::string_view(key).starts_with("Load") && parts.size() > 1 && parts[1].starts_with('/');
      credentials_.push_back({std::string(parts[0]), from_file ? std::string(parts[1]) : ""});
    }
  }
}

// What is bound into a directory that was replaced is there again; below one that is inaccessible nothing is.
std::string UnitMounts::hides(const std::string& path) const {
  const Rule* hidden = nullptr;
  for (const Rule& one : rules_) {
    if (!is_at_or_in(path, one.path)) continue;
    if (one.effect == Effect::inaccessible) return one.setting;
    if (one.effect == Effect::replaced && (hidden == nullptr || one.path.size() >= hidden->path.size())) hidden = &one;
  }
  if (hidden == nullptr) return "";
  const bool is_back = std::ranges::any_of(rules_, [&](const Rule& one) {
    return one.effect == Effect::bound && one.path.size() > hidden->path.size() && is_at_or_in(path, one.path);
  });
  return is_back ? "" : hidden->setting;
}

// The longest of the paths counts, and of equal ones the last: lists come behind what a single word implies.
std::string UnitMounts::locks(const std::string& path) const {
  const Rule* nearest = nullptr;
  for (const Rule& one : rules_) {
    if (is_at_or_in(path, one.path) && (nearest == nullptr || one.path.size() >= nearest->path.size())) nearest = &one;
  }
  return nearest != nullptr && nearest->effect == Effect::read_only ? nearest->setting : "";
}

std::string UnitMounts::misses(const std::string& path) const {
  if (!path.starts_with(credentials_directory)) return "";
  const std::string name = path.substr(credentials_directory.size());
  const auto found = std::ranges::find(credentials_, name, &Credential::name);
  if (found == credentials_.end())
    return "the unit hoplockd.service loads no credential '" + name + "': add LoadCredential=" + name + ":FILE to it";
  std::error_code error;
  if (!found->source.empty() && !std::filesystem::exists(found->source, error))
    return "the unit hoplockd.service loads the credential '" + name + "' from '" + found->source +
           "', and there is no such file";
  return "";
}

}  // namespace hoplock::daemon
