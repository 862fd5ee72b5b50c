// SPDX-License-Identifier: Apache-2.0
// What every writer of files here needs of the system. For this module's own sources.
#pragma once
#include <filesystem>
#include <string>

#include "base/result.h"

namespace hoplock::disk {

// errno as it is now, with the file's name, or what was done to it.
Error errno_error(const std::string& what);

// What was created, renamed or removed in it is on stable storage. "": the working directory.
Result<> sync_directory(const std::filesystem::path& path);

}  // namespace hoplock::disk
