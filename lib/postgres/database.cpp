// SPDX-License-Identifier: Apache-2.0
#include "postgres/database.h"

#include <array>
#include <utility>

#include "net/task_group.h"
#include "postgres/member.h"
#include "postgres/notices.h"
#include "postgres/reads.h"
#include "postgres/stream.h"

namespace hoplock::postgres {
namespace {

std::vector<double> commit_bounds() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

}  // namespace

struct Database::Inside {
  Inside(asio::any_io_executor loop_, Log& log, Options options, NodeOptions node, std::vector<Migration> migrations)
      : loop(std::move(loop_)),
        shared(std::move(options)),
        commits(commit_bounds()),
        tasks(loop, log),
        all{Stream(loop, shared, counters, commits, StreamKind::intake),
            Stream(loop, shared, counters, commits, StreamKind::settle),
            Stream(loop, shared, counters, commits, StreamKind::claims),
            Stream(loop, shared, counters, commits, StreamKind::rest)},
        reads(loop, shared),
        notices(shared),
        member(shared, tasks, counters, std::move(node), std::move(migrations)) {}

  void hear(const NodeNews& heard);
  asio::awaitable<void> leave(net::SteadyTime deadline);
  Stream& stream(StreamKind kind) { return all.at(static_cast<std::size_t>(kind)); }

  asio::any_io_executor loop;
  Connecting shared;
  Counters counters;
  Histogram commits;
  net::TaskGroup tasks;
  std::array<Stream, streams> all;
  Reads reads;
  Notices notices;
  Member member;
  std::function<void(const NodeNews&)> news;
  bool starting = false, started = false;
  net::Condition start_ended;
};

// The streams know first, so that whoever is told finds them as they are to be.
void Database::Inside::hear(const NodeNews& heard) {
  if (const auto* joined = std::get_if<Joined>(&heard))
    for (Stream& one : all) one.begin(joined->lease.incarnation, joined->lease.slot);
  if (const auto* fenced = std::get_if<Fenced>(&heard))
    for (Stream& one : all) one.end(fail(errc::owner_dead, fenced->why));
  if (std::holds_alternative<TakenOver>(heard)) notices.notify("take-over");
  if (news) news(heard);
}

Database::Database(asio::any_io_executor loop, Log& log, Options options, NodeOptions node,
                   std::vector<Migration> migrations)
    : inside_(
          std::make_unique<Inside>(std::move(loop), log, std::move(options), std::move(node), std::move(migrations))) {
  Inside& inside = *inside_;
  inside.member.on_news([&inside](const NodeNews& heard) { inside.hear(heard); });
  for (Stream& one : inside.all) {
    one.on_lost([&inside](std::int64_t batches) {
      inside.hear(WritesLost{inside.member.lease().incarnation, batches});
    });
    one.on_fenced(
        [&inside](std::int64_t incarnation, std::string why) { inside.member.fence(incarnation, std::move(why)); });
  }
}

Database::~Database() = default;

asio::awaitable<Result<OwnLease>> Database::start() {
  Inside& inside = *inside_;
  if (auto good = check(inside.shared.options); !good) co_return good.error();
  auto target = parse(inside.shared.options);
  if (!target) co_return target.error();
  inside.shared.target = std::move(*target);
  inside.starting = true;
  const auto enlisted = co_await inside.member.enlist();
  inside.starting = false;
  inside.start_ended.notify_all();
  if (!enlisted) co_return enlisted.error();
  inside.started = true;
  inside.tasks.spawn("beats", inside.member.beat());
  for (Stream& one : inside.all) {
    inside.tasks.spawn("stream", one.work());
    inside.tasks.spawn("stream-patience", one.expire());
  }
  inside.tasks.spawn("reads", inside.reads.work());
  inside.tasks.spawn("reads", inside.reads.work());
  inside.tasks.spawn("notices", inside.notices.work());
  co_return inside.member.lease();
}

asio::awaitable<void> Database::stop(net::SteadyTime deadline) {
  Inside& inside = *inside_;
  if (inside.started)
    for (Stream& one : inside.all) co_await one.drain(deadline);
  const Error ended = fail(errc::operation_canceled, "the program ends");
  for (Stream& one : inside.all) one.end(ended);
  co_await inside.member.leave(deadline);
  while (inside.starting) co_await inside.start_ended.wait();
  inside.started = false;
  inside.reads.end(ended);
  inside.tasks.stop();
  co_await inside.tasks.join(net::SteadyTime::max());
}

asio::awaitable<Result<Answer>> Database::run(Batch batch) {
  if (!inside_->started) co_return fail(errc::device_or_resource_busy, "the database was not reached yet");
  co_return co_await inside_->reads.run(std::move(batch));
}

asio::awaitable<Result<Rows>> Database::run(Statement statement) {
  Batch batch;
  batch.push_back(std::move(statement));
  auto answer = co_await run(std::move(batch));
  if (!answer) co_return answer.error();
  co_return std::move(answer->front());
}

asio::awaitable<Result<Written>> Database::write(StreamKind stream, Job job, net::SteadyTime deadline) {
  return inside_->stream(stream).write(std::move(job), deadline);
}

void Database::post(StreamKind stream, Job job) { inside_->stream(stream).post(std::move(job)); }

void Database::notify(std::string payload) { inside_->notices.notify(std::move(payload)); }

Result<> Database::writable() const { return health(); }

Result<> Database::health() const {
  if (auto good = inside_->member.health(); !good) return good;
  for (const Stream& one : inside_->all)
    if (auto good = one.health(); !good) return good;
  return {};
}

OwnLease Database::lease() const { return inside_->member.lease(); }
std::vector<NodeInfo> Database::nodes() const { return inside_->member.nodes(); }
Replication Database::replication() const { return inside_->member.replication(); }
Milliseconds Database::clock_offset() const { return inside_->member.clock_offset(); }
const Meta& Database::meta() const { return inside_->member.meta(); }
Histogram Database::commits() const { return inside_->commits; }

Counters Database::counters() const {
  Counters all = inside_->counters;
  all.round_trips = inside_->shared.round_trips;
  all.statements = inside_->shared.statements;
  return all;
}

void Database::on_news(std::function<void(const NodeNews&)> call) { inside_->news = std::move(call); }

void Database::on_notify(std::function<void(std::string_view payload)> call) {
  inside_->notices.on_notify(std::move(call));
}

}  // namespace hoplock::postgres
