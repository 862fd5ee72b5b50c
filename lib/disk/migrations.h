// SPDX-License-Identifier: Apache-2.0
// The shape of the database file over time. Modules own their tables and export migrations; the daemon lists them in
// the order in which they came to be, and user_version counts how many of the list a file has had. Only forward.
#pragma once
#include <string_view>
#include <vector>

#include "base/result.h"
#include "disk/db.h"

namespace hoplock::disk {

struct Migration {
  std::string_view name;  // "queue: first tables"
  std::string_view sql;   // static storage
  // A table whose rows carry checksums of their own: the check at the start leaves it out, it is too large to be read then.
  std::string_view bulk = {};
};

inline constexpr std::int64_t application_id = 0x486f704c;  // "HopL"

// What a file is, found without changing it or its write-ahead log. Errors as Disk::open has them.
enum class Found : std::uint8_t { nothing, current, older };
Result<Found> examine(const std::filesystem::path& path, const std::vector<Migration>& migrations);
// Applies what is missing, all of it in one transaction.
Result<> migrate(Database& db, const std::vector<Migration>& migrations);

}  // namespace hoplock::disk
