// SPDX-License-Identifier: Apache-2.0
#include "disk/migrations.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "disk/files.h"
#include "disk/log_file.h"
#include "disk/synced_mark.h"
#include "disk/vfs.h"

namespace hoplock::disk {
namespace {

constexpr auto longest_check = std::chrono::milliseconds(1000);  // of all tables
constexpr std::int64_t small_pages = 2048;  // such a database is checked whole, on the slowest disk in a second

Error about(const std::filesystem::path& path, errc::errc_t code, const std::string& what) {
  return fail(code, path.string() + ": " + what);
}

std::vector<std::string> schema_of(Database& db) {
  std::vector<std::string> lines;
  auto rows =
      db.prepare("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name");
  while (rows.step())
    lines.push_back(std::string(rows.text(0)) + " " + std::string(rows.text(1)) + "\n" + std::string(rows.text(2)));
  return lines;
}

void apply(Database& db, const std::vector<Migration>& migrations, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) db.execute(migrations[i].sql);
  db.execute("PRAGMA user_version=" + std::to_string(to));
}

// The first line in which the two differ, by its name.
std::string difference(const std::vector<std::string>& found, const std::vector<std::string>& wanted) {
  const auto name = [](const std::string& line) { return line.substr(0, line.find('\n')); };
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (i >= found.size() || found[i] != wanted[i]) return name(wanted[i]);
  return name(found[wanted.size()]);
}

using Deadline = std::chrono::steady_clock::time_point;

// All of the table's tree and those of its indices. Nobody can interrupt it.
std::string check_whole(Database& db, const std::string& table) {
  take_failed_call();
  auto rows = db.prepare("PRAGMA quick_check('" + table + "')");
  if (!rows.step() || rows.text(0) == "ok") return {};
  // what could not be read is told as a finding, too, and is none
  if (const auto call = take_failed_call()) throw Failure(fail(errc::io_error, call->text));
  return std::string(rows.text(0));
}

// Its rows, as many as there is time for: SQLite looks at each page that it comes to.
void check_rows(Database& db, const std::string& table, Deadline end) {
  auto rows = db.prepare("SELECT * FROM \"" + table + "\" NOT INDEXED");
  for (int row = 0; rows.step(); ++row)
    if (row % 16 == 0 && std::chrono::steady_clock::now() > end) return;
}

// Empty when the tables are sound, as far as can be said in a time that does not grow with them (BND-03); the rest is for the modules,
// in slices (Queue::inspect).
std::string damage(Database& db, const std::vector<Migration>& migrations) {
  std::vector<std::string> tables;
  for (auto rows = db.prepare("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'");
       rows.step();) {
    const auto is_it = [&](const Migration& m) { return m.bulk == rows.text(0); };
    if (std::none_of(migrations.begin(), migrations.end(), is_it)) tables.emplace_back(rows.text(0));
  }
  const bool small = db.integer("PRAGMA page_count") <= small_pages;
  const auto share = longest_check / std::max<std::size_t>(tables.size(), 1);
  for (const auto& table : tables) {
    const Deadline end = std::chrono::steady_clock::now() + share;
    std::string found;
    try {
      if (small)
        found = check_whole(db, table);
      else
        check_rows(db, table, end);
    } catch (const Failure& failure) {
      if (failure.error().code != errc::bad_message) throw;
      found = failure.error().detail;
    }
    if (!found.empty()) return "table " + table + ": " + found;
  }
  return {};
}

Result<Found> examine_open(const std::filesystem::path& path, Database& db, const std::vector<Migration>& migrations) {
  const auto application = db.integer("PRAGMA application_id");
  const auto version = static_cast<std::size_t>(db.integer("PRAGMA user_version"));
  const auto schema = schema_of(db);
  if (application == 0 && version == 0 && schema.empty()) return Found::nothing;  // made, but never finished
  if (application != application_id)
    return about(path, errc::wrong_protocol_type,
                 "this SQLite database is not hoplock's; another data_dir, or move it away");
  if (version > migrations.size())
    return about(path, errc::not_supported,
                 "written by a newer hoplock (schema " + std::to_string(version) + ", this one knows " +
                     std::to_string(migrations.size()) + ")");
  auto reference = Database::open(":memory:", Access::read_write);
  if (!reference) return reference.error();
  apply(*reference, migrations, 0, version);
  const auto wanted = schema_of(*reference);
  if (schema != wanted)
    return about(path, errc::bad_message, "the database is damaged: schema: " + difference(schema, wanted));
  if (const auto found = damage(db, migrations); !found.empty())
    return about(path, errc::bad_message, "the database is damaged: " + found);
  return version == migrations.size() ? Found::current : Found::older;
}

}  // namespace

namespace {

// A log that holds something belongs to a database that did.
bool has_orphaned_log(const std::filesystem::path& path) {
  std::error_code ec;
  const auto size = std::filesystem::file_size(path.string() + "-wal", ec);
  return !ec && size > 0;
}

// Its log does not belong to what stands there now.
Error refused_as_overwritten(const std::filesystem::path& path) {
  const std::string name = path.string();
  return about(
      path, errc::bad_message,
      "the database is damaged: it was overwritten while the daemon used it, so mail that was acknowledged may "
      "be missing. Move it away and put a copy back (hoplock restore); to go on with what it holds: rm -f " +
          name + "-wal " + name + "-shm " + name + "-synced");
}

// No database: a first start, unless something says that there was one.
Result<Found> nothing_there(const std::filesystem::path& path) {
  if (has_orphaned_log(path))
    return about(path, errc::bad_message, "the database is damaged: it is gone, but its log queue.db-wal is there");
  const auto synced = SyncedMark::read(path);
  if (!synced || synced->frames == 0) return Found::nothing;
  const std::string mark = path.string() + "-synced";
  return about(path, errc::bad_message,
               "the database is damaged: it is gone and so is its log, but " + mark +
                   " says that a store was there: " + std::to_string(synced->frames) +
                   " frames of that log were on stable storage. Put it back (hoplock restore); to begin anew without "
                   "it: rm " +
                   mark);
}

}  // namespace

Result<Found> examine(const std::filesystem::path& path, const std::vector<Migration>& migrations) {
  std::error_code ec;
  if (SyncedMark::says_overwritten(path)) return refused_as_overwritten(path);
  const auto status = std::filesystem::status(path, ec);
  if (!std::filesystem::exists(status)) return nothing_there(path);
  if (!std::filesystem::is_regular_file(status)) return about(path, errc::wrong_protocol_type, "not a file");
  const auto size = std::filesystem::file_size(path, ec);
  // A new database comes into place whole (disk.cpp): an empty file once held mail, or is not ours.
  if (!ec && size == 0)
    return about(path, errc::bad_message, "the database is damaged: it is empty; to begin anew, move it away");
  if (const auto checked = check_log(path); !checked) return checked.error();
  const auto head = first_octets(path, 16);
  if (!head) return head.error();
  if (*head != std::string("SQLite format 3\0", 16))
    return about(path, errc::wrong_protocol_type, "not a hoplock database (no SQLite header); damaged, or foreign");
  auto db = Database::open(path, Access::read_only);
  if (!db && db.error().code == errc::bad_message)
    return fail(errc::bad_message, "the database is damaged: " + db.error().detail);
  if (!db) return db.error();
  try {
    return examine_open(path, *db, migrations);
  } catch (const Failure& failure) {
    if (failure.error().code == errc::bad_message)
      return about(path, errc::bad_message, "the database is damaged: " + failure.error().detail);
    return fail(failure.error().code, path.string() + ": " + failure.error().detail);
  }
}

Result<> migrate(Database& db, const std::vector<Migration>& migrations) {
  try {
    const auto version = static_cast<std::size_t>(db.integer("PRAGMA user_version"));
    if (version == migrations.size()) return {};
    db.execute("BEGIN IMMEDIATE");
    apply(db, migrations, version, migrations.size());
    db.execute("PRAGMA application_id=" + std::to_string(application_id));
    db.execute("COMMIT");
    return {};
  } catch (const Failure& failure) {
    if (db.in_transaction()) db.execute("ROLLBACK");
    return failure.error();
  }
}

namespace {

// SQLite may have to make the log's index, which a member of the group may not. Where the daemon is stopped, and left no log, the
// database is read as it lies there.
Result<Database> open_somehow(const std::filesystem::path& path) {
  Error why;
  auto db = Database::open(path, Access::read_only);
  if (db) {
    try {
      db->integer("SELECT count(*) FROM sqlite_master");
      return db;
    } catch (const Failure& failure) {
      why = fail(failure.error().code, path.string() + ": " + failure.error().detail);
    }
  } else {
    why = db.error();
  }
  const bool barred =
      why.code == errc::io_error || why.code == errc::permission_denied || why.code == errc::read_only_file_system;
  if (!barred || has_orphaned_log(path)) return why;
  return Database::open(path, Access::at_rest);
}

// Absent is one thing, out of sight another.
Result<> in_sight(const std::filesystem::path& path) {
  if (::access(path.c_str(), R_OK) == 0) return {};
  const int number = errno;
  if (number == ENOENT) return about(path, errc::no_such_file_or_directory, "there is no queue yet");
  const error_code code(number, boost::system::generic_category());
  return fail(code, path.string() + ": " + code.message());
}

}  // namespace

Result<Database> open_read_only(const std::filesystem::path& path) {
  if (const auto seen = in_sight(path); !seen) return seen.error();
  auto db = open_somehow(path);
  if (!db) return db.error();
  try {
    if (db->integer("PRAGMA application_id") != application_id)
      return about(path, errc::wrong_protocol_type, "not a hoplock database");
    return db;
  } catch (const Failure& failure) {
    return fail(failure.error().code, path.string() + ": " + failure.error().detail);
  }
}

}  // namespace hoplock::disk
