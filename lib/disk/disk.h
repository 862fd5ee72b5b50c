// SPDX-License-Identifier: Apache-2.0
// The disk thread. One thread runs SQLite; everything that waits is taken into one transaction and one fsync (group
// commit), and all its completions come back to the loop in one wake-up. Owns the database file, its lock, its
// checkpoints; knows no table.
//
//   auto count = co_await disk.run(Durability::durable, [id](Tx& tx) -> Result<int> { … });
//
// A job runs on the disk thread, so it may touch only what it owns (captured by value) and the Tx. It may run more than
// once: when one job of a batch fails, the batch is rolled back and the others run again without it; so it must not
// consume its captures. A job that returns an Error or throws leaves nothing behind. disk::Failure becomes that job's
// Error; any other exception is rethrown from co_await. Jobs are not cancelled: a coroutine that waits for one stays
// until it is done.
#pragma once
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "disk/db.h"
#include "disk/job.h"
#include "disk/migrations.h"

namespace hoplock::disk {

namespace asio = boost::asio;

struct Options {
  std::filesystem::path directory;  // data_dir; holds queue.db and lock
  std::vector<Migration> migrations;
  std::size_t cache_bytes = 12 << 20;
  std::size_t batch_jobs = 1024;  // of one transaction
  std::size_t batch_bytes = 8 << 20;
  std::size_t checkpoint_bytes = 24 << 20;       // of write-ahead log, from which it is copied into the database
  std::size_t checkpoint_cap_bytes = 256 << 20;  // beyond it the disk thread itself copies; a start reads twice that
  std::uint64_t ballast_bytes = 0;               // at most; kept aside for what must go on when the disk is full
};

// What befell the store as a whole, for the log. fatal: nothing is written any more, the process must end (exit 74); what was
// acknowledged is safe, and the text says where.
struct News {
  enum class Gravity : std::uint8_t { information, warning, error, fatal } gravity = Gravity::warning;
  std::string text;
};

// Octets of the database and of its write-ahead log.
struct Sizes {
  std::uint64_t database = 0;
  std::uint64_t log = 0;
};

class Disk {
 public:
  // Takes the lock, checks the database (or makes it new), migrates it, starts the thread. Errors:
  // device_or_resource_busy names the lock file and its holder (exit 69); bad_message: damaged, wrong_protocol_type:
  // foreign, not_supported: newer (all three left untouched, exit 74); no_such_file_or_directory, permission_denied:
  // the directory cannot be made or used (exit 73).
  static Result<std::unique_ptr<Disk>> open(asio::any_io_executor loop, Options options);
  // Closes. REQUIRES: the loop outlives it.
  ~Disk();
  // Runs what waits, then stops; what comes later is dropped. What nobody heard of before, for the loop may run no more.
  std::vector<News> close();

  // `bytes`: about what the job writes, for the bounds of a batch.
  template <class F>
  asio::awaitable<std::invoke_result_t<F&, Tx&>> run(Durability durability, std::size_t bytes, F job);
  template <class F>
  auto run(Durability durability, F job) {
    return run(durability, 0, std::move(job));
  }
  // Without waiting; the result is dropped. What cannot be written now (no room, I/O, busy) is tried again each second, and a job that
  // gives a Result<More> as often as it asks for it.
  template <class F>
  void post(Durability durability, F job);

  // Called on the loop. Set it before the first job.
  void on_news(std::function<void(const News&)> call);

  // Called on the disk thread after a transaction was rolled back: what jobs remembered between them may be untrue. Set
  // it before the first job.
  void on_rollback(std::function<void()> call);

  // Space that new mail may take: free on the file system, less what the database will take when the log is copied and what the ballast
  // lacks, plus pages that the database has free, as far as the log can carry as much. Asked on the disk thread, never
  // waited for: it knows what the store itself wrote, and what others wrote up to the last time that it was asked.
  std::uint64_t free_bytes();
  // The last failure of the store as a whole (full, I/O, read-only, corrupt); empty while transactions succeed.
  Result<> health() const;
  // Nothing is written any more (News::Gravity::fatal, or what leads to it): the process ends with exit 74 even when asked to end.
  bool broken() const;
  // Gives pages that the database has free back to the file system, a bounded number; how many are still free. Several calls, with
  // pauses, so that nobody waits. Error not_supported: a database that an older version made and that holds much.
  asio::awaitable<Result<std::uint64_t>> compact();
  // Error device_or_resource_busy: the write-ahead log is at its cap and a reader keeps it from starting anew; io_error: the file system
  // does not say how much space is free. New mail waits.
  Result<> writable() const;
  // Of the files, as old as free_bytes().
  Sizes sizes() const;
  std::filesystem::path path() const;
  // How many seconds each durable commit took, since the start.
  Histogram commits() const;

 private:
  struct Core;
  explicit Disk(std::unique_ptr<Core> core);
  void submit(std::unique_ptr<Job> job);
  asio::any_io_executor loop() const;
  std::unique_ptr<Core> core_;
};

}  // namespace hoplock::disk

#include "disk/run.h"
