// SPDX-License-Identifier: Apache-2.0
// Mail: what operators ask for. What is under way is what another node owns, or what the queue says that this one has leased.
#include <algorithm>
#include <set>
#include <utility>

#include "store_postgres/mail_store.h"
#include "store_postgres/mail_write.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Job;
using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

// $1 the messages, $2 this incarnation, $3 and $4 what it has leased, $5 what it is just taking in, $6 the domain or NULL, $7 now, $8 the slot,
// $9 the line for the history or ''.
constexpr std::string_view meant = " r.message = ANY($1) AND ($6 IS NULL OR r.domain = $6)";
constexpr std::string_view under_way =
    " (r.owner NOT IN (0, $2) OR r.message = ANY($5) OR (r.message, r.seq::bigint) IN (SELECT * FROM unnest($3, $4)))";

std::string update(std::string_view set, std::string_view where) {
  return "changed AS (UPDATE recipient r SET " + std::string(set) + ", owner = CASE WHEN" + std::string(under_way) +
         " THEN r.owner ELSE 0 END WHERE" + std::string(meant) + " AND " + std::string(where) +
         " RETURNING r.message, r.seq, r.destination, r.owner <> 0 AS active)";
}

constexpr std::string_view recorded =
    ", h AS (INSERT INTO history (message, at, slot, data) SELECT DISTINCT message, $7, $8, $9 FROM changed WHERE $9 "
    "<> '')";
constexpr std::string_view listed = " SELECT message, destination, active FROM changed ORDER BY message, seq";

std::string act_sql(Action action) {
  std::string sql = "WITH ";
  switch (action) {
    case Action::hold:
      sql += update("state = 2", "r.state <= 1");
      break;
    case Action::release:
      sql += update("state = CASE WHEN r.attempts > 0 THEN 1 ELSE 0 END, due = $7", "r.state = 2");
      break;
    case Action::remove:
      sql +=
          "kept AS (UPDATE recipient r SET state = 6 WHERE" + std::string(meant) + " AND r.state <> 6 AND" +
          std::string(under_way) +
          " RETURNING r.message, r.seq, r.destination), dropped AS (DELETE FROM recipient r WHERE" +
          std::string(meant) + " AND r.state <> 6 AND NOT" + std::string(under_way) +
          " RETURNING r.message, r.seq, r.destination), changed AS (SELECT kept.*, true AS active FROM kept UNION ALL"
          " SELECT dropped.*, false FROM dropped)";
      break;
    case Action::retry:
    case Action::bounce:
      sql += update("due = least(r.due, $7)", "r.state <= 1");
      sql +=
          ", w AS (DELETE FROM hold x USING (SELECT DISTINCT destination FROM changed) c WHERE x.destination = "
          "c.destination)";
      break;
  }
  sql += recorded;
  sql += listed;
  return sql;
}

AdminResult result_of(const postgres::Rows& rows, Action action) {
  AdminResult result;
  std::set<std::string> destinations;
  bool active = false;
  for (const auto row : rows) {
    const Id id{row.integer(0)};
    if (result.affected.ids.empty() || result.affected.ids.back() != id) {
      result.affected.ids.push_back(id);
      active = false;
    }
    ++result.affected.recipients;
    if (row.boolean(2) && !std::exchange(active, true)) ++result.affected.active;
    destinations.emplace(row.text(1));
  }
  result.affected.messages = result.affected.ids.size();
  if (action == Action::retry || action == Action::release)
    result.destinations.assign(destinations.begin(), destinations.end());
  return result;
}

}  // namespace

asio::awaitable<Result<AdminResult>> PostgresMailStore::act(std::shared_ptr<const AdminBatch> batch) {
  co_await posts_are_done();
  std::vector<std::int64_t> messages, seqs;
  for (const Lease& one : batch->leased) {
    messages.push_back(one.id.value);
    seqs.push_back(one.seq);
  }
  std::optional<std::string> domain;
  if (batch->selection.by == Selection::By::domain) domain = batch->selection.domain.text();
  const std::string line = recording_ == Recording::on ? text_of(action_line(*batch)) : std::string();
  const auto ids = numbers(batch->ids);
  Job job;
  if (batch->action == Action::remove) {
    job.statements.push_back(lock_messages(ids));
    // what a node leases in this moment would be neither under way nor free
    job.statements.push_back(
        statement("SELECT 1 FROM recipient WHERE message = ANY($1) ORDER BY message, seq FOR UPDATE", ids));
  }
  job.statements.push_back(statement(act_sql(batch->action), ids, Parameter::incarnation(), messages, seqs,
                                     numbers(passing_.commits()), domain, batch->now, Parameter::slot(), line));
  const std::size_t at = job.statements.size() - 1;
  if (batch->action == Action::remove) remove_if_done(job.statements, ids);
  // what is left of those that were meant: about what was done
  job.read_back.push_back(statement(
      "SELECT message, destination, owner <> 0 FROM recipient WHERE message = ANY($1) ORDER BY message, seq", ids));
  auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return settle_failed(written.error());
  co_return result_of(written->replayed ? written->rows.front() : written->rows.at(at), batch->action);
}

asio::awaitable<Result<std::vector<Lease>>> PostgresMailStore::withdraw(std::vector<Lease> leased) {
  std::vector<std::int64_t> messages, seqs;
  for (const Lease& one : leased) {
    messages.push_back(one.id.value);
    seqs.push_back(one.seq);
  }
  // OFFSET: by the primary key, whatever a planner without statistics thinks
  auto asked = statement(
      "SELECT r.message, r.seq FROM unnest($1, $2) AS e(message, seq) CROSS JOIN LATERAL (SELECT x.message, x.seq, "
      "x.owner, x.state FROM recipient x WHERE x.message = e.message AND x.seq = e.seq OFFSET 0) r"
      " WHERE r.owner <> $3 OR r.state > 1 ORDER BY r.message, r.seq",
      messages, seqs, incarnation());
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  std::vector<Lease> found;
  std::vector<Id> ids;
  messages.clear();
  seqs.clear();
  for (const auto row : *rows) {
    found.push_back({Id{row.integer(0)}, static_cast<std::uint32_t>(row.integer(1))});
    messages.push_back(row.integer(0));
    seqs.push_back(row.integer(1));
    if (ids.empty() || ids.back() != found.back().id) ids.push_back(found.back().id);
  }
  if (found.empty()) co_return found;
  constexpr std::string_view own = " r.message = e.message AND r.seq = e.seq AND r.owner = $3";
  Job job;
  job.statements.push_back(lock_messages(numbers(ids)));
  job.statements.push_back(statement(
      "DELETE FROM recipient r USING unnest($1, $2) AS e(message, seq) WHERE r.state = 6 AND" + std::string(own),
      messages, seqs, Parameter::incarnation()));
  job.statements.push_back(
      statement("UPDATE recipient r SET owner = 0 FROM unnest($1, $2) AS e(message, seq) WHERE r.state <= 2 AND" +
                    std::string(own),
                messages, seqs, Parameter::incarnation()));
  remove_if_done(job.statements, numbers(ids));
  const auto written = co_await database_.write(StreamKind::rest, std::move(job));
  if (!written) co_return settle_failed(written.error());
  co_return found;
}

asio::awaitable<Result<SelectionPage>> PostgresMailStore::select(Selection selection, SelectionCursor from,
                                                                 std::size_t rows) {
  const bool by_domain = selection.by == Selection::By::domain;
  auto asked =
      by_domain
          ? statement(
                "SELECT message, true FROM (SELECT DISTINCT message FROM recipient WHERE domain = $1 AND message > $2"
                " ORDER BY message LIMIT $3) m ORDER BY message",
                selection.domain.text(), from.key, rows)
          : statement("SELECT id, $3 OR sender = $4 FROM message WHERE id > $1 ORDER BY id LIMIT $2", from.key, rows,
                      selection.by == Selection::By::all, text_of(selection.sender));
  const auto found = co_await read(std::move(asked));
  if (!found) co_return found.error();
  SelectionPage page;
  SelectionCursor last;
  for (const auto row : *found) {
    last.key = row.integer(0);
    if (row.boolean(1)) page.ids.push_back(Id{last.key});
  }
  if (found->size() == rows) page.next = last;
  co_return page;
}

}  // namespace hoplock::store_postgres
