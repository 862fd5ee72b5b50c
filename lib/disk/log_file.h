// SPDX-License-Identifier: Apache-2.0
// The write-ahead log's file as SQLite writes it (its file format, section 4), where SQLite says less than we must know: it takes a
// log with a damaged header for an empty one, and cuts a log at the first frame that does not fit, whatever comes behind.
//
// Behind a power cut a frame that does not fit is ordinary: what was not synced may be torn, in any order. Damage is one among those
// that a sync had covered (synced_mark.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "disk/db.h"
#include "disk/synced_mark.h"

namespace hoplock::disk {

inline constexpr std::size_t log_header_octets = 32;
inline constexpr std::size_t frame_header_octets = 24;

// REQUIRES: no connection of this process has the database open. Errors: bad_message names what is damaged, and a copy of the log was
// kept; others: it could not be read.
Result<> check_log(const std::filesystem::path& database);

// Writes the log anew in place, as far as no sync is known to have covered it, and syncs it: what the last process could not sync lies in
// the page cache as if it were stored. Nobody else writes meanwhile. REQUIRES: the connection is in no transaction.
Result<> renew_log(Database& db);

// How many frames the log has for everybody who has it open, by its shared index.
int frames_of(Database& db);

// Of which log how many frames are in the database, and up to where somebody began to copy them, by the same index.
struct Copying {
  std::uint64_t salts = 0;
  std::uint32_t copied = 0;
  std::uint32_t begun = 0;
  friend bool operator==(const Copying&, const Copying&) = default;
};
std::optional<Copying> copying_of(Database& db);

// Of each of the pages 1 to `last` its newest frame among the log's first `frames`, by the same index; 0: none. Nothing: it cannot be read.
std::optional<std::vector<std::uint32_t>> frames_of_pages(Database& db, std::uint32_t frames, std::size_t last);

// The page that a frame of the log holds. REQUIRES: `octets` is the size of a page.
std::optional<std::string> page_in_log(Database& db, std::uint32_t frame, std::size_t octets);

// The salts of the log that the connection has open. Errors: bad_message: its header is none; io_error.
Result<Synced> log_of(Database& db);

}  // namespace hoplock::disk
