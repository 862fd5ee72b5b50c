// SPDX-License-Identifier: Apache-2.0
// How a node comes and goes (member.h).
#include <algorithm>
#include <utility>

#include "postgres/errors.h"
#include "postgres/member.h"
#include "postgres/pause.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

constexpr Milliseconds enlist_retry{500};
constexpr Milliseconds enlist_limit{10'000};
constexpr std::int64_t kept_incarnations = 1000;  // that are dead, for people

// A registration that another one was faster than, a fail-over, a lock that somebody holds.
bool is_passing(const Error& error) {
  return is_unavailable(error) || error.code == errc::resource_unavailable_try_again || has_sqlstate(error, "23505");
}

}  // namespace

// In one transaction, in this order: what still writes for it can commit nothing once its leases are freed. Divides by zero when it is not
// alive any more, or beats.
std::shared_ptr<const Batch> Member::burial(std::int64_t incarnation, std::optional<std::int64_t> beat,
                                            NodeState state) const {
  Batch batch;
  batch.push_back(statement("BEGIN"));
  batch.push_back(statement("SET LOCAL lock_timeout = '2s'"));
  batch.push_back(statement(shared_.options.synchronous == Synchronous::local ? "SET LOCAL synchronous_commit = local"
                                                                              : "SET LOCAL synchronous_commit = on"));
  batch.push_back(
      statement("WITH ended AS (UPDATE node SET state = $3 WHERE incarnation = $1 AND state = 0 AND ($2::bigint IS "
                "NULL OR beat = $2) RETURNING 1)"
                " SELECT 1 / count(*) FROM ended",
                incarnation, beat, state));
  batch.push_back(statement("DELETE FROM writer WHERE incarnation = $1", incarnation));
  for (const std::string& sql : options_.free_leases) batch.push_back(statement(sql, incarnation));
  batch.push_back(statement("COMMIT"));
  return std::make_shared<const Batch>(std::move(batch));
}

asio::awaitable<Result<>> Member::write(Connection& connection, std::shared_ptr<const Batch> batch,
                                        net::SteadyTime deadline) {
  Batches batches;
  batches.push_back(std::move(batch));
  batches.push_back(std::make_shared<const Batch>(
      Batch(1, statement("ROLLBACK"))));  // where it failed; else it says that there is nothing
  const std::vector<Segment> segments = co_await connection.exchange(std::move(batches), Filling(), deadline);
  if (segments[0].lost) co_return fail(errc::device_or_resource_busy, connection.why());
  if (segments[0].error) co_return *segments[0].error;
  if (segments[0].answer.back().tag() != "COMMIT") co_return fail(errc::io_error, "the server did not commit");
  co_return Result<>();
}

asio::awaitable<Result<>> Member::enlist() {
  while (!leaving_) {
    auto made = co_await enlist_once();
    if (made) {
      lease_ = *made;
      note(Result<>());
      tell(Joined{lease_});
      co_return Result<>();
    }
    note(made.error());
    if (!is_passing(made.error())) co_return made.error();
    connection_.reset();
    if (!leaving_) co_await changed_.wait_until(steady_clock::now() + enlist_retry);
  }
  co_return fail(errc::operation_canceled, "the program ends");
}

asio::awaitable<Result<OwnLease>> Member::enlist_once() {
  if (auto good = co_await connected(); !good) co_return good.error();
  auto meta = co_await migrate(*connection_, migrations_);
  if (!meta) co_return meta.error();
  if (meta->moved_to) co_return fail(errc::not_supported, "the mail of this database was moved to " + *meta->moved_to);
  if (!meta_.installation.empty() && meta_.installation != meta->installation)
    co_return fail(errc::not_supported, "the database is another one than before");
  meta_ = std::move(*meta);
  if (auto free = co_await replace_namesake(); !free) co_return free.error();
  co_return co_await insert();
}

// One of our name that stands still is what a crash left. One that moves is another machine.
asio::awaitable<Result<>> Member::replace_namesake() {
  const Statement ask = statement("SELECT incarnation, beat FROM node WHERE name = $1 AND state = 0", options_.name);
  Batch first(1, ask);
  const auto found = co_await connection_->run(std::move(first), steady_clock::now() + enlist_limit);
  if (!found) co_return found.error();
  if ((*found)[0].empty()) co_return Result<>();
  const Row row = (*found)[0][0];
  for (const auto until = steady_clock::now() + options_.watch; steady_clock::now() < until;) {
    co_await pause(std::min<Milliseconds>(options_.watch, enlist_retry));
    Batch again(1, ask);
    const auto now = co_await connection_->run(std::move(again), steady_clock::now() + enlist_limit);
    if (!now) co_return now.error();
    if ((*now)[0].empty() || (*now)[0][0].integer(0) != row.integer(0))
      co_return fail(errc::resource_unavailable_try_again, "it changes");
    if ((*now)[0][0].integer(1) != row.integer(1))
      co_return fail(errc::address_in_use,
                     "a node of the name " + options_.name + " is alive: each needs a name of its own");
  }
  auto batch = burial(row.integer(0), row.integer(1), NodeState::dead);
  const auto done = co_await write(*connection_, std::move(batch), steady_clock::now() + enlist_limit);
  if (!done)
    co_return has_sqlstate(done.error(), "22012") ? fail(errc::resource_unavailable_try_again, "it changes")
                                                  : done.error();
  ++counters_.takeovers;
  tell(TakenOver{row.integer(0), options_.name, options_.watch});
  co_return Result<>();
}

// The slot that this name had last, or the lowest that is free.
asio::awaitable<Result<OwnLease>> Member::insert() {
  Batch batch;
  batch.push_back(statement("BEGIN"));
  batch.push_back(statement(shared_.options.synchronous == Synchronous::local ? "SET LOCAL synchronous_commit = local"
                                                                              : "SET LOCAL synchronous_commit = on"));
  batch.push_back(
      statement("WITH free AS (SELECT s.slot FROM generate_series(0, 15) AS s(slot) WHERE NOT EXISTS (SELECT FROM node "
                "WHERE node.slot = s.slot AND state = 0)"
                " ORDER BY s.slot IS DISTINCT FROM (SELECT slot FROM node WHERE name = $1 ORDER BY incarnation DESC "
                "LIMIT 1), s.slot LIMIT 1),"
                " made AS (INSERT INTO node SELECT nextval('incarnation'), $1, slot, $2, (extract(epoch FROM "
                "clock_timestamp()) * 1000)::bigint, 0, 0, $3, $4"
                " FROM free RETURNING incarnation, slot),"
                " writers AS (INSERT INTO writer SELECT incarnation, stream, 0 FROM made, generate_series(0, "
                "$5::bigint - 1) AS t(stream))"
                " SELECT incarnation, slot FROM made",
                options_.name, options_.version, options_.routes, options_.sources, streams));
  batch.push_back(
      statement("DELETE FROM node WHERE state <> 0 AND incarnation < (SELECT max(incarnation) FROM node) - $1",
                kept_incarnations));
  batch.push_back(statement("COMMIT"));
  const BootTime sent = BootClock::now();
  auto answer = co_await connection_->run(std::move(batch), steady_clock::now() + enlist_limit);
  if (!answer) co_return answer.error();
  if ((*answer)[2].empty())
    co_return fail(errc::device_or_resource_busy, "sixteen nodes are alive, and there are no more slots");
  const Row row = (*answer)[2][0];
  OwnLease made{row.integer(0), static_cast<int>(row.integer(1)),
                sent + std::chrono::duration_cast<BootClock::duration>(options_.ttl * safe_share)};
  last_good_ = sent;
  const auto newer = shared_.timeline.check_incarnation(meta_.installation, made.incarnation);
  if (newer) co_return made;
  auto back = burial(made.incarnation, std::nullopt, NodeState::left);
  co_await write(*connection_, std::move(back), steady_clock::now() + enlist_limit);
  co_return newer.error();
}

asio::awaitable<Result<>> Member::leave(net::SteadyTime deadline) {
  leaving_ = true;
  changed_.notify_all();
  const std::int64_t incarnation = std::exchange(lease_, OwnLease()).incarnation;
  if (incarnation == 0) co_return Result<>();
  auto made = co_await Connection::open(shared_, Use::read_write, "hoplock " + options_.name.substr(0, 40) + " leave");
  if (!made) co_return made.error();
  auto batch = burial(incarnation, std::nullopt, NodeState::left);
  const auto done = co_await write(**made, std::move(batch), deadline);
  if (!done) co_return done.error();
  tell(Left{});
  co_return Result<>();
}

}  // namespace hoplock::postgres
