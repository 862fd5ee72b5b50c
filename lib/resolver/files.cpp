// SPDX-License-Identifier: Apache-2.0
#include "resolver/files.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "base/ascii.h"

namespace hoplock::resolver {

namespace {
constexpr std::size_t most_files = 100;
// Of unbound.conf(5). What libunbound writes itself (auto-trust-anchor-file) is not among them.
constexpr std::array including{"include:", "include-toplevel:"};
constexpr std::array naming{"trust-anchor-file:", "trusted-keys-file:", "root-hints:"};

std::vector<std::string> expand(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), GLOB_NOCHECK, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc && i < most_files; ++i) paths.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  return paths;
}

// The value of a line `key: value`, without quotes and comment; "": the line has another key.
template <class Keys>
std::string value_of(std::string_view line, const Keys& keys) {
  for (const std::string_view key : keys) {
    if (line.substr(0, key.size()) != key) continue;
    std::string_view value = trim(line.substr(key.size()));
    if (value.empty()) return {};
    const bool quoted = value.front() == '"' || value.front() == '\'';
    if (quoted) return std::string(value.substr(1, value.find(value.front(), 1) - 1));
    return std::string(value.substr(0, value.find_first_of(" \t#")));
  }
  return {};
}

// `path`, a file in the syntax of unbound.conf, and what it leads to.
void add_conf(FileMarks& marks, const std::string& path) {
  const auto known = [&](const FileMark& mark) { return mark.path == path; };
  if (marks.size() >= most_files || std::any_of(marks.begin(), marks.end(), known)) return;
  marks.push_back(net::mark_of(path));
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return;  // one that waits for its writer would keep the loop
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const std::string_view text = trim(line);
    if (const auto pattern = value_of(text, including); !pattern.empty()) {
      for (const auto& one : expand(pattern)) add_conf(marks, one);
    }
    const auto named = value_of(text, naming);
    if (!named.empty() && marks.size() < most_files) marks.push_back(net::mark_of(named));
  }
}
}  // namespace

FileMarks marks_of(const Options& options) {
  FileMarks marks;
  if (!options.trust_anchor.empty()) marks.push_back(net::mark_of(options.trust_anchor));
  if (!options.root_hints.empty()) marks.push_back(net::mark_of(options.root_hints));
  if (!options.unbound_conf.empty()) add_conf(marks, options.unbound_conf);
  return marks;
}

}  // namespace hoplock::resolver
