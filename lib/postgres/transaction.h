// SPDX-License-Identifier: Apache-2.0
// For its own sources: the one transaction that a group of jobs becomes, and what its answer means. Pure, but for what it is made of.
//
//   BEGIN; SET LOCAL synchronous_commit; the fence; the jobs; [where the log is]; COMMIT; [whether a synchronous standby has flushed that]
//
// The fence moves this incarnation's writer from the batch that was applied last to this one, or divides by zero: then the incarnation is
// dead, or the batch was applied before. A server's warning makes the outcome unknown: COMMIT says COMMIT, too, when its wait for the
// standby was cut. And where a standby is required, that one is there that flushed beyond what the transaction wrote is asked behind the
// COMMIT: the wait ends without a word when the standby is taken out of synchronous_standby_names.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postgres/batch.h"
#include "postgres/link.h"
#include "postgres/options.h"

namespace hoplock::postgres {

// Of one stream of one incarnation: what it was at, and what it is to be.
struct Fence {
  std::int64_t incarnation = 0;
  int stream = 0;
  std::int64_t from = 0;
  std::int64_t to = 0;
};

class Transaction {
 public:
  Transaction(Synchronous synchronous, Durability durability);
  void fence(const Fence& fence);
  // Of a transaction that writes nothing but this: it proves that what was committed before it is replicated.
  void touch(const Fence& at);
  void add(const Batch& job);
  void add(Statement statement);
  // No more after this.
  std::shared_ptr<const Batch> finish();

  enum class Verdict : std::uint8_t { good, unknown, fenced, failed };
  Verdict judge(const Segment& segment, const std::string& warning) const;
  // REQUIRES: failed. Which of add() it was; as many as there are: none of them.
  std::size_t job_of(const Segment& segment) const;
  // REQUIRES: good. The rows of one job.
  Answer rows_of(const Segment& segment, std::size_t job) const;

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  bool proves_ = false;
  Batch batch_;
  std::size_t fence_ = none;
  std::size_t commit_ = none;
  std::vector<std::size_t> begins_;  // of each job
};

}  // namespace hoplock::postgres
