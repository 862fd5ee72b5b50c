// SPDX-License-Identifier: Apache-2.0
#include "disk/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "disk/files.h"

namespace hoplock::disk {
namespace {

constexpr int pages_a_step = 1024;

Result<> copy_pages(Database& from, Database& to, const CopyProgress& progress) {
  sqlite3_backup* const copy = sqlite3_backup_init(to.native(), "main", from.native(), "main");
  if (!copy) return to.last_error(sqlite3_errcode(to.native()));
  int rc = SQLITE_OK;
  while (rc == SQLITE_OK) {
    rc = sqlite3_backup_step(copy, pages_a_step);
    const auto all = static_cast<std::uint64_t>(sqlite3_backup_pagecount(copy));
    if (progress) progress(all - static_cast<std::uint64_t>(sqlite3_backup_remaining(copy)), all);
  }
  sqlite3_backup_finish(copy);
  if (rc != SQLITE_DONE) return to.last_error(rc);
  return {};
}

// Made by hand, so that what is said is why the system refused it.
Result<> make_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) return errno_error(path);
  ::close(fd);
  return {};
}

Result<> copy_whole(Database& from, const std::filesystem::path& to, const CopyProgress& progress) {
  Database::Settings settings;
  settings.journal = Journal::rollback;
  auto copy = Database::open(to, Access::read_write, settings);
  if (!copy) return copy.error();
  try {
    copy->execute("PRAGMA synchronous=FULL");
    if (auto copied = copy_pages(from, *copy, progress); !copied) return copied;
    copy->execute("PRAGMA journal_mode=DELETE");  // one file, whatever the original had beside it
  } catch (const Failure& failure) {
    return failure.error();
  }
  return {};
}

}  // namespace

Result<> copy_to(Database& from, const std::filesystem::path& to, const CopyProgress& progress) {
  std::error_code ec;
  if (std::filesystem::exists(std::filesystem::symlink_status(to, ec)))
    return fail(errc::file_exists, to.string() + " is there already");
  const std::filesystem::path part = to.string() + ".part";
  std::filesystem::remove(part, ec);
  if (auto made = make_file(part); !made) return made;
  auto copied = copy_whole(from, part, progress);
  if (copied && ::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno != EINVAL || ::rename(part.c_str(), to.c_str()) != 0) copied = errno_error(to);
  }
  if (copied) return sync_directory(to.parent_path());
  std::filesystem::remove(part, ec);
  std::filesystem::remove(part.string() + "-journal", ec);
  return fail(copied.error().code, part.string() + ": " + copied.error().detail);
}

}  // namespace hoplock::disk
