// SPDX-License-Identifier: Apache-2.0
#include "postgres/transaction.h"

#include <algorithm>
#include <iterator>

#include "postgres/errors.h"

namespace hoplock::postgres {
namespace {

std::string synchronous_commit(Synchronous synchronous, Durability durability) {
  const char* word = durability == Durability::relaxed ? "off" : synchronous == Synchronous::local ? "local" : "on";
  return std::string("SET LOCAL synchronous_commit = ") + word;
}

}  // namespace

Transaction::Transaction(Synchronous synchronous, Durability durability)
    : proves_(synchronous == Synchronous::require && durability == Durability::durable) {
  batch_.push_back(statement("BEGIN"));
  batch_.push_back(statement(synchronous_commit(synchronous, durability)));
}

void Transaction::fence(const Fence& fence) {
  fence_ = batch_.size();
  batch_.push_back(statement(
      "WITH moved AS (UPDATE writer SET batch = $4 WHERE incarnation = $1 AND stream = $2 AND batch = $3 RETURNING 1)"
      " SELECT 1 / count(*) FROM moved",
      fence.incarnation, fence.stream, fence.from, fence.to));
}

void Transaction::touch(const Fence& at) {
  fence_ = batch_.size();
  batch_.push_back(
      statement("WITH touched AS (UPDATE writer SET batch = batch WHERE incarnation = $1 AND stream = $2 AND batch = "
                "$3 RETURNING 1)"
                " SELECT 1 / count(*) FROM touched",
                at.incarnation, at.stream, at.to));
}

void Transaction::add(const Batch& job) {
  begins_.push_back(batch_.size());
  batch_.insert(batch_.end(), job.begin(), job.end());
}

void Transaction::add(Statement one) {
  begins_.push_back(batch_.size());
  batch_.push_back(std::move(one));
}

std::shared_ptr<const Batch> Transaction::finish() {
  begins_.push_back(batch_.size());
  if (proves_)
    batch_.push_back(statement("SELECT set_config('hoplock.written', pg_current_wal_insert_lsn()::text, false)"));
  commit_ = batch_.size();
  batch_.push_back(statement("COMMIT"));
  if (proves_)
    batch_.push_back(
        statement("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
                  " AND flush_lsn > current_setting('hoplock.written')::pg_lsn)"));
  return std::make_shared<const Batch>(std::move(batch_));
}

Transaction::Verdict Transaction::judge(const Segment& segment, const std::string& warning) const {
  if (segment.lost) return Verdict::unknown;
  if (segment.error && segment.at > commit_) return Verdict::unknown;  // committed, and not proved
  if (segment.error)
    return segment.at == fence_ && has_sqlstate(*segment.error, "22012") ? Verdict::fenced : Verdict::failed;
  if (!warning.empty() || segment.answer[commit_].tag() != "COMMIT") return Verdict::unknown;
  if (!proves_) return Verdict::good;
  const Rows& proof = segment.answer[commit_ + 1];
  return !proof.empty() && proof[0].boolean(0) ? Verdict::good : Verdict::unknown;
}

std::size_t Transaction::job_of(const Segment& segment) const {
  const std::size_t jobs = begins_.size() - 1;
  if (segment.at < begins_.front() || segment.at >= begins_.back()) return jobs;
  const auto behind = std::upper_bound(begins_.begin(), begins_.end(), segment.at);
  return static_cast<std::size_t>(std::distance(begins_.begin(), behind)) - 1;
}

Answer Transaction::rows_of(const Segment& segment, std::size_t job) const {
  const auto at = [&](std::size_t index) {
    return segment.answer.begin() + static_cast<std::ptrdiff_t>(begins_[index]);
  };
  return Answer(at(job), at(job + 1));
}

}  // namespace hoplock::postgres
