// SPDX-License-Identifier: Apache-2.0
#include "postgres/member.h"
#include "postgres/pause.h"

#include <algorithm>
#include <utility>

#include "postgres/errors.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

constexpr Milliseconds unreachable_after{5'000};
constexpr Milliseconds beat_retry{500};
constexpr Milliseconds take_over_limit{120'000};  // of a million leases

Statement server_state() {
  return statement(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('synchronous_standby_names'),"
      " (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'),"
      " (SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NULL),"
      " (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn))::bigint FROM pg_stat_replication WHERE "
      "sync_state IN ('sync', 'quorum'))");
}

}  // namespace

Member::Member(Connecting& shared, net::TaskGroup& tasks, Counters& counters, NodeOptions options,
               std::vector<Migration> migrations)
    : shared_(shared),
      tasks_(tasks),
      counters_(counters),
      options_(std::move(options)),
      migrations_(std::move(migrations)) {}

void Member::tell(const NodeNews& news) const {
  if (news_) news_(news);
}

void Member::note(const Result<>& outcome) {
  if (outcome) {
    failure_.reset();
    if (std::exchange(failing_told_, false)) tell(Recovered{});
    return;
  }
  failure_ = outcome.error();
  if (std::exchange(failing_told_, true)) return;
  tell(Failing{failure_->detail});
}

Result<> Member::health() const {
  if (lease_.incarnation == 0)
    return failure_ ? *failure_ : fail(errc::owner_dead, "this node is not registered with the database");
  if (failure_ && BootClock::now() - last_good_ > unreachable_after) return *failure_;
  if (!lease_.valid()) return fail(errc::owner_dead, "the database did not hear from this node in time");
  if (shared_.options.synchronous != Synchronous::require || replication_.synchronous) return {};
  if (!replication_.known)
    return fail(errc::io_error,
                "whether there is a synchronous standby is not shown to the role: GRANT pg_read_all_stats");
  return fail(errc::io_error, "no synchronous standby is there");
}

std::vector<NodeInfo> Member::nodes() const {
  std::vector<NodeInfo> all;
  const BootTime now = BootClock::now();
  for (const auto& [incarnation, seen] : seen_) {
    all.push_back(seen.info);
    all.back().self = incarnation == lease_.incarnation;
    all.back().quiet = std::chrono::duration_cast<Milliseconds>(now - (all.back().self ? last_good_ : seen.since));
  }
  all.insert(all.end(), gone_.begin(), gone_.end());
  return all;
}

void Member::fence(std::int64_t incarnation, std::string why) {
  if (lease_.incarnation != incarnation || incarnation == 0) return;
  lease_ = OwnLease();
  seen_.clear();
  tell(Fenced{incarnation, std::move(why)});
  changed_.notify_all();
}

asio::awaitable<Result<>> Member::connected() {
  if (connection_ && connection_->is_open()) co_return Result<>();
  connection_.reset();
  auto made = co_await Connection::open(shared_, Use::read_write, "hoplock " + options_.name.substr(0, 40) + " beat");
  if (!made) co_return made.error();
  connection_ = std::move(*made);
  co_return Result<>();
}

asio::awaitable<void> Member::beat() {
  while (!leaving_) {
    if (lease_.incarnation == 0) {
      const auto enlisted = co_await enlist();
      if (!enlisted && !leaving_) co_await changed_.wait_until(steady_clock::now() + unreachable_after);
      continue;
    }
    const auto next = steady_clock::now() + options_.beat;
    const auto outcome = co_await beat_once();
    note(outcome);
    const auto until = outcome ? next : std::min(next, steady_clock::now() + beat_retry);
    if (lease_.incarnation != 0 && !leaving_) co_await changed_.wait_until(until);
  }
}

// Good only with the answer: what was sent and lost counts as not sent.
asio::awaitable<Result<>> Member::beat_once() {
  const std::int64_t incarnation = lease_.incarnation;
  if (auto good = co_await connected(); !good) co_return good.error();
  Batch ours, others, state;
  ours.push_back(statement("SET synchronous_commit = off"));
  ours.push_back(statement("UPDATE node SET beat = beat + 1 WHERE incarnation = $1 AND state = 0", incarnation));
  others.push_back(select_nodes());
  state.push_back(server_state());
  Batches batches;
  for (Batch* one : {&ours, &others, &state}) batches.push_back(std::make_shared<const Batch>(std::move(*one)));
  const BootTime sent = BootClock::now();
  const Time sent_at = options_.clock ? options_.clock() : Time();
  const auto limit = std::max<Milliseconds>(options_.beat, Milliseconds(500));
  const std::vector<Segment> segments =
      co_await connection_->exchange(std::move(batches), Filling(), steady_clock::now() + limit);
  if (segments[0].lost) co_return fail(errc::device_or_resource_busy, connection_->why());
  if (segments[0].error) {
    connection_.reset();  // of a primary that is none any more
    co_return *segments[0].error;
  }
  if (lease_.incarnation != incarnation) co_return Result<>();
  if (segments[0].answer[1].changed() == 0) {
    fence(incarnation, "another node has declared this one dead");
    co_return Result<>();
  }
  last_good_ = sent;
  const auto safe = std::chrono::duration_cast<BootClock::duration>(options_.ttl * safe_share);
  lease_.valid_until = sent + safe;
  if (segments[1].answer.size() == 1) look_at(segments[1].answer[0], sent);
  if (segments[2].answer.size() == 1 && !segments[2].answer[0].empty()) {
    if (options_.clock) clock_offset_ = segments[2].answer[0][0].time(0) - (sent_at + (options_.clock() - sent_at) / 2);
    look_at_replication(segments[2].answer[0]);
  }
  co_return Result<>();
}

void Member::look_at_replication(const Rows& rows) {
  const Row row = rows[0];
  replication_.names = row.text(1);
  replication_.synchronous = row.integer(2) > 0;
  replication_.known = replication_.synchronous || row.integer(3) == 0;
  replication_.lag_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, row.integer(4)));
}

// Whose beat has not moved for the TTL while this node had the database all the time is dead.
void Member::look_at(const Rows& rows, BootTime now) {
  std::map<std::int64_t, Seen> seen;
  gone_.clear();
  const bool gap = now - looked_ > options_.ttl / 2;
  looked_ = now;
  for (NodeInfo& info : nodes_of(rows)) {
    if (info.state != NodeState::alive) {
      gone_.push_back(std::move(info));
      continue;
    }
    Seen one;
    one.since = now;
    const auto before = seen_.find(info.incarnation);
    if (before != seen_.end() && !gap && before->second.info.beat == info.beat) one.since = before->second.since;
    one.taking = before != seen_.end() && before->second.taking;
    one.info = std::move(info);
    const Milliseconds quiet = std::chrono::duration_cast<Milliseconds>(now - one.since);
    if (one.info.incarnation != lease_.incarnation && quiet >= options_.ttl && !one.taking) {
      one.taking = true;
      tasks_.spawn("take-over", take_over(Dead{one.info.incarnation, one.info.beat, one.info.name, quiet}));
    }
    const std::int64_t incarnation = one.info.incarnation;
    seen.emplace(incarnation, std::move(one));
  }
  seen_ = std::move(seen);
}

asio::awaitable<void> Member::take_over(Dead dead) {
  auto made =
      co_await Connection::open(shared_, Use::read_write, "hoplock " + options_.name.substr(0, 40) + " take-over");
  Result<> done;
  if (made) {
    auto batch = burial(dead.incarnation, dead.beat, NodeState::dead);
    done = co_await write(**made, std::move(batch), steady_clock::now() + take_over_limit);
  } else {
    done = made.error();
  }
  if (done) {
    ++counters_.takeovers;
    seen_.erase(dead.incarnation);
    tell(TakenOver{dead.incarnation, dead.name, dead.quiet});
    co_return;
  }
  // 22012: it beats, or another node was first. Whatever it was: the next looks show it.
  if (const auto at = seen_.find(dead.incarnation); at != seen_.end()) at->second.taking = false;
}

}  // namespace hoplock::postgres
