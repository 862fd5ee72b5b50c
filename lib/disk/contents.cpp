// SPDX-License-Identifier: Apache-2.0
#include "disk/contents.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <functional>

#include "disk/files.h"

namespace hoplock::disk {
namespace {

constexpr std::size_t compared_octets = 256 << 10;

std::optional<std::size_t> hash_of_beginning(Database& db) {
  sqlite3_file* const file = db.file();
  if (!file) return std::nullopt;
  std::string octets(compared_octets, '\0');
  const int rc = file->pMethods->xRead(file, octets.data(), static_cast<int>(octets.size()), 0);
  if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) return std::nullopt;
  return std::hash<std::string>()(octets);
}

}  // namespace

Contents::Contents(const std::filesystem::path& database, Database& db) : path_(database.string()), known_(look(db)) {}

std::optional<Contents::State> Contents::look(Database& db) const {
  const auto before = copying_of(db);
  struct stat status {};
  if (!before || before->copied != before->begun || ::stat(path_.c_str(), &status) != 0) return std::nullopt;
  State state;
  state.changed_ns = changed_ns(status);
  state.octets = static_cast<std::uint64_t>(status.st_size);
  state.copying = *before;
  const auto beginning = hash_of_beginning(db);
  const auto after = copying_of(db);
  if (!beginning || after != before) return std::nullopt;
  state.beginning = *beginning;
  return state;
}

bool Contents::are_ours(Database& db) {
  struct stat status {};
  // a log that began anew is another state, though nothing was copied
  if (known_ && copying_of(db) == known_->copying && ::stat(path_.c_str(), &status) == 0 &&
      changed_ns(status) == known_->changed_ns)
    return true;
  auto now = look(db);
  if (!now) return true;
  const bool overwritten = known_ && now->copying == known_->copying &&
                           (now->beginning != known_->beginning || now->octets != known_->octets);
  if (!overwritten) known_ = std::move(now);
  return !overwritten;
}

}  // namespace hoplock::disk
