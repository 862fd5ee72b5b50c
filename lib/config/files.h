// SPDX-License-Identifier: Apache-2.0
// The files that a configuration names: which ones, what they hold, and whether reading them keeps anybody waiting. A FIFO waits for its
// writer and a device has no end; neither is ever opened in a way that waits.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/values.h"

namespace hoplock::config {

struct NamedFile {
  using Kind = FileKind;
  std::string item;  // "listeners[0].certificate"
  std::string path;
  Kind kind = Kind::other;

  bool is_secret() const { return kind == Kind::key || kind == Kind::password; }
  // In octets: what a daemon reads without keeping anybody waiting.
  std::uint64_t bound() const;
};
inline constexpr std::uint64_t most_of_certificates = 1 << 20;  // octets
inline constexpr std::uint64_t most_of_others = 16 << 20;

// Those that are set, in the order of the keys.
std::vector<NamedFile> named_files(const Config& config);

// Whether it can be read at once: a regular file of at most `most` octets, or /dev/null. The error says "it is …"; it has
// errc::permission_denied where this user cannot know. Opens nothing.
Result<> is_fit(const std::string& path, std::uint64_t most);
// The whole content, if is_fit.
Result<std::string> read_file(const std::string& path, std::uint64_t most = most_of_others);
// Whether it is there, as far as is known, and this user may not read it.
bool is_barred(const std::string& path);

}  // namespace hoplock::config
