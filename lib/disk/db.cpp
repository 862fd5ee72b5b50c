#include "disk/db.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hoplock::disk {
namespace {

errc::errc_t code_of(int rc, int system_errno) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return errc::no_space_on_device;
    case SQLITE_IOERR:
      return system_errno == ENOSPC || system_errno == EDQUOT ? errc::no_space_on_device : errc::io_error;
    case SQLITE_CANTOPEN:
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

Error error_of(sqlite3* db, int rc) {
  const int system_errno = db ? sqlite3_system_errno(db) : 0;
  const auto code = code_of(rc, system_errno);
  std::string text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
  if ((code == errc::io_error || code == errc::no_space_on_device) && system_errno != 0)
    text += std::string(": ") + strerror(system_errno);
  return fail(code, std::move(text));
}

[[noreturn]] void raise(sqlite3* db, int rc) { throw Failure(error_of(db, rc)); }

void make_private_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);  // SQLite's other files take over its mode
  if (fd >= 0) ::close(fd);
}

}  // namespace

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

Result<Database> Database::open(const std::filesystem::path& path, Access access) {
  return open(path, access, Settings{});
}

Result<Database> Database::open(const std::filesystem::path& path, Access access, Settings settings) {
  const bool writes = access == Access::read_write;
  if (writes && path != ":memory:") make_private_file(path);
  sqlite3* raw = nullptr;
  const int flags = (writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
  const int rc = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database db(raw);
  if (rc != SQLITE_OK) {
    Error error = error_of(raw, rc);
    return fail(error.code, path.string() + ": " + error.detail);
  }
  try {
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, 5000);  // of a recovery by another process; jobs never wait for one another
    sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    db.execute("PRAGMA cache_size=-" + std::to_string(settings.cache_bytes >> 10));
    db.execute("PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF; PRAGMA wal_autocheckpoint=0");
    if (writes) {
      db.execute("PRAGMA auto_vacuum=NONE; PRAGMA page_size=" + std::to_string(settings.page_bytes));
      db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
    } else {
      sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    }
  } catch (const Failure& failure) {
    return fail(failure.error().code, path.string() + ": " + failure.error().detail);
  }
  return db;
}

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
