// SPDX-License-Identifier: Apache-2.0
// What every writer of files here needs of the system. For this module's own sources.
#pragma once
#include <filesystem>

#include "base/result.h"

namespace hoplock::disk {

// errno as it is now, with the file's name.
Error errno_error(const std::filesystem::path& path);

// What was created, renamed or removed in it is on stable storage. "": the working directory.
Result<> sync_directory(const std::filesystem::path& path);

}  // namespace hoplock::disk
