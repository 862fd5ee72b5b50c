// SPDX-License-Identifier: Apache-2.0
#include "disk/db.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>

#include "disk/vfs.h"

namespace hoplock::disk {
namespace {

errc::errc_t code_of(int rc, const std::optional<FailedCall>& call) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return errc::no_space_on_device;
    case SQLITE_IOERR:
      // a sync without room: the kernel has let go of what was written, which is more than a full disk
      if (call && !call->sync && (call->number == ENOSPC || call->number == EDQUOT)) return errc::no_space_on_device;
      return errc::io_error;
    case SQLITE_CANTOPEN:
      if (call && (call->number == EACCES || call->number == EPERM)) return errc::permission_denied;
      if (call && (call->number == ENOSPC || call->number == EDQUOT)) return errc::no_space_on_device;
      return errc::io_error;
    case SQLITE_READONLY:
      return errc::read_only_file_system;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return errc::permission_denied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return errc::bad_message;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return errc::device_or_resource_busy;
    case SQLITE_NOMEM:
      return errc::not_enough_memory;
    default:
      return errc::state_not_recoverable;
  }
}

// SQLite's words, and what the system said of which file where it was the system that failed.
Error error_of(sqlite3* db, int rc) {
  auto call = take_failed_call();
  // SQLite calls malformed what it could not read a moment ago
  if (call && (rc & 0xff) == SQLITE_CORRUPT && (call->rc & 0xff) == SQLITE_IOERR)
    return fail(errc::io_error, call->text);
  if (call && (call->rc & 0xff) != (rc & 0xff)) call.reset();  // of something that was got over
  std::string text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
  if (call) text += ": " + call->text;
  if ((rc & 0xff) == SQLITE_BUSY) text += " by another process";
  return fail(code_of(rc, call), std::move(text));
}

[[noreturn]] void raise(sqlite3* db, int rc) { throw Failure(error_of(db, rc)); }

// SQLite's other files take over its mode. Only a file that is not there is opened: closing a descriptor of one that SQLite has
// open would drop the locks that this process holds on it (POSIX: any descriptor, all locks).
void make_private_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd >= 0) ::close(fd);
}

std::string immutable_uri(const std::filesystem::path& path) {
  std::string uri = "file:";
  for (const char c : path.string()) {
    constexpr std::string_view special = "%?#";
    if (special.find(c) == std::string_view::npos)
      uri += c;
    else
      uri += c == '%' ? "%25" : c == '?' ? "%3f" : "%23";
  }
  return uri + "?immutable=1";
}

}  // namespace

bool is_full(const Error& error) { return error.code == errc::no_space_on_device; }

bool is_unavailable(const Error& error) {
  return error.code == errc::no_space_on_device || error.code == errc::io_error ||
         error.code == errc::read_only_file_system || error.code == errc::device_or_resource_busy;
}

// --- Statement ---------------------------------------------------------------------------------------------------------

Statement::~Statement() {
  if (!statement_) return;
  sqlite3_reset(statement_);
  *lent_ = false;
}

void Statement::reset() { sqlite3_reset(statement_); }

bool Statement::step() {
  const int rc = sqlite3_step(statement_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  sqlite3* db = sqlite3_db_handle(statement_);
  Error error = error_of(db, rc);
  sqlite3_reset(statement_);
  throw Failure(std::move(error));
}

Statement& Statement::run() {
  while (step()) {
  }
  sqlite3_reset(statement_);
  return *this;
}

int Statement::columns() const { return sqlite3_column_count(statement_); }
bool Statement::null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return data ? std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
              : std::string_view();
}

std::string_view Statement::blob(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return data ? std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
              : std::string_view();
}

void Statement::put_integer(int index, std::int64_t value) {
  if (const int rc = sqlite3_bind_int64(statement_, index, value)) raise(sqlite3_db_handle(statement_), rc);
}
void Statement::put_text(int index, std::string_view value) {
  const char* data = value.data() ? value.data() : "";
  if (const int rc = sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_STATIC, SQLITE_UTF8))
    raise(sqlite3_db_handle(statement_), rc);
}
void Statement::put_blob(int index, std::string_view value) {
  const char* data = value.data() ? value.data() : "";
  if (const int rc = sqlite3_bind_blob64(statement_, index, data, value.size(), SQLITE_STATIC))
    raise(sqlite3_db_handle(statement_), rc);
}
void Statement::put_null(int index) { sqlite3_bind_null(statement_, index); }

// --- Database ----------------------------------------------------------------------------------------------------------

Database::Prepared::~Prepared() { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

CountingSteps::CountingSteps(Database& db) : db_(db) {
  constexpr int steps = 10'000;
  constexpr auto count = [](void*) {
    note_call_done();
    return 0;  // anything else would break the statement off
  };
  sqlite3_progress_handler(db_.native(), steps, +count, nullptr);
}
CountingSteps::~CountingSteps() { sqlite3_progress_handler(db_.native(), 0, nullptr, nullptr); }

Result<Database> Database::open(const std::filesystem::path& path, Access access) {
  return open(path, access, Settings{});
}

Result<Database> Database::open(const std::filesystem::path& path, Access access, Settings settings) {
  const bool creates = access == Access::read_write;
  const bool writes = creates || access == Access::existing;
  if (creates && path != ":memory:") make_private_file(path);
  sqlite3* raw = nullptr;
  int flags = (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
  if (creates) flags |= SQLITE_OPEN_CREATE;
  if (access == Access::at_rest) flags |= SQLITE_OPEN_URI;
  const std::string name = access == Access::at_rest ? immutable_uri(path) : path.string();
  const int rc = sqlite3_open_v2(name.c_str(), &raw, flags, layer());
  Database db(raw);
  if (rc != SQLITE_OK) {
    Error error = error_of(raw, rc);
    return fail(error.code, path.string() + ": " + error.detail);
  }
  db.leave_log();  // closing after a failure below would copy and remove a log that a start has not looked at
  try {
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, 5000);  // of a recovery by another process; jobs never wait for one another
    sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    {
      const ReadingAhead recovery;  // of the log: this reads the schema, as the first
      db.execute("PRAGMA cache_size=-" + std::to_string(settings.cache_bytes >> 10));
    }
    db.execute("PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF; PRAGMA wal_autocheckpoint=0");
    if (writes) {
      // Of a database that is there it would write a page, before its log is renewed. That it can shrink costs intake nothing to speak
      // of: with it to without it, medians of nine runs in turn, 1.00 at 1 KiB and 0.99 at 10 KiB a message.
      if (creates)
        db.execute("PRAGMA page_size=" + std::to_string(settings.page_bytes) + "; PRAGMA auto_vacuum=INCREMENTAL");
      db.keep(settings.journal);
      db.execute("PRAGMA synchronous=FULL; PRAGMA journal_size_limit=" + std::to_string(settings.log_bytes));
      db.tend_log();
    }
  } catch (const Failure& failure) {
    return fail(failure.error().code, path.string() + ": " + failure.error().detail);
  }
  if (const char* full = sqlite3_db_filename(raw, "main"); full && *full) db.files_ = files_of(full);
  return db;
}

// SQLite answers with the mode that it has, not with an error, where it cannot have a log (network file systems).
void Database::keep(Journal journal) {
  const std::string_view wanted = journal == Journal::log ? "wal" : "delete";
  auto answer = prepare(journal == Journal::log ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
  const std::string mode(answer.step() ? answer.text(0) : "");
  if (mode == wanted || mode == "memory") return;
  throw Failure(fail(errc::not_supported, "its journal mode stays '" + mode + "', not '" + std::string(wanted) +
                                              "': data_dir must be on a file system of this machine"));
}

void Database::leave_log() { sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }
void Database::tend_log() { sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr); }
void Database::keep_log() {
  int on = 1;
  sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_PERSIST_WAL, &on);
}
sqlite3_file* Database::file() const {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file));
  return file && file->pMethods ? file : nullptr;
}
Error Database::last_error(int rc) const { return error_of(db_.get(), rc); }
bool Database::has_failed() const { return files_ && disk::has_failed(*files_); }
std::optional<Error> Database::frozen() const { return files_ ? disk::frozen(*files_) : std::nullopt; }

Statement Database::prepare(std::string_view sql) {
  auto found = cache_.find(sql);
  if (found == cache_.end()) {
    sqlite3_stmt* statement = nullptr;
    const int rc = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &statement, nullptr);
    if (rc != SQLITE_OK) raise(db_.get(), rc);
    found = cache_.try_emplace(std::string(sql)).first;
    found->second.statement = statement;
  }
  Prepared& prepared = found->second;
  if (prepared.lent) throw std::logic_error("statement is in use: " + std::string(sql));
  prepared.lent = true;
  return Statement(prepared.statement, &prepared.lent);
}

void Database::execute(std::string_view sql) {
  if (const int rc = sqlite3_exec(db_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr)) raise(db_.get(), rc);
}

std::int64_t Database::integer(std::string_view sql) {
  auto statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }

}  // namespace hoplock::disk
