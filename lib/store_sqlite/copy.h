// SPDX-License-Identifier: Apache-2.0
// A database file as what mail is copied from. The daemon is stopped: the caller holds the lock of its directory.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "disk/db.h"
#include "disk/job.h"
#include "store/copied.h"

namespace hoplock::store_sqlite {

// Where the mail of that database went; nothing: it is here, or there is no database.
std::optional<std::string> moved_to(const std::filesystem::path& database);
std::optional<std::string> moved_to(disk::Tx& tx);  // on the disk thread
// Where a part of it may be already, and the rest is to follow.
std::optional<std::string> moving_to(disk::Tx& tx);

Result<std::unique_ptr<store::CopySource>> copy_source(const std::filesystem::path& database);

}  // namespace hoplock::store_sqlite
