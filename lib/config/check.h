// SPDX-License-Identifier: Apache-2.0
// What a configuration that reads well may still get wrong: files that are missing or do not fit, keys that contradict
// each other, values out of range. Looks at the file system; opens no socket and changes nothing.
#pragma once
#include "config/reader.h"

namespace hoplock::config {

// Files that the configuration names: looked at, or left to whoever opens them. Who only asks the daemon or reads the queue need not be
// able to read the daemon's keys, nor see what systemd hands it (LoadCredential=). readable_ones: what this user may not read is no fault.
enum class Files { looked_at, readable_ones, left_alone };

// Reads `path`, checks it, and returns all complaints with it. An unreadable file is one complaint that names it.
Loaded load(const std::string& path, Files files = Files::looked_at);
// Adds the complaints and warnings that need a look beyond single keys.
void check(Loaded& loaded, Files files = Files::looked_at);
// The part of it that is about files.
void check_files(Loaded& loaded, Files files);

}  // namespace hoplock::config
