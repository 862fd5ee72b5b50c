// SPDX-License-Identifier: Apache-2.0
// Mail: ends of leases. What is ours, or nobody's any more, is settled; what another node took over is told of as lost.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "store_postgres/errors.h"
#include "store_postgres/ledger_batch.h"
#include "store_postgres/mail_notices.h"
#include "store_postgres/mail_store.h"
#include "store_postgres/mail_write.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Batch;
using postgres::Job;
using postgres::Parameter;
using postgres::statement;
using postgres::StreamKind;

namespace {

// The recipients that ended, by message and number.
struct Ends {
  std::vector<std::int64_t> messages, seqs, states, due, intervals;
  std::vector<std::string> status, reply, reason, host;
};

Ends ends_of(const std::vector<Settled>& settled) {
  Ends ends;
  for (const Settled& one : settled) {
    for (const RecipientResult& result : one.recipients) {
      ends.messages.push_back(one.id.value);
      ends.seqs.push_back(result.seq);
      ends.states.push_back(static_cast<std::int64_t>(state_after(result.verdict)));
      ends.due.push_back(to_millis(result.due));
      ends.intervals.push_back(result.interval.count());
      ends.status.push_back(text_of(result.status));
      ends.reply.push_back(text_of(result.reply));
      ends.reason.push_back(text_of(result.reason));
      ends.host.push_back(text_of(result.host));
    }
  }
  return ends;
}

// The usual end: every recipient of the message is in this lease and was delivered.
postgres::Statement remove_delivered(const std::vector<Settled>& settled) {
  std::vector<std::int64_t> ids, counts;
  for (const Settled& one : settled) {
    const auto delivered = [](const RecipientResult& result) { return result.verdict == Verdict::delivered; };
    if (one.recipients.empty() || !std::all_of(one.recipients.begin(), one.recipients.end(), delivered)) continue;
    ids.push_back(one.id.value);
    counts.push_back(static_cast<std::int64_t>(one.recipients.size()));
  }
  return statement(
      "WITH gone AS (SELECT m.id FROM unnest($1, $2) AS d(id, n) JOIN message m ON m.id = d.id AND m.recipients = d.n"
      " WHERE NOT EXISTS (SELECT 1 FROM recipient x WHERE x.message = m.id AND x.owner <> $3)),"
      " r AS (DELETE FROM recipient r USING gone WHERE r.message = gone.id RETURNING r.message, r.seq),"
      " c AS (DELETE FROM chunk c USING gone WHERE c.message = gone.id),"
      " m AS (DELETE FROM message m USING gone WHERE m.id = gone.id)"
      " SELECT message, seq FROM r",
      ids, counts, Parameter::incarnation());
}

// Held while it was under way: it stays held unless the attempt ended it.
postgres::Statement update_ended(const Ends& ends, Time now) {
  return statement(
      "UPDATE recipient r SET state = CASE WHEN r.state = 2 AND e.state = 1 THEN 2 ELSE e.state END,"
      " due = CASE WHEN e.state = 1 THEN e.due ELSE r.due END, interval = e.interval, attempts = r.attempts + 1, last "
      "= $10,"
      " status = e.status, reply = e.reply, reason = e.reason, host = e.host, owner = 0"
      " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS e(message, seq, state, due, interval, status, reply, "
      "reason, host)"
      " WHERE r.message = e.message AND r.seq = e.seq AND r.owner IN (0, $11) AND r.state <= 2 RETURNING r.message, "
      "r.seq",
      ends.messages, ends.seqs, ends.states, ends.due, ends.intervals, ends.status, ends.reply, ends.reason, ends.host,
      now, Parameter::incarnation());
}

std::vector<std::int64_t> messages_of(const std::vector<Settled>& settled) {
  std::vector<std::int64_t> ids;
  for (const Settled& one : settled) ids.push_back(one.id.value);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Three statements whose rows are the recipients that were ours; then the rest.
void add_ends(Batch& batch, const RoutedResults& all) {
  const Ends ends = ends_of(all.results.settled);
  batch.push_back(remove_delivered(all.results.settled));
  batch.push_back(update_ended(ends, all.results.now));
  std::vector<std::int64_t> messages = ends.messages, seqs = ends.seqs, unnamed_messages, unnamed_seqs;
  for (std::size_t i = 0; i < all.unnamed.size(); ++i) {
    for (const auto seq : all.unnamed[i]) {
      unnamed_messages.push_back(all.results.settled[i].id.value);
      unnamed_seqs.push_back(seq);
    }
  }
  messages.insert(messages.end(), unnamed_messages.begin(), unnamed_messages.end());
  seqs.insert(seqs.end(), unnamed_seqs.begin(), unnamed_seqs.end());
  batch.push_back(statement(
      "DELETE FROM recipient r USING unnest($1, $2) AS e(message, seq) WHERE r.message = e.message AND r.seq = e.seq"
      " AND r.state = 6 AND r.owner IN (0, $3) RETURNING r.message, r.seq",
      messages, seqs, Parameter::incarnation()));
  if (!unnamed_seqs.empty()) {
    batch.push_back(
        statement("UPDATE recipient r SET owner = 0 FROM unnest($1, $2) AS e(message, seq) WHERE r.message = e.message "
                  "AND r.seq = e.seq"
                  " AND r.owner = $3 AND r.state <= 2",
                  unnamed_messages, unnamed_seqs, Parameter::incarnation()));
  }
  remove_if_done(batch, messages_of(all.results.settled));
}

void add_holds(Batch& batch, const std::vector<DestinationChange>& changes) {
  std::map<std::string, const std::optional<Backoff>*> last;
  for (const DestinationChange& one : changes) last[text_of(one.destination)] = &one.backoff;
  std::vector<std::string> gone, names, status, reply, reason, host;
  std::vector<std::int64_t> until, failures, intervals, tried;
  for (const auto& [name, backoff] : last) {
    if (!*backoff) {
      gone.push_back(name);
      continue;
    }
    names.push_back(name);
    until.push_back(to_millis((*backoff)->until));
    failures.push_back(std::max<std::int64_t>((*backoff)->failures, 1));
    intervals.push_back((*backoff)->interval.count());
    tried.push_back(to_millis((*backoff)->last));
    status.push_back(text_of((*backoff)->status));
    reply.push_back(text_of((*backoff)->reply));
    reason.push_back(text_of((*backoff)->reason));
    host.push_back(text_of((*backoff)->host));
  }
  if (!gone.empty()) batch.push_back(statement("DELETE FROM hold WHERE destination = ANY($1)", gone));
  if (names.empty()) return;
  batch.push_back(statement(
      "INSERT INTO hold (destination, until, failures, interval, last, status, reply, reason, host)"
      " SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS h(destination, until, failures, interval, last, "
      "status, reply,"
      " reason, host) ORDER BY h.destination ON CONFLICT (destination) DO UPDATE SET until = excluded.until,"
      " failures = excluded.failures, interval = excluded.interval, last = excluded.last, status = excluded.status,"
      " reply = excluded.reply, reason = excluded.reason, host = excluded.host",
      names, until, failures, intervals, tried, status, reply, reason, host));
}

// Where in the answer what stands.
struct Places {
  std::size_t notices = 0;
  std::size_t ends = 0;
  std::size_t given_up = 0;
};

std::vector<Lease> lost_of(const postgres::Answer& answer, std::size_t first, const std::vector<Settled>& settled) {
  std::set<Lease> ours;
  for (std::size_t i = first; i < first + 3; ++i)
    for (const auto row : answer.at(i)) ours.insert({Id{row.integer(0)}, static_cast<std::uint32_t>(row.integer(1))});
  std::vector<Lease> lost;
  for (const Settled& one : settled)
    for (const RecipientResult& result : one.recipients)
      if (!ours.contains({one.id, result.seq})) lost.push_back({one.id, result.seq});
  return lost;
}

}  // namespace

asio::awaitable<Result<Applied>> PostgresMailStore::settle(std::shared_ptr<const RoutedResults> all) {
  const Results& results = all->results;
  std::vector<MadeNotice> notices;
  if (!all->notices.empty()) {
    auto asked = about_notices(all->notices);
    const auto about = co_await read(std::move(asked));
    if (!about) co_return about.error();
    notices = make_notices(all->notices, *about, results.now);
  }
  Job job;
  Batch& batch = job.statements;
  Places at;
  if (!results.settled.empty()) batch.push_back(lock_messages(messages_of(results.settled)));
  if (recording_ == Recording::on) {  // what happened, and then who was told of it
    std::vector<Id> ids;
    std::vector<std::string> lines;
    for (const Settled& one : results.settled) {
      ids.push_back(one.id);
      lines.push_back(one.history_entry);
    }
    record(batch, ids, results.now, lines);
  }
  at.notices = batch.size();
  const Adding adding = adding_of(notices, recording_);
  if (!notices.empty()) {
    add_messages(batch, adding);
    add_copies(batch, notices);
    if (recording_ == Recording::on) record_notices(batch, notices, results.now);
    add_marks(batch, notices.back().draft->id);
    read_back_messages(job.read_back, adding);
  }
  at.ends = batch.size();
  if (!results.settled.empty()) add_ends(batch, *all);
  add_holds(batch, results.destinations);
  if (results.sessions) add_counts(batch, *results.sessions);
  if (results.deliveries) add_statistics(batch, *results.deliveries);
  if (!results.given_up.empty()) {
    add_given_up(batch, results.given_up);
    job.read_back.push_back(read_given_up(results.given_up));
  }
  at.given_up = batch.size() - 1;
  Applied applied;
  if (batch.empty()) co_return applied;
  auto written = co_await database_.write(StreamKind::settle, std::move(job));
  if (!written) co_return settle_failed(written.error());
  for (const Settled& one : results.settled) passing_.passed(one.id);
  if (!notices.empty()) {
    Added added(written->rows, written->replayed ? 0 : at.notices);
    for (MadeNotice& one : notices) {
      if (!added.stored(one.draft->id)) continue;
      auto enqueued = added.enqueued(*one.draft);
      applied.notices.push_back({std::move(one.draft), std::move(enqueued)});
    }
  }
  if (!results.settled.empty() && !written->replayed) applied.lost = lost_of(written->rows, at.ends, results.settled);
  if (!results.given_up.empty())
    applied.given_up = returned_reports(written->replayed ? written->rows.back() : written->rows.at(at.given_up),
                                        results.given_up.size());
  co_return applied;
}

Error PostgresMailStore::settle_failed(const Error& error) {
  reserved_ = 0;
  seen_ = {};
  return store_error(error);
}

asio::awaitable<Result<std::optional<Backoff>>> PostgresMailStore::backoff(std::string destination) {
  auto asked =
      statement("SELECT " + std::string(hold_columns) + " FROM hold h WHERE h.destination = $1", text_of(destination));
  const auto rows = co_await read(std::move(asked));
  if (!rows) co_return rows.error();
  if (rows->empty()) co_return std::optional<Backoff>();
  co_return backoff_of((*rows)[0], 0);
}

}  // namespace hoplock::store_postgres
