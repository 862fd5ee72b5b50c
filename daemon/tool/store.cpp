// SPDX-License-Identifier: Apache-2.0
// `hoplock backup`, `restore` and `compact`: the store as a whole.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "control/client.h"
#include "daemon/options.h"
#include "daemon/store_options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "disk/backup.h"
#include "disk/lock.h"
#include "disk/migrations.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::chrono::milliseconds progress_every{200};

int code_of(const Error& error) {
  if (error.code == errc::device_or_resource_busy) return unavailable;
  const bool made = error.code == errc::file_exists || error.code == errc::permission_denied ||
                    error.code == errc::no_such_file_or_directory || error.code == errc::not_a_directory ||
                    error.code == errc::read_only_file_system;
  return made ? cannot_create : io_error;
}

// One line that is written over, where somebody watches.
class Watched {
 public:
  Watched(const Console& console, std::string what) : console_(console), what_(std::move(what)) {}
  ~Watched() {
    if (shown_) console_.err << '\n' << std::flush;
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  void operator()(std::uint64_t done, std::uint64_t of) {
    const auto now = std::chrono::steady_clock::now();
    if (isatty(STDERR_FILENO) == 0 || of == 0 || (now - last_ < progress_every && done < of)) return;
    last_ = now;
    shown_ = true;
    console_.err << '\r' << what_ << ": " << done * 100 / of << " %" << std::flush;
  }

 private:
  const Console& console_;
  std::string what_;
  std::chrono::steady_clock::time_point last_{};
  bool shown_ = false;
};

struct Counts {
  std::int64_t messages = 0;
  std::int64_t recipients = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
};
Counts counts_of(disk::Database& db) {
  return {db.integer("SELECT count(*) FROM message"), db.integer("SELECT count(*) FROM recipient")};
}

// Every page read, every table and index walked.
Result<Counts> verified(const std::filesystem::path& file) {
  auto db = disk::Database::open(file, disk::Access::at_rest);
  if (!db) return db.error();
  try {
    auto rows = db->prepare("PRAGMA quick_check(1)");
    if (!rows.step() || rows.text(0) != "ok")
      return fail(errc::bad_message, file.string() + ": the copy is damaged: " + std::string(rows.text(0)));
    return counts_of(*db);
  } catch (const disk::Failure& failure) {
    return fail(failure.error().code, file.string() + ": " + failure.error().detail);
  }
}

// In one read transaction, so that whatever the daemon does meanwhile the copy is of one moment.
Result<Counts> back_up(disk::Database& db, const std::filesystem::path& to, const Console& console) {
  try {
    db.execute("BEGIN");
    const Counts before = counts_of(db);
    Watched watched(console, "copied");
    if (auto copied = disk::copy_to(db, to, std::ref(watched)); !copied) return copied.error();
    db.execute("ROLLBACK");
    const auto found = verified(to);
    if (!found) return found.error();
    if (*found != before) return fail(errc::io_error, to.string() + ": the copy holds other messages than the store");
    return found;
  } catch (const disk::Failure& failure) {
    return failure.error();
  }
}

// As the directory's owner has them, when root does it for him.
void hand_over(const std::filesystem::path& directory, const std::filesystem::path& file) {
  struct stat owner {};
  if (geteuid() != 0 || ::stat(directory.c_str(), &owner) != 0) return;
  [[maybe_unused]] const int done = ::chown(file.c_str(), owner.st_uid, owner.st_gid);
}

Result<Counts> put_back(const std::filesystem::path& file, const Call& call) {
  const auto options = disk_options(call.loaded.config);
  const auto database = options.directory / "queue.db";
  std::error_code ec;
  std::filesystem::create_directories(options.directory, ec);
  if (ec)
    return fail(error_code(ec.value(), boost::system::generic_category()),
                options.directory.string() + ": " + ec.message());
  const auto lock = disk::Lock::take(options.directory);
  if (!lock) return lock.error();
  hand_over(options.directory, options.directory / "lock");
  const auto log = options.directory / "queue.db-wal";
  if (std::filesystem::exists(log, ec) && std::filesystem::file_size(log, ec) == 0) std::filesystem::remove(log, ec);
  for (const char* one : {"queue.db", "queue.db-wal", disk::rescue_name})
    if (std::filesystem::exists(options.directory / one, ec))
      return fail(errc::file_exists,
                  (options.directory / one).string() + " is there: a store is put back only where there is none");
  const auto found = disk::examine(file, options.migrations);
  if (!found) return found.error();
  if (*found == disk::Found::nothing) return fail(errc::bad_message, file.string() + ": there is no store in it");
  const auto counts = verified(file);
  if (!counts) return counts.error();
  auto db = disk::Database::open(file, disk::Access::at_rest);
  if (!db) return db.error();
  // Of the store that was there, which tell nothing of this one; the mark goes last: without it a copy cut short would be a first start.
  std::filesystem::remove(options.directory / "queue.db-shm", ec);
  Watched watched(call.console, "put back");
  if (auto copied = disk::copy_to(*db, database, std::ref(watched)); !copied) return copied.error();
  std::filesystem::remove(options.directory / "queue.db-synced", ec);
  hand_over(options.directory, database);
  return verified(database);
}

int say(const Call& call, const Counts& counts, std::string_view what) {
  if (call.arguments.json) {
    json::object object;
    object["messages"] = counts.messages;
    object["recipients"] = counts.recipients;
    call.console.out << to_line(object) << '\n';
  } else {
    call.console.out << what << ": " << counted(static_cast<std::uint64_t>(counts.messages), "message") << ", "
                     << counted(static_cast<std::uint64_t>(counts.recipients), "recipient") << "; verified\n";
  }
  return ok;
}

// These are about queue.db; servers have their own means.
std::optional<int> not_for_servers(const Call& call, std::string_view instead) {
  if (call.loaded.config.store.place.is_sqlite()) return std::nullopt;
  return complain(call.console, usage,
                  "the store is on servers (" + store_name(call.loaded.config) + "): " + std::string(instead));
}

}  // namespace

int backup(const Call& call) {
  if (const auto wrong = not_for_servers(call, "take a base backup of them (pg_basebackup)")) return *wrong;
  const std::filesystem::path to = call.arguments.words.front();
  auto db = disk::open_read_only(database_path(call.loaded.config));
  if (!db) return complain(call.console, io_error, db.error().detail);
  const auto done = back_up(*db, to, call.console);
  if (!done) return complain(call.console, code_of(done.error()), done.error().detail);
  return say(call, *done, "backed up to " + printable(to.string()));
}

int restore(const Call& call) {
  if (const auto wrong = not_for_servers(call, "put a base backup of theirs back")) return *wrong;
  const std::filesystem::path from = call.arguments.words.front();
  std::error_code ec;
  if (!std::filesystem::is_regular_file(from, ec))
    return complain(call.console, io_error, from.string() + ": " + (ec ? ec.message() : "not a file"));
  const auto done = put_back(from, call);
  if (!done) return complain(call.console, code_of(done.error()), done.error().detail);
  return say(call, *done, "restored from " + printable(from.string()));
}

int compact(const Call& call) {
  if (const auto wrong = not_for_servers(call, "they give space back by themselves (autovacuum)")) return *wrong;
  const Console& console = call.console;
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(console, unavailable, client.error().detail);
  const auto done =
      client->compact([&](std::uint64_t pages) { console.err << counted(pages, "page") << " to go" << std::endl; });
  if (!done) {
    const bool answered = done.error().code == errc::operation_not_permitted;
    return complain(console, answered ? io_error : unavailable, done.error().detail);
  }
  if (call.arguments.json) {
    json::object object;
    object["octets"] = done->octets;
    object["pages"] = done->pages;
    console.out << to_line(object) << '\n';
  } else {
    console.out << counted(done->pages, "page") << " given back; the file shrinks when its log is next copied\n";
  }
  return ok;
}

}  // namespace hoplock::daemon::tool
