// SPDX-License-Identifier: Apache-2.0
// A connection for a thread of its own, without a loop: the operator's tool, what the status page reads, migrations. Each call ends by its
// timeout. It reads, or writes what is under no fence; nothing is retried. Keep what is read short, in pages: a long snapshot keeps the
// server from cleaning up.
#pragma once
#include <memory>

#include "base/result.h"
#include "postgres/batch.h"
#include "postgres/errors.h"
#include "postgres/options.h"

namespace hoplock::postgres {

enum class Use : std::uint8_t { read_only, read_write };

class BlockingConnection {
 public:
  // The primary of the hosts. Errors: device_or_resource_busy, permission_denied, not_supported, read_only_file_system (only standbys).
  static Result<BlockingConnection> open(const Options& options, Use use, Milliseconds timeout);
  BlockingConnection(BlockingConnection&&) noexcept;
  BlockingConnection& operator=(BlockingConnection&&) noexcept;
  ~BlockingConnection();

  // In one round trip and one transaction; the first error ends it. Error timed_out: the connection is closed, what was written is unknown.
  Result<Answer> run(const Batch& batch, Milliseconds timeout);
  Result<Answer> run(const Batch& batch) { return run(batch, Milliseconds(10'000)); }
  Result<Rows> run(Statement statement);
  // As one transaction, proved as a node's batches are (transaction.h). Errors beside run's: io_error: it is written, and not known to be on
  // a synchronous standby's disk.
  Result<> commit(const Batch& job, Synchronous synchronous, Milliseconds timeout);
  bool is_open() const;

 private:
  struct Inside;
  struct Came;
  Came exchange(const Batch& batch, Milliseconds timeout);
  explicit BlockingConnection(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

}  // namespace hoplock::postgres
