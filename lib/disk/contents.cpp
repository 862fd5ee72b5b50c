// SPDX-License-Identifier: Apache-2.0
#include "disk/contents.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <string_view>

#include "disk/files.h"

namespace hoplock::disk {
namespace {

constexpr std::size_t compared_octets = 256 << 10;

// Of anything about it: its time of modification can be put back.
std::int64_t touched_ns(const struct stat& status) {
  return status.st_ctim.tv_sec * std::int64_t{1'000'000'000} + status.st_ctim.tv_nsec;
}

std::size_t hash_of(std::string_view page) { return std::hash<std::string_view>()(page); }

}  // namespace

Contents::Contents(const std::filesystem::path& database, Database& db)
    : path_(database.string()),
      page_octets_(static_cast<std::size_t>(db.integer("PRAGMA page_size"))),
      known_(look(db)) {}

// Of the pages that are there whole.
std::optional<std::vector<std::size_t>> Contents::hashes(Database& db, std::uint64_t octets) const {
  sqlite3_file* const file = db.file();
  if (!file) return std::nullopt;
  std::string beginning(static_cast<std::size_t>(std::min<std::uint64_t>(octets, compared_octets)), '\0');
  const int rc = file->pMethods->xRead(file, beginning.data(), static_cast<int>(beginning.size()), 0);
  if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) return std::nullopt;
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at + page_octets_ <= beginning.size(); at += page_octets_)
    found.push_back(hash_of(std::string_view(beginning).substr(at, page_octets_)));
  return found;
}

std::optional<Contents::State> Contents::look(Database& db) const {
  const auto before = copying_of(db);
  struct stat status {};
  if (!before || before->copied != before->begun || ::stat(path_.c_str(), &status) != 0) return std::nullopt;
  State state;
  state.changed_ns = touched_ns(status);
  state.octets = static_cast<std::uint64_t>(status.st_size);
  state.copying = *before;
  auto pages = hashes(db, state.octets);
  if (!pages || copying_of(db) != before) return std::nullopt;
  state.pages = std::move(*pages);
  return state;
}

Contents::Found Contents::compare(Database& db, const State& now) const {
  if (!known_ || now.copying.salts != known_->copying.salts) return Found::ours;
  if (now.copying == known_->copying && now.octets != known_->octets) return Found::foreign;
  const std::size_t both = std::min(now.pages.size(), known_->pages.size());
  if (std::equal(now.pages.begin(), now.pages.begin() + static_cast<std::ptrdiff_t>(both), known_->pages.begin()))
    return Found::ours;
  const auto frames = frames_of_pages(db, now.copying.copied, both);
  if (!frames) return Found::unclear;
  bool is_foreign = false;
  for (std::size_t i = 0; i < both && !is_foreign; ++i) {
    if (now.pages[i] == known_->pages[i]) continue;
    is_foreign = (*frames)[i] == 0;
    if (is_foreign) break;
    const auto copied = page_in_log(db, (*frames)[i], page_octets_);
    if (!copied) return Found::unclear;
    is_foreign = hash_of(*copied) != now.pages[i];
  }
  // another program may have had the log begin anew meanwhile
  if (copying_of(db) != now.copying) return Found::unclear;
  return is_foreign ? Found::foreign : Found::ours;
}

bool Contents::are_ours(Database& db) {
  struct stat status {};
  // a log that began anew is another state, though nothing was copied
  if (known_ && copying_of(db) == known_->copying && ::stat(path_.c_str(), &status) == 0 &&
      touched_ns(status) == known_->changed_ns)
    return true;
  auto now = look(db);
  if (!now) return true;
  const Found found = compare(db, *now);
  if (found == Found::ours) known_ = std::move(now);
  return found != Found::foreign;
}

}  // namespace hoplock::disk
