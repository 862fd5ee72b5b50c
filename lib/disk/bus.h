// SPDX-License-Identifier: Apache-2.0
// SQLite has the log's index mapped. Where somebody cuts that file, the next access to it is a signal that no call returns from.
#pragma once
#include <filesystem>

namespace hoplock::disk {

// From now on such a signal ends the process with exit 74 and a line to standard error that names the file. What was acknowledged is in
// the log, and the next start makes the index anew. For the whole process; the last call counts.
void end_when_cut(const std::filesystem::path& index);

}  // namespace hoplock::disk
