// SPDX-License-Identifier: Apache-2.0
// Mail: what is due, and whose it is from then on.
#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "store_postgres/errors.h"
#include "store_postgres/mail_jobs.h"
#include "store_postgres/mail_store.h"
#include "store_postgres/mail_write.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Durability;
using postgres::Job;
using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t most_passed = 4096;  // rows of one look for old mail
constexpr std::chrono::seconds size_lasts{30};

// From one destination to the next by the index: its cost is that of the destinations, however much waits at each.
std::string destinations_of(std::string_view owner) {
  const std::string who = "owner = " + std::string(owner);
  return "(WITH RECURSIVE t AS ((SELECT destination, due FROM recipient WHERE " + who +
         " AND state <= 1 ORDER BY destination, due LIMIT 1) UNION ALL SELECT n.* FROM t CROSS JOIN LATERAL"
         " (SELECT destination, due FROM recipient WHERE " +
         who + " AND state <= 1 AND destination > t.destination ORDER BY destination, due LIMIT 1) n) SELECT * FROM t)";
}

std::string due_sql() {
  return "WITH d AS MATERIALIZED (SELECT f.destination, min(f.due) AS due FROM (SELECT * FROM " + destinations_of("0") +
         " a UNION ALL SELECT * FROM " + destinations_of("$1") + " b) f GROUP BY f.destination)," +
         " w AS MATERIALIZED (SELECT d.destination, d.due, greatest(d.due, h.until) AS wake, " +
         std::string(hold_columns) +
         " FROM d LEFT JOIN hold h ON h.destination = d.destination WHERE d.destination NOT IN (SELECT unnest($2)))" +
         " SELECT n.next, r.* FROM (SELECT min(wake) AS next FROM w WHERE wake > $3) n LEFT JOIN LATERAL"
         " (SELECT * FROM w WHERE w.wake <= $3 ORDER BY w.wake LIMIT $4) r ON true";
}

// --- leases: the rows that were found, and with each of them all of its message that is wanted there ---------------------
//
// $1 this incarnation, $2 the destination, $3 ids to leave out (hashed so, however many they are), $4 due until then, $5 how many, $6 octets, $7 the batch

constexpr std::string_view found_due =
    "mine AS (SELECT message, due FROM recipient WHERE owner = $1 AND destination = $2 AND state <= 1 AND due <= $4"
    " AND message NOT IN (SELECT unnest($3)) ORDER BY due, message LIMIT $5),"
    " free AS (SELECT message, due FROM recipient WHERE owner = 0 AND destination = $2 AND state <= 1 AND due <= $4"
    " AND message NOT IN (SELECT unnest($3)) ORDER BY due, message LIMIT $5 FOR UPDATE SKIP LOCKED),"
    " found AS (SELECT message, min(due) AS due FROM (SELECT * FROM mine UNION ALL SELECT * FROM free) f GROUP BY "
    "message"
    " ORDER BY min(due), message LIMIT $5),";
// $8 before that id, $9 as many rows of either order: the oldest of all, and those that are due the longest
constexpr std::string_view found_older =
    "old AS (SELECT message, destination, state, owner FROM recipient WHERE message < $8 ORDER BY message LIMIT $9),"
    " mine AS (SELECT message FROM recipient WHERE owner = $1 AND destination = $2 AND state <= 1 ORDER BY due LIMIT "
    "$9),"
    " free AS (SELECT message FROM recipient WHERE owner = 0 AND destination = $2 AND state <= 1 ORDER BY due LIMIT "
    "$9),"
    " found AS (SELECT DISTINCT message, message AS due FROM (SELECT message FROM old WHERE destination = $2 AND state "
    "<= 1"
    " AND owner IN (0, $1) UNION ALL SELECT * FROM mine UNION ALL SELECT * FROM free) f"
    " WHERE message < $8 AND message NOT IN (SELECT unnest($3)) ORDER BY message LIMIT $5),";
// $8 ids that were found before
constexpr std::string_view found_ids =
    "found AS (SELECT f.message, f.message AS due FROM unnest($8) AS f(message) WHERE f.message NOT IN (SELECT "
    "unnest($3)) LIMIT $5),";

constexpr std::string_view take =
    " sized AS (SELECT f.message, f.due, row_number() OVER o AS place,"
    " sum(CASE WHEN m.chunks = 1 THEN m.size ELSE 0 END + 512) OVER (o ROWS BETWEEN UNBOUNDED PRECEDING AND 1 "
    "PRECEDING) AS before"
    " FROM found f JOIN message m ON m.id = f.message WINDOW o AS (ORDER BY f.due, f.message)),"
    " taken AS (SELECT message, place FROM sized WHERE before IS NULL OR before < $6),"
    // by the primary key: as they stand, owner and destination would lead a planner without statistics through all that waits there
    " claimed AS (UPDATE recipient r SET owner = $1, lease = $7 FROM taken t WHERE r.message = t.message"
    " AND r.destination || '' = $2 AND r.state + 0 <= 1 AND r.due + 0 <= $4 AND r.owner + 0 IN (0, $1) RETURNING r.*)"
    " SELECT ";
constexpr std::string_view taken_from =
    " FROM claimed r JOIN taken t ON t.message = r.message JOIN message m ON m.id = r.message"
    " LEFT JOIN chunk c ON c.message = m.id AND c.n = 0 AND m.chunks = 1"
    " ORDER BY t.place, r.message, r.seq";

std::string lease_sql(std::string_view found) {
  return "WITH " + std::string(found) + std::string(take) + std::string(job_columns) +
         ", (SELECT count(*) FROM found)" + std::string(taken_from);
}

std::string leased_sql() {
  return "SELECT " + std::string(job_columns) +
         ", 0::bigint FROM recipient r JOIN message m ON m.id = r.message"
         " LEFT JOIN chunk c ON c.message = m.id AND c.n = 0 AND m.chunks = 1"
         " WHERE r.owner = $1 AND r.destination = $2 AND r.lease = $3 AND r.state <= 1 ORDER BY r.due, r.message, "
         "r.seq";
}

constexpr std::string_view next_sql =
    "SELECT least((SELECT min(due) FROM recipient WHERE owner = 0 AND destination = $2 AND state <= 1 AND due > $3),"
    " (SELECT min(due) FROM recipient WHERE owner = $1 AND destination = $2 AND state <= 1 AND due > $3))";

std::string hold_at_sql() { return "SELECT " + std::string(hold_columns) + " FROM hold h WHERE h.destination = $1"; }

// Not tried yet, due since it came in; behind ($4, $5), until $6. $7 the kind, $8 its flag.
constexpr std::string_view held_sql =
    "SELECT r.message, r.due, r.seq FROM recipient r JOIN message m ON m.id = r.message"
    " WHERE r.owner = $1 AND r.destination = $2 AND r.state = 0 AND r.due >= $4 AND r.due <= $6"
    " AND (r.due, r.message * 32768 + r.seq) > ($4, $5) AND r.message NOT IN (SELECT unnest($3))"
    " AND CASE $7 WHEN 0 THEN m.sender = ''"
    " WHEN 1 THEN (r.notify & 16) = 0 AND (r.notify = 0 OR (r.notify & 8) <> 0) AND m.sender <> ''"
    " ELSE (m.flags & $8) <> 0 END ORDER BY r.due, r.message, r.seq LIMIT $9";

std::int64_t bounded(std::size_t value) {
  return static_cast<std::int64_t>(std::min<std::size_t>(value, std::size_t{1} << 40));
}

Job lease_job(const LeaseQuery& query, std::string_view found, std::int64_t due_until) {
  Job job;
  const std::string destination = text_of(query.destination);
  job.statements.push_back(statement(lease_sql(found), Parameter::incarnation(), destination, numbers(query.exclude),
                                     due_until, bounded(query.messages), bounded(query.bytes), Parameter::batch()));
  job.read_back.push_back(statement(leased_sql(), Parameter::incarnation(), destination, Parameter::batch()));
  return job;
}

}  // namespace

asio::awaitable<Result<Work>> PostgresMailStore::due(Time now, std::size_t limit, std::vector<std::string> busy) {
  co_await posts_are_done();
  for (std::string& one : busy) one = text_of(one);
  auto asked = statement(due_sql(), incarnation(), busy, to_millis(now), bounded(limit));
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  Work work;
  for (const auto row : *rows) {
    if (!row.null(0)) work.next_due = row.time(0);
    if (row.null(1)) continue;
    Ready ready;
    ready.destination = row.text(1);
    ready.due = row.time(2);
    ready.backoff = backoff_of(row, 4);
    work.ready.push_back(std::move(ready));
  }
  if (options_.max_size > 0 && std::chrono::steady_clock::now() > sized_ + size_lasts) {
    sized_ = std::chrono::steady_clock::now();
    auto size = statement("SELECT pg_database_size(current_database())");
    const auto found = co_await read(std::move(size));
    if (found && !found->empty()) size_ = static_cast<std::uint64_t>((*found)[0].integer(0));
  }
  co_return work;
}

// What waits behind a hold is found first, a page of it, and leased then.
asio::awaitable<Result<PostgresMailStore::HeldIds>> PostgresMailStore::find_held(LeaseQuery query) {
  HeldQuery held = std::get<HeldQuery>(query.which);
  const bool begun = held.from.domain != 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> found;  // due, key
  for (const std::int64_t owner : {std::int64_t{0}, incarnation()}) {
    auto asked = statement(std::string(held_sql), owner, text_of(query.destination), numbers(query.exclude),
                           begun ? held.from.due : to_millis(held.after), begun ? held.from.recipient : never,
                           to_millis(held.until), held.kind, tls_not_required, bounded(query.messages + 1));
    const auto rows = co_await read(std::move(asked));
    if (!rows) co_return rows.error();
    for (const auto row : *rows) found.emplace_back(row.integer(1), row.integer(0) << 15 | row.integer(2));
  }
  std::sort(found.begin(), found.end());
  HeldIds ids;
  if (found.size() > query.messages) {
    found.resize(query.messages);
    held.from = {1, found.back().first, found.back().second};
    ids.rest = held;
  }
  for (const auto& one : found) ids.ids.push_back(one.second >> 15);
  std::sort(ids.ids.begin(), ids.ids.end());
  ids.ids.erase(std::unique(ids.ids.begin(), ids.ids.end()), ids.ids.end());
  co_return ids;
}

asio::awaitable<Result<Leased>> PostgresMailStore::lease(LeaseQuery query) {
  const Passing::Look look(passing_);
  for (const Id id : passing_.commits()) query.exclude.push_back(id);
  Leased leased;
  Job job;
  const std::string destination = text_of(query.destination);
  if (const auto* due_now = std::get_if<LeaseQuery::DueNow>(&query.which)) {
    job = lease_job(query, found_due, to_millis(due_now->now));
    for (auto* batch : {&job.statements, &job.read_back}) {
      batch->push_back(
          statement(std::string(next_sql), Parameter::incarnation(), destination, to_millis(due_now->now)));
      batch->push_back(statement(hold_at_sql(), destination));
    }
  } else if (const auto* older = std::get_if<LeaseQuery::OlderThan>(&query.which)) {
    job = lease_job(query, found_older, never);
    job.statements[0].parameters.emplace_back(older->id.value);
    job.statements[0].parameters.emplace_back(most_passed);
  } else {
    auto held = co_await find_held(query);
    if (!held) co_return held.error();
    leased.rest = held->rest;
    if (held->ids.empty()) co_return leased;
    job = lease_job(query, found_ids, never);
    job.statements[0].parameters.emplace_back(held->ids);
  }
  auto written = co_await write(StreamKind::claims, std::move(job));
  if (!written) {
    // what cannot be written can be read: this process goes on with what it has
    if (written.error().code != errc::read_only_file_system && written.error().code != errc::no_space_on_device)
      co_return written.error();
    co_return co_await lease_own(std::move(query));
  }
  const postgres::Rows& rows = written->front();
  Jobs got = read_jobs(rows, look, query.destination);
  leased.jobs = std::move(got.jobs);
  leased.damaged = std::move(got.damaged);
  const auto found = rows.empty() ? 0 : rows[0].integer(job_column_count);
  leased.more =
      got.outdated || found >= bounded(query.messages) || found > bounded(leased.jobs.size() + leased.damaged.size());
  if (!std::holds_alternative<LeaseQuery::DueNow>(query.which)) co_return leased;
  leased.next = no_due_time;
  if (const auto row = written->at(1)[0]; !row.null(0)) leased.next = row.time(0);
  if (!written->at(2).empty()) leased.backoff = backoff_of(written->at(2)[0], 0);
  co_return leased;
}

asio::awaitable<Result<Leased>> PostgresMailStore::lease_own(LeaseQuery query) {
  const auto* due_now = std::get_if<LeaseQuery::DueNow>(&query.which);
  Leased leased;
  if (due_now == nullptr) co_return leased;
  const Passing::Look look(passing_);
  auto asked = statement(
      "SELECT " + std::string(job_columns) +
          " FROM (SELECT * FROM recipient WHERE owner = $1 AND destination = $2 AND state <= 1 AND due <= $4"
          " AND message NOT IN (SELECT unnest($3)) ORDER BY due, message LIMIT $5) r JOIN message m ON m.id = r.message"
          " LEFT JOIN chunk c ON c.message = m.id AND c.n = 0 AND m.chunks = 1 ORDER BY r.due, r.message, r.seq",
      incarnation(), text_of(query.destination), numbers(query.exclude), to_millis(due_now->now),
      bounded(query.messages));
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  Jobs own = read_jobs(*rows, look, query.destination);
  leased.jobs = std::move(own.jobs);
  leased.damaged = std::move(own.damaged);
  leased.more = true;
  co_return leased;
}

void PostgresMailStore::release(std::string destination, std::vector<Id> ids) {
  if (ids.empty()) return;
  Job job;
  job.statements.push_back(
      statement("UPDATE recipient SET owner = 0 WHERE message = ANY($1) AND destination = $2 AND owner = $3",
                numbers(ids), text_of(destination), Parameter::incarnation()));
  post(std::move(job));
}

asio::awaitable<Result<std::string>> PostgresMailStore::read_chunk(Id id, std::uint32_t n) {
  auto asked = statement("SELECT sum, data FROM chunk WHERE message = $1 AND n = $2", id.value, n);
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return fail(errc::no_message, id.text() + ": no longer in the queue");
  const auto row = (*rows)[0];
  std::string octets(row.bytea(1));
  if (row.integer(0) != checksum(octets))
    co_return fail(errc::bad_message, id.text() + ": chunk " + std::to_string(n) + " is damaged");
  co_return octets;
}

void PostgresMailStore::hold_damaged(Id id) {
  Job job;
  job.statements.push_back(statement(
      "UPDATE recipient SET state = 2, status = '4.3.0', reply = $2, owner = CASE WHEN owner = $3 THEN 0 ELSE owner END"
      " WHERE message = $1 AND state <= 2",
      id.value, damaged_reply, Parameter::incarnation()));
  post(std::move(job));
}

asio::awaitable<Result<LeasedBySelection>> PostgresMailStore::pick(Selection selection, std::vector<Id> ids,
                                                                   std::vector<Lease> leases) {
  const Passing::Look look(passing_);
  std::vector<std::int64_t> messages, seqs;
  for (const Lease& one : leases) {
    messages.push_back(one.id.value);
    seqs.push_back(one.seq);
  }
  std::optional<std::string> domain;
  if (selection.by == Selection::By::domain) domain = selection.domain.text();
  constexpr std::string_view meant = " r.message = ANY($2) AND r.state <= 2 AND ($3 IS NULL OR r.domain = $3)";
  constexpr std::string_view under_way =
      " (r.owner NOT IN (0, $1) OR r.message = ANY($6) OR (r.message, r.seq::bigint) IN (SELECT * FROM unnest($4, "
      "$5)))";
  Job job;
  auto picked = statement(
      "WITH claimed AS (UPDATE recipient r SET owner = $1, lease = $7 WHERE" + std::string(meant) + " AND NOT" +
          std::string(under_way) + " RETURNING r.*) SELECT " + std::string(job_columns) +
          " FROM claimed r JOIN message m ON m.id = r.message LEFT JOIN chunk c ON false ORDER BY r.message, r.seq",
      Parameter::incarnation(), numbers(ids), domain, messages, seqs, numbers(passing_.commits()), Parameter::batch());
  auto active = statement(
      "SELECT count(DISTINCT r.message) FROM recipient r WHERE" + std::string(meant) + " AND" + std::string(under_way),
      Parameter::incarnation(), numbers(ids), domain, messages, seqs, numbers(passing_.commits()));
  auto again = statement("SELECT " + std::string(job_columns) +
                             " FROM recipient r JOIN message m ON m.id = r.message LEFT JOIN chunk c ON false"
                             " WHERE r.owner = $1 AND r.message = ANY($2) AND r.lease = $3 ORDER BY r.message, r.seq",
                         Parameter::incarnation(), numbers(ids), Parameter::batch());
  job.statements.push_back(active);
  job.statements.push_back(std::move(picked));
  job.read_back.push_back(std::move(active));
  job.read_back.push_back(std::move(again));
  const auto written = co_await write(StreamKind::claims, std::move(job));
  if (!written) co_return written.error();
  LeasedBySelection result;
  result.active = static_cast<std::uint64_t>(written->at(0)[0].integer(0));
  result.jobs = read_jobs(written->at(1), look, std::string()).jobs;
  co_return result;
}

}  // namespace hoplock::store_postgres
