// SPDX-License-Identifier: Apache-2.0
// Mail: what comes in, and what all operations have in common.
#include <algorithm>
#include <chrono>
#include <utility>

#include "store_postgres/errors.h"
#include "store_postgres/ledger_batch.h"
#include "store_postgres/mail_store.h"
#include "store_postgres/mail_write.h"

namespace hoplock::store_postgres {

using postgres::Durability;
using postgres::Job;
using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;
using SteadyClock = std::chrono::steady_clock;

namespace {

constexpr std::int64_t slots = 16;                            // of ids: the low four bits
constexpr std::int64_t ids_reserved = std::int64_t{1} << 23;  // about a minute
constexpr std::chrono::seconds seen_every{60};
constexpr std::size_t most_in_group = 256;  // messages
constexpr std::size_t most_octets = 4 << 20;
constexpr std::int64_t clock_tolerance = 60'000;
constexpr std::int64_t dropped_at_once = 16;  // chunks

constexpr std::string_view database_now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

}  // namespace

PostgresMailStore::PostgresMailStore(postgres::Database& database, MailOptions options)
    : database_(database), options_(std::move(options)) {}

// --- what all have in common -------------------------------------------------------------------------------------------

asio::awaitable<Result<postgres::Answer>> PostgresMailStore::write(StreamKind stream, Job job) {
  auto written = co_await database_.write(stream, std::move(job));
  if (!written) co_return store_error(written.error());
  co_return std::move(written->rows);
}

asio::awaitable<Result<postgres::Rows>> PostgresMailStore::read(postgres::Statement asked) {
  auto rows = co_await database_.run(std::move(asked));
  if (!rows) co_return store_error(rows.error());
  co_return std::move(*rows);
}

// One stream for all: what asks whether they are done waits behind them.
void PostgresMailStore::post(Job job) {
  posted_ = true;
  database_.post(StreamKind::claims, std::move(job));
}

asio::awaitable<void> PostgresMailStore::posts_are_done() {
  if (!std::exchange(posted_, false)) co_return;
  Job nothing;
  nothing.durability = Durability::relaxed;
  nothing.statements.push_back(statement("SELECT 1"));
  const auto done = co_await database_.write(StreamKind::claims, std::move(nothing));
  if (!done) posted_ = true;
}

Result<> PostgresMailStore::writable() const {
  auto can = database_.writable();
  if (!can) return store_error(can.error());
  return {};
}

std::int64_t PostgresMailStore::lease_term() const {
  const auto lease = database_.lease();
  return lease.valid() ? lease.incarnation : 0;
}

std::uint64_t PostgresMailStore::free_bytes() {
  if (options_.max_size == 0) return std::uint64_t{1} << 62;
  return size_ < options_.max_size ? options_.max_size - size_ : 0;
}

// --- start -------------------------------------------------------------------------------------------------------------

asio::awaitable<Result<Recovered>> PostgresMailStore::recover() {
  rebasing_.reset();
  domains_.clear();
  verified_ = {};
  reserved_ = 0;
  const auto lease = database_.lease();
  auto asked = statement(
      "SELECT greatest((SELECT value FROM mark WHERE name = 'id:' || $1), (SELECT max(id) FROM message)),"
      " (SELECT value FROM mark WHERE name = 'seen'), (SELECT value FROM mark WHERE name = 'rebase'), " +
          std::string(database_now),
      std::to_string(lease.slot));
  const auto marks = co_await read(std::move(asked));
  if (!marks) co_return marks.error();
  Recovered recovered;
  recovered.slot = std::max(lease.slot, 0);
  recovered.slots = slots;
  const postgres::Row row = (*marks)[0];
  recovered.last_id = row.integer(0);
  // By the database's clock: of the nodes', one may be wrong, and all mail is not due because of that.
  if (!row.null(1)) recovered.seen = row.integer(1) > row.integer(3) + clock_tolerance ? row.time(1) : Time{};
  recovered.rebasing = row.integer(2) != 0;
  auto left = statement("SELECT message FROM draft WHERE incarnation IN (0, $1) ORDER BY message LIMIT 1000",
                        lease.incarnation);
  const auto drafts = co_await read(std::move(left));
  if (!drafts) co_return drafts.error();
  for (const auto one : *drafts) recovered.drafts.push_back(Id{one.integer(0)});
  co_return recovered;
}

// --- messages that stream ahead ----------------------------------------------------------------------------------------

// What arrives when its draft was given up in between would be found by nobody, so it is not stored; the commit counts.
asio::awaitable<Result<>> PostgresMailStore::append_chunk(Id id, std::uint32_t n, std::string octets) {
  Job job;
  job.durability = Durability::relaxed;
  if (n == 0) {
    job.statements.push_back(
        statement("INSERT INTO draft (message, incarnation) VALUES ($1, $2) ON CONFLICT DO NOTHING", id.value,
                  Parameter::incarnation()));
  }
  const auto sum = checksum(octets);
  const postgres::Octets data{std::move(octets)};
  job.statements.push_back(
      statement("INSERT INTO chunk (message, n, sum, data) SELECT $1, $2, $3, $4"
                " WHERE $2 = 0 OR EXISTS (SELECT 1 FROM draft d WHERE d.message = $1)",
                id.value, n, sum, data));
  const auto deadline = SteadyClock::now() + options_.commit_deadline;
  const auto stored = co_await database_.write(StreamKind::intake, std::move(job), deadline);
  if (!stored) co_return store_error(stored.error());
  co_return Result<>();
}

asio::awaitable<Result<More>> PostgresMailStore::discard_some(Id id) {
  co_await posts_are_done();
  Job job;
  job.durability = Durability::relaxed;
  job.statements.push_back(
      statement("DELETE FROM chunk c USING (SELECT message, n FROM chunk WHERE message = $1 ORDER BY n LIMIT $3) part"
                " WHERE c.message = part.message AND c.n = part.n"
                " AND EXISTS (SELECT 1 FROM draft d WHERE d.message = $1 AND d.incarnation IN (0, $2)) RETURNING c.n",
                id.value, Parameter::incarnation(), dropped_at_once));
  job.statements.push_back(
      statement("DELETE FROM draft d WHERE d.message = $1 AND d.incarnation IN (0, $2)"
                " AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.message = $1)",
                id.value, Parameter::incarnation()));
  const auto dropped = co_await write(StreamKind::rest, std::move(job));
  if (!dropped) co_return dropped.error();
  co_return !dropped->empty() && dropped->front().size() == static_cast<std::size_t>(dropped_at_once) ? More::yes
                                                                                                      : More::no;
}

void PostgresMailStore::discard(Id id) {
  Job job;
  job.durability = Durability::relaxed;
  job.statements.push_back(
      statement("DELETE FROM chunk WHERE message = $1 AND EXISTS (SELECT 1 FROM draft d WHERE d.message = $1 AND "
                "d.incarnation IN (0, $2))",
                id.value, Parameter::incarnation()));
  job.statements.push_back(
      statement("DELETE FROM draft WHERE message = $1 AND incarnation IN (0, $2)", id.value, Parameter::incarnation()));
  post(std::move(job));
}

asio::awaitable<Result<std::vector<Id>>> PostgresMailStore::drafts() {
  co_await posts_are_done();
  auto asked = statement("SELECT message FROM draft WHERE incarnation IN (0, $1) ORDER BY message", incarnation());
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  std::vector<Id> ids;
  for (const auto row : *rows) ids.push_back(Id{row.integer(0)});
  co_return ids;
}

// --- commits: all that wait become one job -----------------------------------------------------------------------------

PostgresMailStore::Group PostgresMailStore::take_group() {
  Group group;
  std::size_t octets = 0;
  while (!committing_.empty() && group.size() < most_in_group && octets < most_octets) {
    const Draft& draft = *committing_.front()->draft;
    if (draft.mark && !group.empty()) break;  // which may fail: alone
    octets += draft.last_chunk ? draft.last_chunk->size() : 0;
    group.push_back(std::move(committing_.front()));
    committing_.pop_front();
    if (draft.mark) break;
  }
  return group;
}

void PostgresMailStore::add_marks(postgres::Batch& batch, Id last) {
  constexpr std::string_view sql = " ON CONFLICT (name) DO UPDATE SET value = greatest(mark.value, excluded.value)";
  if (last.value >= reserved_) {
    reserved_ = last.value + ids_reserved;
    batch.push_back(statement("INSERT INTO mark (name, value) VALUES ('id:' || $1::text, $2)" + std::string(sql),
                              Parameter::slot(), reserved_));
  }
  if (SteadyClock::now() < seen_ + seen_every && seen_ != net::SteadyTime{}) return;
  seen_ = SteadyClock::now();
  batch.push_back(statement("INSERT INTO mark (name, value) VALUES ('seen', " + std::string(database_now) + ")" +
                            std::string(sql)));
}

namespace {

Adding adding_of(const std::vector<std::shared_ptr<const Draft>>& drafts, Recording recording) {
  Adding adding;
  adding.recording = recording;
  for (const auto& draft : drafts) adding.drafts.push_back(draft.get());
  return adding;
}

}  // namespace

postgres::Job PostgresMailStore::commit_job(const Group& group) {
  std::vector<std::shared_ptr<const Draft>> drafts;
  std::vector<Id> ids;
  for (const auto& one : group) {
    drafts.push_back(one->draft);
    ids.push_back(one->draft->id);
  }
  const Adding adding = adding_of(drafts, recording_);
  Job job;
  add_messages(job.statements, adding);
  add_marks(job.statements, *std::max_element(ids.begin(), ids.end()));
  if (const auto& mark = drafts.front()->mark) add_report_mark(job.statements, drafts.front()->id, *mark);
  read_back_messages(job.read_back, adding);
  job.undo = undo_messages(ids);
  return job;
}

asio::awaitable<void> PostgresMailStore::write_group(Group group) {
  Job job = commit_job(group);
  const auto deadline = SteadyClock::now() + options_.commit_deadline;
  auto written = co_await database_.write(StreamKind::intake, std::move(job), deadline);
  if (written) {
    Added added(written->rows, 0);
    for (const auto& one : group) {
      if (added.stored(one->draft->id))
        one->outcome = added.enqueued(*one->draft);
      else
        one->outcome = fail(errc::device_or_resource_busy, "what was received of the message before is lost");
    }
    co_return;
  }
  reserved_ = 0;
  seen_ = {};
  const Error error = written.error();
  if (group.size() > 1 && !postgres::sqlstate(error).empty() && !postgres::is_unavailable(error)) {
    for (const auto& one : group) {
      Group alone{one};
      co_await write_group(std::move(alone));
    }
    co_return;
  }
  for (const auto& one : group) one->outcome = store_error(error);
}

asio::awaitable<Result<std::vector<Enqueued>>> PostgresMailStore::commit(std::shared_ptr<const Draft> draft) {
  const Passing::Commit passing(passing_, draft->id);
  auto own = std::make_shared<Committing>();
  own->draft = std::move(draft);
  committing_.push_back(own);
  struct Writing {
    PostgresMailStore& store;
    explicit Writing(PostgresMailStore& of) : store(of) { store.writing_ = true; }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing() {
      store.writing_ = false;
      store.written_.notify_all();
    }
  };
  while (!own->outcome) {
    if (writing_) {
      co_await written_.wait();
      continue;
    }
    const Writing writing(*this);
    Group group = take_group();
    co_await write_group(std::move(group));
  }
  co_return std::move(*own->outcome);
}

}  // namespace hoplock::store_postgres
