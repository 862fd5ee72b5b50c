// SPDX-License-Identifier: Apache-2.0
// One piece of work for the disk thread, its type erased. Modules do not use this; they call Disk::run (disk.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "disk/db.h"

namespace hoplock::disk {

// read: writes nothing, costs no commit; it sees what was committed before. relaxed: written, but on stable storage
// only with the next durable commit (or checkpoint); durable: on stable storage when it completes.
enum class Durability : std::uint8_t { read, relaxed, durable };

// What a job that was posted says when it did its part: it is to be run again, for the next one.
enum class More : bool { no, yes };

// What a job may do with the database.
class Tx {
 public:
  explicit Tx(Database& db) : db_(db) {}
  Statement prepare(std::string_view sql) { return db_.prepare(sql); }
  std::int64_t changes() const { return db_.changes(); }

 private:
  Database& db_;
};

class Job {
 public:
  Job(Durability durability, std::size_t bytes) : durability_(durability), bytes_(bytes) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;

  enum class Outcome : std::uint8_t { good, failed };
  // On the disk thread: runs it and keeps the result; does not throw.
  virtual Outcome execute(Tx& tx) = 0;
  virtual void fail(const Error& error) = 0;
  // Why execute() failed, where that is known as an Error (an exception of another kind is not).
  virtual std::optional<Error> error() const = 0;
  // On the loop: hands the result to whoever waits.
  virtual void complete() = 0;
  // Nobody waits for it: while the store cannot be written it is tried again, and so it is while it has more to do.
  virtual bool persists() const { return false; }
  virtual bool has_more() const { return false; }

  Durability durability() const { return durability_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Durability durability_;
  std::size_t bytes_;
};

}  // namespace hoplock::disk
