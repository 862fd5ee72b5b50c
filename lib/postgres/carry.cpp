// SPDX-License-Identifier: Apache-2.0
// How a transaction of a stream is carried to a known end, whatever happens on the way (stream.h).
#include <algorithm>
#include <utility>

#include "postgres/errors.h"
#include "postgres/pause.h"
#include "postgres/stream.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

constexpr Milliseconds short_pause{20}, long_pause{300};

// The plan of a prepared statement does not fit any more, or the server forgot it: a new connection has none.
bool is_stale(const Error& error) { return has_sqlstate(error, "0A000") || has_sqlstate(error, "26000"); }

bool is_room_or_file(const Error& error) {
  return error.code == errc::no_space_on_device || error.code == errc::io_error;
}

}  // namespace

bool Stream::is_patient(const Try& one) const {
  return one.doubt || steady_clock::now() - one.began < shared_.options.patience;
}

Stream::End Stream::fence_off(const Try& one, std::string why) {
  if (!is_over(one) && fenced_) fenced_(one.incarnation, why);
  End end;
  end.how = End::How::fenced;
  end.error = fail(errc::owner_dead, std::move(why));
  return end;
}

asio::awaitable<Stream::End> Stream::carry(const Group& group, Try& one) {
  std::optional<End> end;
  while (!end && !is_over(one)) end = co_await attempt(group, one);
  if (!end) end = fence_off(one, "this node was declared dead");
  if (end->how == End::How::applied || end->how == End::How::replayed) failure_.reset();
  co_return std::move(*end);
}

asio::awaitable<std::optional<Stream::End>> Stream::attempt(const Group& group, Try& one) {
  const bool there = co_await connected(one);
  if (is_over(one)) co_return std::nullopt;
  if (!there) {
    Error why = *failure_;
    co_return co_await after_failure(group, one, std::move(why), group.size());
  }
  Transaction transaction(shared_.options.synchronous, one.durability);
  transaction.fence({one.incarnation, static_cast<int>(kind_), from_, one.number});
  for (const auto& entry : group) transaction.add(entry->job.statements);
  const auto batch = transaction.finish();
  const Segment segment = co_await send(batch, one);
  const auto verdict = transaction.judge(segment, connection_->warning());
  if (verdict == Transaction::Verdict::unknown) {
    ++counters_.unknown;
    one.doubt = true;
    failure_ =
        fail(errc::device_or_resource_busy, segment.lost ? connection_->why() : "the outcome of a commit is not known");
    if (segment.lost) co_return std::nullopt;  // the same once more, on another connection
  }
  if (verdict == Transaction::Verdict::failed) {
    Error why = *segment.error;
    co_return co_await after_failure(group, one, std::move(why), transaction.job_of(segment));
  }
  if (verdict != Transaction::Verdict::good) co_return co_await after_look(group, one);
  from_ = one.number;
  End end;
  for (std::size_t i = 0; i < group.size(); ++i) end.rows.push_back(transaction.rows_of(segment, i));
  co_return end;
}

// It was rolled back, or not even sent; a try before this one may still be on its way (doubt).
asio::awaitable<std::optional<Stream::End>> Stream::after_failure(const Group& group, Try& one, Error error,
                                                                  std::size_t job) {
  const bool stale = is_stale(error) && !one.anew;
  one.anew = one.anew || stale;
  const bool again = error.code == errc::resource_unavailable_try_again || stale;
  if (error.code == errc::read_only_file_system || stale) connection_.reset();  // the primary is elsewhere
  if (connection_) co_await roll_back();
  End end;
  end.job = job;
  if (!again && !is_unavailable(error)) {
    end.how = End::How::failed;
    end.error = std::move(error);
    if (!one.doubt) co_return end;
    co_return co_await pass_over(group, one, std::move(end));
  }
  failure_ = error;
  if (again) failure_->code = errc::make_error_code(errc::device_or_resource_busy);
  if (!is_patient(one) || (is_room_or_file(error) && !one.doubt)) {
    end.how = End::How::unavailable;
    end.error = failure_;
    co_return end;
  }
  co_await pause(again ? short_pause : long_pause);
  co_return std::nullopt;
}

// The writer's row was not where this transaction was to find it, or the server said that it committed and cannot prove it.
asio::awaitable<std::optional<Stream::End>> Stream::after_look(const Group& group, Try& one) {
  const Found found = co_await look(one);
  switch (found) {
    case Found::fenced:
      co_return fence_off(one, "another node has declared this one dead");
    case Found::applied:
      co_return co_await read_back(group, one);
    case Found::passed_over:
    case Found::not_applied:
      break;
    case Found::unknown:
      co_await pause(long_pause);
  }
  co_return std::nullopt;
}

asio::awaitable<Stream::Found> Stream::look(const Try& one) {
  Statement asked =
      statement("SELECT batch FROM writer WHERE incarnation = $1 AND stream = $2", one.incarnation, kind_);
  const Segment segment = co_await ask(std::move(asked));
  if (segment.lost || segment.error) co_return Found::unknown;
  if (segment.answer[0].empty()) co_return Found::fenced;
  const std::int64_t batch = segment.answer[0][0].integer(0);
  if (batch == one.number && !one.doubt) co_return Found::fenced;  // somebody else writes under our number
  if (batch == one.number) co_return co_await prove(one);
  if (batch == one.passed_over) co_return Found::passed_over;
  if (batch > one.number) co_return Found::fenced;  // likewise
  if (batch < durable_ && lost_) lost_(durable_ - batch);
  durable_ = std::min(durable_, batch);
  from_ = batch;  // behind what was: a fail-over lost what was not replicated
  co_return Found::not_applied;
}

// It is applied on this server. That a standby has it, too, says a synchronous write behind it.
asio::awaitable<Stream::Found> Stream::prove(const Try& one) {
  if (one.durability == Durability::relaxed) co_return Found::applied;
  Transaction transaction(shared_.options.synchronous, Durability::durable);
  transaction.touch({one.incarnation, static_cast<int>(kind_), from_, one.number});
  const auto batch = transaction.finish();
  const Segment segment = co_await send(batch, one);
  const auto verdict = transaction.judge(segment, connection_->warning());
  if (verdict == Transaction::Verdict::good) co_return Found::applied;
  if (!segment.lost) co_await roll_back();
  failure_ = segment.lost ? fail(errc::device_or_resource_busy, connection_->why())
                          : fail(errc::io_error, "no synchronous standby has what was written");
  co_return Found::unknown;
}

// Its number is used up, so that a try which is still on its way finds another one there: only now it is sure that nobody writes it.
asio::awaitable<Stream::End> Stream::pass_over(const Group& group, Try& one, End failed) {
  one.passed_over = ++last_;
  while (!is_over(one)) {
    const bool there = co_await connected(one);
    if (!there || is_over(one)) {
      co_await pause(long_pause);
      continue;
    }
    Transaction transaction(shared_.options.synchronous, Durability::relaxed);
    transaction.fence({one.incarnation, static_cast<int>(kind_), from_, one.passed_over});
    const auto batch = transaction.finish();
    const Segment segment = co_await send(batch, one);
    auto found = Found::passed_over;
    if (transaction.judge(segment, connection_->warning()) != Transaction::Verdict::good)
      found = segment.lost ? Found::unknown : co_await look(one);
    if (found == Found::fenced) co_return fence_off(one, "another node has declared this one dead");
    if (found == Found::applied) co_return co_await read_back(group, one);
    if (found == Found::passed_over) {
      from_ = one.passed_over;
      co_return failed;
    }
    co_await pause(short_pause);
  }
  co_return fence_off(one, "this node was declared dead");
}

// It was applied by a try whose answer was lost.
asio::awaitable<Stream::End> Stream::read_back(const Group& group, const Try& one) {
  ++counters_.replayed;
  from_ = one.number;
  End end;
  end.how = End::How::replayed;
  end.rows.resize(group.size());
  Batches batches;
  std::vector<std::size_t> whose;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (group[i]->job.read_back.empty()) continue;
    batches.push_back(std::make_shared<const Batch>(group[i]->job.read_back));
    whose.push_back(i);
  }
  while (!batches.empty() && !is_over(one)) {
    const bool there = co_await connected(one);
    if (!there) {
      co_await pause(long_pause);
      continue;
    }
    Batches again = batches;
    std::vector<Segment> segments = co_await connection_->exchange(
        std::move(again), {one.incarnation, one.number, slot_}, steady_clock::now() + shared_.options.deadline);
    if (segments.back().lost) continue;
    for (std::size_t i = 0; i < whose.size(); ++i) end.rows[whose[i]] = std::move(segments[i].answer);
    co_return end;
  }
  if (!batches.empty()) co_return fence_off(one, "this node was declared dead");
  co_return end;
}

asio::awaitable<Segment> Stream::send(std::shared_ptr<const Batch> batch, const Try& one) {
  Batches batches;
  batches.push_back(std::move(batch));
  std::vector<Segment> segments = co_await connection_->exchange(
      std::move(batches), {one.incarnation, one.number, slot_}, steady_clock::now() + shared_.options.deadline);
  co_return std::move(segments.front());
}

asio::awaitable<void> Stream::roll_back() {
  Statement nothing = statement("SELECT");
  co_await ask(std::move(nothing));
}

asio::awaitable<Segment> Stream::ask(Statement asked) {
  Batches batches;
  batches.push_back(std::make_shared<const Batch>(Batch(1, statement("ROLLBACK"))));
  batches.push_back(std::make_shared<const Batch>(Batch(1, std::move(asked))));
  std::vector<Segment> segments =
      co_await connection_->exchange(std::move(batches), Filling(), steady_clock::now() + shared_.options.deadline);
  co_return std::move(segments.back());
}

asio::awaitable<bool> Stream::connected(const Try& one) {
  if (connection_ && connection_->is_open() && connected_as_ == one.incarnation) co_return true;
  connection_.reset();
  const std::string name = "hoplock " + std::to_string(one.incarnation) + "/" + std::to_string(static_cast<int>(kind_));
  auto made = co_await Connection::open(shared_, Use::read_write, name);
  if (!made) {
    failure_ = made.error();
    if (!is_unavailable(*failure_))
      failure_->code = errc::make_error_code(errc::device_or_resource_busy);  // the password was changed
    co_return false;
  }
  connection_ = std::move(*made);
  connected_as_ = one.incarnation;
  if (!one.doubt) co_return true;
  // The server may still wait for the rest of a try whose sender is gone, and hold its locks. One that waits for a standby is left alone:
  // it is committed, and the next try waits for it.
  Batch batch(1, statement("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND "
                           "datname = current_database()"
                           " AND usename = current_user AND pid <> pg_backend_pid() AND wait_event_type = 'Client'",
                           name));
  const auto ended = co_await connection_->run(std::move(batch), steady_clock::now() + shared_.options.deadline);
  co_return ended || connection_->is_open();
}

}  // namespace hoplock::postgres
