// SPDX-License-Identifier: Apache-2.0
// Mail: what changed routes and clocks ask for, what wakes it before its time, the history's end, and the sweep.
#include <algorithm>
#include <set>
#include <utility>

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

constexpr std::int64_t rows_at_once = 2'000;     // that are changed
constexpr std::int64_t most_destinations = 500;  // of a look at some
constexpr std::size_t domains_at_once = 1'000;
constexpr std::int64_t pruned_at_once = 500;  // messages
constexpr std::int64_t chunks_at_once = 64;

constexpr std::string_view waiting_sql =
    "WITH RECURSIVE t AS ((SELECT min(x.destination) AS destination FROM (SELECT (SELECT min(destination) FROM "
    "recipient WHERE owner = 0"
    " AND state <= 1 AND destination > $1) AS destination UNION ALL SELECT (SELECT min(destination) FROM recipient "
    "WHERE owner = $2"
    " AND state <= 1 AND destination > $1)) x) UNION ALL SELECT (SELECT min(x.destination) FROM (SELECT (SELECT "
    "min(destination) FROM"
    " recipient WHERE owner = 0 AND state <= 1 AND destination > t.destination) AS destination UNION ALL SELECT (SELECT"
    " min(destination) FROM recipient WHERE owner = $2 AND state <= 1 AND destination > t.destination)) x) FROM t"
    " WHERE t.destination IS NOT NULL) SELECT t.destination, coalesce(h.until > $3, false), coalesce(h.reason, '') "
    "FROM t"
    " LEFT JOIN hold h ON h.destination = t.destination WHERE t.destination IS NOT NULL LIMIT $4";

// Deferred there for one of these reasons, and not under way anywhere.
constexpr std::string_view wake_sql =
    "WITH late AS (SELECT message, seq FROM recipient WHERE destination = $1 AND owner IN (0, $2) AND state = 1 AND "
    "state <= 1"
    " AND due > $3 AND reason = ANY($4) LIMIT $5) UPDATE recipient r SET due = $3 FROM late"
    " WHERE r.message = late.message AND r.seq = late.seq AND r.due > $3 AND r.state = 1";

}  // namespace

// --- what waits --------------------------------------------------------------------------------------------------------

asio::awaitable<Result<std::vector<Held>>> PostgresMailStore::holds(std::string after, Time now) {
  auto asked = statement(
      "SELECT destination, reply FROM hold WHERE destination > $1 AND until > $2 ORDER BY destination LIMIT $3",
      text_of(after), now, most_destinations);
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  std::vector<Held> held;
  for (const auto row : *rows) held.push_back(Held{std::string(row.text(0)), std::string(row.text(1))});
  co_return held;
}

asio::awaitable<Result<std::vector<Waiting>>> PostgresMailStore::waiting(std::string after, Time now) {
  co_await posts_are_done();
  auto asked = statement(std::string(waiting_sql), text_of(after), incarnation(), now, most_destinations);
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  std::vector<Waiting> waits;
  for (const auto row : *rows)
    waits.push_back(Waiting{std::string(row.text(0)), row.boolean(1), std::string(row.text(2))});
  co_return waits;
}

asio::awaitable<Result<bool>> PostgresMailStore::wake(std::string destination, Wake wake) {
  const std::string name = text_of(destination);
  for (std::int64_t changed = rows_at_once; !wake.reasons.empty() && changed == rows_at_once;) {
    Job job;
    job.durability = Durability::relaxed;
    job.statements.push_back(
        statement(std::string(wake_sql), name, Parameter::incarnation(), wake.now, wake.reasons, rows_at_once));
    job.read_back.push_back(statement("SELECT 1 FROM generate_series(1, $1)", rows_at_once));  // perhaps there are more
    const auto written = co_await write(StreamKind::rest, std::move(job));
    if (!written) co_return written.error();
    changed = written->front().changed();
  }
  Job job;
  job.statements.push_back(
      statement("UPDATE hold SET until = least(until, $2) WHERE destination = $1", name, wake.now));
  auto known = statement(
      "SELECT EXISTS (SELECT 1 FROM hold WHERE destination = $1) OR EXISTS (SELECT 1 FROM recipient"
      " WHERE destination = $1 AND owner IN (0, $2) AND state <= 1)",
      name, Parameter::incarnation());
  job.statements.push_back(known);
  job.read_back.push_back(known);
  job.read_back.push_back(std::move(known));
  const auto written = co_await write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return written->at(1)[0].boolean(0);
}

// All that are deferred, in the order of messages, a part at a time.
asio::awaitable<Result<>> PostgresMailStore::wake_told(std::function<bool(std::string_view)> says_so, Time now) {
  for (Lease last{Id{-1}, 0};;) {
    auto asked = statement(
        "SELECT message, seq, due, state, reply FROM recipient WHERE (message, seq) > ($1, $2)"
        " ORDER BY message, seq LIMIT $3",
        last.id.value, last.seq, rows_at_once);
    const auto rows = co_await read(std::move(asked));
    if (!rows) co_return rows.error();
    std::vector<std::int64_t> messages, seqs;
    for (const auto row : *rows) {
      last = {Id{row.integer(0)}, static_cast<std::uint32_t>(row.integer(1))};
      if (row.integer(3) != 1 || row.time(2) <= now || !says_so(row.text(4))) continue;
      messages.push_back(row.integer(0));
      seqs.push_back(row.integer(1));
    }
    if (!messages.empty()) {
      Job job;
      job.durability = Durability::relaxed;
      job.statements.push_back(
          statement("UPDATE recipient r SET due = $3 FROM unnest($1, $2) AS e(message, seq) WHERE r.message = e.message"
                    " AND r.seq = e.seq AND r.state = 1 AND r.due > $3",
                    messages, seqs, now));
      const auto written = co_await write(StreamKind::rest, std::move(job));
      if (!written) co_return written.error();
    }
    if (rows->size() < static_cast<std::size_t>(rows_at_once)) co_return Result<>();
  }
}

// --- routes and clocks -------------------------------------------------------------------------------------------------

// There are no rows of domains: those of all mail are read at once, and told a part at a time.
asio::awaitable<Result<std::vector<RoutedDomain>>> PostgresMailStore::domains(std::int64_t after) {
  if (after == 0) {
    co_await posts_are_done();
    auto asked = statement("SELECT DISTINCT domain, destination FROM recipient WHERE state <= 2");
    const auto rows = co_await read(std::move(asked));
    if (!rows) co_return rows.error();
    domains_.clear();
    for (const auto row : *rows) domains_.emplace_back(row.text(0), row.text(1));
  }
  std::vector<RoutedDomain> page;
  for (auto i = static_cast<std::size_t>(after); i < domains_.size() && page.size() < domains_at_once; ++i) {
    RoutedDomain routed;
    routed.id = static_cast<std::int64_t>(i) + 1;
    if (auto name = dns::Name::parse(domains_[i].first)) routed.domain = std::move(*name);
    routed.destination = domains_[i].second;
    page.push_back(std::move(routed));
  }
  if (page.empty()) domains_.clear();
  co_return page;
}

asio::awaitable<Result<std::vector<RoutedDomain>>> PostgresMailStore::reroute(std::vector<RoutedDomain> moved,
                                                                              Time now) {
  std::vector<RoutedDomain> rest;
  std::int64_t left = rows_at_once;
  for (RoutedDomain& routed : moved) {
    if (left <= 0) {
      rest.push_back(std::move(routed));
      continue;
    }
    Job job;
    // the earliest first, and what waited for the old next hop waits no more
    job.statements.push_back(
        statement("WITH part AS (SELECT message, seq FROM recipient WHERE domain = $1 AND destination <> $2 AND state "
                  "<= 2 LIMIT $4)"
                  " UPDATE recipient r SET destination = $2, due = CASE WHEN r.state = 1 THEN least(r.due, $3) ELSE "
                  "r.due END FROM part"
                  " WHERE r.message = part.message AND r.seq = part.seq",
                  routed.domain.text(), text_of(routed.destination), now, left));
    job.read_back.push_back(statement("SELECT 1 FROM generate_series(1, $1)", left));
    const auto written = co_await write(StreamKind::rest, std::move(job));
    if (!written) co_return written.error();
    const std::int64_t changed = written->front().changed();
    if (changed == left) rest.push_back(std::move(routed));  // there may be more
    left -= changed;
  }
  co_return rest;
}

asio::awaitable<Result<More>> PostgresMailStore::hasten_some() { co_return More::no; }

asio::awaitable<Result<>> PostgresMailStore::begin_rebase(Time now) {
  Job job;
  for (const std::string_view name : {"rebase", "seen"}) {
    job.statements.push_back(statement(
        "INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2", name, now));
  }
  const auto written = co_await write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  rebasing_ = Rebase{to_millis(now), Lease{Id{-1}, 0}};
  co_return Result<>();
}

asio::awaitable<Result<More>> PostgresMailStore::rebase_some() {
  if (!rebasing_) co_return More::no;
  const Rebase from = *rebasing_;
  auto asked = statement(
      "SELECT message, seq FROM recipient WHERE (message, seq) > ($1, $2) ORDER BY message, seq OFFSET $3 LIMIT 1",
      from.last.id.value, from.last.seq, rows_at_once - 1);
  const auto end = co_await read(std::move(asked));
  if (!end) co_return end.error();
  Lease last{Id{std::int64_t{1} << 48}, 0};
  if (!end->empty()) last = {Id{(*end)[0].integer(0)}, static_cast<std::uint32_t>((*end)[0].integer(1))};
  Job job;
  job.durability = Durability::relaxed;
  job.statements.push_back(statement(
      "UPDATE recipient SET due = $5 WHERE (message, seq) > ($1, $2) AND (message, seq) <= ($3, $4) AND state <= 1"
      " AND due - interval * 3 / 2 > $5",
      from.last.id.value, from.last.seq, last.id.value, last.seq, from.now));
  if (end->empty()) {
    job.statements.push_back(statement("UPDATE hold SET until = $1 WHERE until - interval * 3 / 2 > $1", from.now));
    job.statements.push_back(statement("DELETE FROM mark WHERE name = 'rebase'"));
  }
  const auto written = co_await write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  if (!rebasing_ || rebasing_->now != from.now) co_return More::yes;  // it began anew
  rebasing_->last = last;
  if (end->empty()) rebasing_.reset();
  co_return rebasing_ ? More::yes : More::no;
}

asio::awaitable<Result<More>> PostgresMailStore::void_some(std::vector<Lease> leased) {
  std::vector<std::int64_t> messages, seqs;
  for (const Lease& one : leased) {
    messages.push_back(one.id.value);
    seqs.push_back(one.seq);
  }
  constexpr std::string_view sql =
      "SELECT DISTINCT message FROM recipient r WHERE r.state = 6 AND r.owner IN (0, $1)"
      " AND (r.message, r.seq::bigint) NOT IN (SELECT * FROM unnest($2, $3)) ORDER BY message LIMIT 256";
  auto asked = statement(std::string(sql), incarnation(), messages, seqs);
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return More::no;
  std::vector<std::int64_t> ids;
  for (const auto row : *rows) ids.push_back(row.integer(0));
  Job job;
  job.statements.push_back(lock_messages(ids));
  job.statements.push_back(
      statement("DELETE FROM recipient r WHERE r.message = ANY($1) AND r.state = 6 AND r.owner IN (0, $2)"
                " AND (r.message, r.seq::bigint) NOT IN (SELECT * FROM unnest($3, $4))",
                ids, Parameter::incarnation(), messages, seqs));
  remove_if_done(job.statements, ids);
  const auto written = co_await write(StreamKind::rest, std::move(job));
  if (!written) co_return written.error();
  co_return More::yes;
}

// --- the history -------------------------------------------------------------------------------------------------------

asio::awaitable<Result<std::optional<PruneFrom>>> PostgresMailStore::prune(Time before, PruneFrom from) {
  auto asked = statement(
      "SELECT h.message, max(h.at) < $2 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = h.message)"
      " FROM history h WHERE h.message IN (SELECT DISTINCT message FROM history WHERE message >= $1"
      " AND message < $3 ORDER BY message LIMIT $4) GROUP BY h.message ORDER BY h.message",
      from.history, before, Id::at(before).value, pruned_at_once);
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<PruneFrom>();
  std::vector<std::int64_t> over;
  for (const auto row : *rows) {
    from.history = row.integer(0) + 1;
    if (row.boolean(1)) over.push_back(row.integer(0));
  }
  if (!over.empty()) {
    Job job;
    job.durability = Durability::relaxed;
    job.statements.push_back(statement("DELETE FROM party WHERE message = ANY($1)", over));
    job.statements.push_back(statement("DELETE FROM history WHERE message = ANY($1)", over));
    const auto written = co_await write(StreamKind::rest, std::move(job));
    if (!written) co_return written.error();
  }
  co_return std::optional(from);
}

// --- the sweep ---------------------------------------------------------------------------------------------------------

// The server has checksums of its own for what finds mail.
asio::awaitable<Result<Inspection>> PostgresMailStore::inspect_some() {
  Inspection inspection;
  inspection.at = Inspection::At::end;
  co_return inspection;
}

asio::awaitable<Result<Verified>> PostgresMailStore::verify_some(std::size_t bytes) {
  auto asked =
      statement("SELECT message, n, sum, data FROM chunk WHERE (message, n) > ($1, $2) ORDER BY message, n LIMIT $3",
                verified_.id.value, std::int64_t{verified_.seq},
                std::min<std::int64_t>(chunks_at_once, 1 + static_cast<std::int64_t>(bytes / 1024)));
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  Verified found;
  found.end = rows->empty();
  for (const auto row : *rows) {
    const Id id{row.integer(0)};
    verified_ = {id, static_cast<std::uint32_t>(row.integer(1))};
    const std::string_view octets = row.bytea(3);
    if (row.integer(2) != checksum(octets) && (found.damaged.empty() || found.damaged.back() != id))
      found.damaged.push_back(id);
    found.octets += octets.size();
    if (found.octets >= bytes) break;
  }
  if (found.end) verified_ = {};
  co_return found;
}

}  // namespace hoplock::store_postgres
