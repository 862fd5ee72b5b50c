// SPDX-License-Identifier: Apache-2.0
// SQLite as values with an owner: a connection, its cached prepared statements, and the errors that callers branch on.
// SQL is written by the modules that own the tables; no SQLite type leaves this folder. It does not retry and does not
// log.
//
// Inside a job (disk.h) and around a Database of one's own, failures are thrown as disk::Failure; Disk::run and the
// functions that return Result turn them into Error. Codes: no_space_on_device (disk full, quota), io_error,
// read_only_file_system, bad_message (corrupt), device_or_resource_busy, state_not_recoverable (anything else: a bug in
// SQL, a constraint).
#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace hoplock::disk {

class StoreFiles;  // vfs.h

class Failure : public std::exception {
 public:
  explicit Failure(Error error) : error_(std::move(error)) {}
  const Error& error() const { return error_; }
  const char* what() const noexcept override { return error_.detail.c_str(); }

 private:
  Error error_;
};

// The store has no room, or cannot be written or read now: new mail waits (452 4.3.1 or 451 4.3.0), what is stored stays.
bool is_unavailable(const Error& error);
// Of these, that there is no room; the others are faults (451 4.3.0).
bool is_full(const Error& error);

// Octets to be bound as a BLOB (a string_view is bound as TEXT). They must live until the statement has run.
struct Blob {
  std::string_view octets;
};

// A prepared statement on loan from its Database; it is reset and given back at the end of its life, at most one loan
// at a time for each SQL text. Columns count from 0; a text or blob is valid until the next step.
class Statement {
 public:
  Statement(sqlite3_stmt* statement, bool* lent) : statement_(statement), lent_(lent) {}
  Statement(Statement&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), lent_(std::exchange(other.lent_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Binds ?1, ?2, … anew, and makes the statement ready to step. Takes integers, enums, text, Blob, nullopt and
  // optionals.
  template <class... Values>
  Statement& bind(const Values&... values) {
    reset();
    int index = 0;
    (put(++index, values), ...);
    return *this;
  }
  bool step();       // true: a row is there
  Statement& run();  // steps to the end
  int columns() const;
  bool null(int column) const;
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  std::string_view blob(int column) const;

 private:
  void reset();
  void put_integer(int index, std::int64_t value);
  void put_text(int index, std::string_view value);
  void put_blob(int index, std::string_view value);
  void put_null(int index);
  template <class T>
  void put(int index, const T& value) {
    if constexpr (std::is_enum_v<T> || std::is_integral_v<T>)
      put_integer(index, static_cast<std::int64_t>(value));
    else if constexpr (std::is_same_v<T, Blob>)
      put_blob(index, value.octets);
    else if constexpr (std::is_same_v<T, std::nullopt_t>)
      put_null(index);
    else
      put_text(index, value);
  }
  template <class T>
  void put(int index, const std::optional<T>& value) {
    if (value)
      put(index, *value);
    else
      put_null(index);
  }

  sqlite3_stmt* statement_;
  bool* lent_;
};

// existing: read_write that never makes a file. at_rest: for a reader that may not write into the directory, of a database that nobody has open and that has no log.
enum class Access : std::uint8_t { read_only, at_rest, read_write, existing };
enum class Journal : std::uint8_t { log, rollback };

// One connection, for one thread at a time.
class Database {
 public:
  struct Settings {
    std::size_t cache_bytes = 2 << 20;
    int page_bytes = 4096;  // of a database that is made new
    Journal journal = Journal::log;
    std::size_t log_bytes = 32 << 20;  // to which the write-ahead log is cut when it starts anew
  };
  // read_write creates the file (mode 0640). WAL, synchronous=FULL, no checkpoints of its own, no mmap.
  // Error not_supported: the file system lets SQLite have no write-ahead log.
  static Result<Database> open(const std::filesystem::path& path, Access access, Settings settings);
  static Result<Database> open(const std::filesystem::path& path, Access access);
  Database(Database&&) noexcept = default;
  Database& operator=(Database&&) noexcept = default;

  Statement prepare(std::string_view sql);     // cached by its text
  void execute(std::string_view sql);          // one statement or several, nothing bound, rows dropped
  std::int64_t integer(std::string_view sql);  // the first column of the first row, or 0
  std::int64_t changes() const;                // rows that the last statement changed
  bool in_transaction() const;
  void keep(Journal journal);      // Failure not_supported: the file system lets SQLite have no write-ahead log
  void leave_log();                // from now on: closing copies nothing and removes nothing
  void tend_log();                 // again, after leave_log()
  void keep_log();                 // from now on: closing empties the log, and leaves it and its index their names
  Error last_error(int rc) const;  // of a call that was made on native()
  // Why nothing can be written any more: a sync failed in this process (vfs.h).
  std::optional<Error> frozen() const;
  bool has_failed() const;  // a write, likewise
  sqlite3* native() const { return db_.get(); }
  // SQLite's own descriptor of the file, which is to be used: closing another one would drop its locks. Nothing: it has none open.
  sqlite3_file* file() const;

 private:
  struct Prepared {
    sqlite3_stmt* statement = nullptr;
    bool lent = false;
    ~Prepared();
  };
  struct Close {
    void operator()(sqlite3* db) const;
  };
  explicit Database(sqlite3* db) : db_(db) {}
  std::unique_ptr<sqlite3, Close> db_;
  std::shared_ptr<StoreFiles> files_;
  std::map<std::string, Prepared, std::less<>> cache_;  // destroyed before db_; nodes do not move
};

// While one lives, each 10,000 steps of SQLite's machine on that connection count as a call that came back (vfs.h): a long statement that
// reads and writes nothing gets on, too. REQUIRES: the connection stays where it is.
class CountingSteps {
 public:
  explicit CountingSteps(Database& db);
  ~CountingSteps();
  CountingSteps(const CountingSteps&) = delete;
  CountingSteps& operator=(const CountingSteps&) = delete;

 private:
  Database& db_;
};

// For the operator's tool: another process may read while the daemon runs, and when it is stopped. Checks
// application_id and that the schema is one this version can read; never writes, never checkpoints. Keep each read
// short: a long one keeps the write-ahead log from being reused.
Result<Database> open_read_only(const std::filesystem::path& path);

}  // namespace hoplock::disk
