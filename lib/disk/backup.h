// SPDX-License-Identifier: Apache-2.0
// The whole of a database in a file of its own: for `hoplock backup`, and for what a daemon saves of a store whose files were taken
// away under it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/result.h"
#include "disk/db.h"

namespace hoplock::disk {

// What a daemon saved of a store that lost its files, in data_dir; the next start puts it in place of them.
inline constexpr const char* rescue_name = "queue.db.rescue";

// Pages so far, and of how many.
using CopyProgress = std::function<void(std::uint64_t done, std::uint64_t of)>;

// One consistent copy, mode 0640, on stable storage when it returns, and only then under its name: `to` must not exist, "TO.part" is
// overwritten. Whatever transaction `from` is in, the copy is of what that sees. Errors: file_exists, and those of db.h.
Result<> copy_to(Database& from, const std::filesystem::path& to, const CopyProgress& progress);

}  // namespace hoplock::disk
