// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/mail_write.h"

#include <algorithm>
#include <utility>

#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Batch;
using postgres::Parameter;
using postgres::statement;

namespace {

std::optional<std::string> unless_empty(const std::string& text) {
  if (text.empty()) return {};
  return text_of(text);
}

// One statement for each of these, in this order: what Added reads.
enum Answered : std::size_t { alone_at, messages, recipients, holds };

constexpr std::string_view alone_sql =
    "SELECT d.name, NOT EXISTS (SELECT 1 FROM recipient r WHERE r.owner = 0 AND r.destination = d.name AND r.state <= "
    "1)"
    " AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.owner = $2 AND r.destination = d.name AND r.state <= 1)"
    " FROM unnest($1) AS d(name)";
// What streamed ahead may be gone: its chunks did not wait for the standby.
constexpr std::string_view message_sql =
    "INSERT INTO message (id, received, size, chunks, recipients, flags, sender, client, envid, slot)"
    " SELECT m.id, m.received, m.size, m.chunks, m.recipients, m.flags, m.sender, m.client, m.envid, $11"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS m(id, received, size, chunks, recipients, flags, sender, "
    "client, envid,"
    " streamed)"
    " WHERE (m.streamed = 0 OR m.streamed = (SELECT count(*) FROM chunk c WHERE c.message = m.id))";
constexpr std::string_view told_sql =
    " AND EXISTS (SELECT 1 FROM unnest($12, $13, $14, $15) AS t(id, about, seq, delay)"
    " JOIN recipient r ON r.message = t.about AND r.seq = t.seq"
    " WHERE t.id = m.id AND r.state <> 6 AND NOT (t.delay AND (r.notify & 16) <> 0))";
constexpr std::string_view recipient_sql =
    "WITH added AS (INSERT INTO recipient (message, seq, due, owner, lease, notify, domain, destination, address, "
    "orcpt)"
    " SELECT r.message, r.seq, r.due, CASE WHEN h.until > r.due THEN 0 ELSE $9 END, $10, r.notify, r.domain, "
    "r.destination, r.address,"
    " r.orcpt"
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS r(message, seq, due, notify, domain, destination, address, orcpt)"
    " LEFT JOIN hold h ON h.destination = r.destination"
    " WHERE EXISTS (SELECT 1 FROM message m WHERE m.id = r.message) RETURNING destination, owner)"
    " SELECT destination, bool_and(owner <> 0) FROM added GROUP BY destination";
constexpr std::string_view chunk_sql =
    "INSERT INTO chunk (message, n, sum, data) SELECT c.message, c.n, c.sum, c.data"
    " FROM unnest($1, $2, $3, $4) AS c(message, n, sum, data) WHERE EXISTS (SELECT 1 FROM message m WHERE m.id = "
    "c.message)";
constexpr std::string_view history_sql =
    "INSERT INTO history (message, at, slot, data) SELECT h.message, h.at, $4, h.data"
    " FROM unnest($1, $2, $3) WITH ORDINALITY AS h(message, at, data, n)"
    " WHERE EXISTS (SELECT 1 FROM message m WHERE m.id = h.message) ORDER BY h.n";
constexpr std::string_view party_sql =
    "INSERT INTO party (key, message) SELECT p.key, p.message FROM unnest($1, $2) AS p(key, message)"
    " WHERE EXISTS (SELECT 1 FROM message m WHERE m.id = p.message) ON CONFLICT DO NOTHING";

std::string holds_at_sql() {
  return "SELECT h.destination, " + std::string(hold_columns) + " FROM hold h WHERE h.destination = ANY($1)";
}

std::vector<std::string> destinations_of(const Adding& adding) {
  std::vector<std::string> names;
  for (const Draft* draft : adding.drafts)
    for (const std::string& one : draft->destinations) names.push_back(text_of(one));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<Id> ids_of(const Adding& adding) {
  std::vector<Id> ids;
  for (const Draft* draft : adding.drafts) ids.push_back(draft->id);
  return ids;
}

struct Told {
  std::vector<std::int64_t> ids, about, seqs;
  std::vector<bool> delay;
};
Told told_by(const Adding& adding) {
  Told told;
  for (std::size_t i = 0; i < adding.about.size(); ++i) {
    for (const auto seq : adding.about[i]->seqs) {
      told.ids.push_back(adding.drafts[i]->id.value);
      told.about.push_back(adding.about[i]->about.value);
      told.seqs.push_back(seq);
      told.delay.push_back(adding.about[i]->kind == Notice::Kind::delay);
    }
  }
  return told;
}

postgres::Statement insert_messages(const Adding& adding) {
  std::vector<std::int64_t> ids, received, sizes, chunks, recipient_counts, flags, streamed;
  std::vector<std::string> senders, clients;
  std::vector<std::optional<std::string>> envids;
  for (const Draft* draft : adding.drafts) {
    ids.push_back(draft->id.value);
    received.push_back(to_millis(draft->received));
    sizes.push_back(static_cast<std::int64_t>(draft->size));
    chunks.push_back(draft->chunks);
    recipient_counts.push_back(static_cast<std::int64_t>(draft->recipients.size()));
    flags.push_back(flags_of(draft->envelope));
    senders.push_back(text_of(draft->envelope.sender));
    clients.push_back(text_of(draft->envelope.client));
    envids.push_back(unless_empty(draft->envelope.envid));
    streamed.push_back(draft->streamed ? std::int64_t{draft->chunks} - (draft->last_chunk ? 1 : 0) : 0);
  }
  std::string sql(message_sql);
  if (adding.which == Write::notices) sql += told_sql;
  sql += " RETURNING id";
  auto made = statement(std::move(sql), ids, received, sizes, chunks, recipient_counts, flags, senders, clients, envids,
                        streamed, Parameter::slot());
  if (adding.which == Write::all) return made;
  const Told told = told_by(adding);
  for (const auto* column : {&told.ids, &told.about, &told.seqs}) made.parameters.emplace_back(*column);
  made.parameters.emplace_back(told.delay);
  return made;
}

postgres::Statement insert_recipients(const Adding& adding) {
  std::vector<std::int64_t> ids, seqs, due, notify;
  std::vector<std::string> domains, destinations, addresses;
  std::vector<std::optional<std::string>> orcpts;
  for (const Draft* draft : adding.drafts) {
    for (std::size_t i = 0; i < draft->recipients.size(); ++i) {
      const NewRecipient& one = draft->recipients[i];
      ids.push_back(draft->id.value);
      seqs.push_back(static_cast<std::int64_t>(i));
      due.push_back(to_millis(draft->received));
      notify.push_back(one.notify);
      domains.push_back(one.domain.text());
      destinations.push_back(text_of(draft->destinations[i]));
      addresses.push_back(text_of(one.address));
      orcpts.push_back(unless_empty(one.orcpt));
    }
  }
  return statement(std::string(recipient_sql), ids, seqs, due, notify, domains, destinations, addresses, orcpts,
                   Parameter::incarnation(), Parameter::batch());
}

void insert_chunks(Batch& batch, const Adding& adding) {
  std::vector<std::int64_t> ids, n, sums, streamed;
  std::vector<postgres::Octets> data;
  for (const Draft* draft : adding.drafts) {
    if (draft->streamed) streamed.push_back(draft->id.value);
    if (!draft->last_chunk) continue;
    ids.push_back(draft->id.value);
    n.push_back(std::int64_t{draft->chunks} - 1);
    sums.push_back(checksum(*draft->last_chunk));
    data.push_back(postgres::Octets{*draft->last_chunk});
  }
  if (!ids.empty()) batch.push_back(statement(std::string(chunk_sql), ids, n, sums, data));
  if (streamed.empty()) return;
  batch.push_back(
      statement("DELETE FROM draft d USING message m WHERE d.message = ANY($1) AND m.id = d.message", streamed));
}

void insert_history(Batch& batch, const Adding& adding) {
  std::vector<std::int64_t> messages_of_lines, at, keys, messages_of_keys;
  std::vector<std::string> lines;
  for (const Draft* draft : adding.drafts) {
    messages_of_lines.push_back(draft->id.value);
    at.push_back(to_millis(draft->received));
    lines.push_back(text_of(accepted_line(*draft)));
    for (const auto key : party_keys(*draft)) {
      keys.push_back(key);
      messages_of_keys.push_back(draft->id.value);
    }
  }
  batch.push_back(statement(std::string(history_sql), messages_of_lines, at, lines, Parameter::slot()));
  batch.push_back(statement(std::string(party_sql), keys, messages_of_keys));
}

}  // namespace

std::vector<std::int64_t> numbers(const std::vector<Id>& ids) {
  std::vector<std::int64_t> values;
  values.reserve(ids.size());
  for (const Id id : ids) values.push_back(id.value);
  return values;
}

std::optional<Backoff> backoff_of(const postgres::Row& row, int first) {
  if (row.null(first)) return {};
  Backoff backoff;
  backoff.until = row.time(first);
  backoff.failures = static_cast<std::uint32_t>(row.integer(first + 1));
  backoff.interval = Milliseconds(row.integer(first + 2));
  backoff.last = row.time(first + 3);
  backoff.status = row.text(first + 4);
  backoff.reply = row.text(first + 5);
  backoff.reason = row.text(first + 6);
  backoff.host = row.text(first + 7);
  return backoff;
}

void add_messages(Batch& batch, const Adding& adding) {
  const auto destinations = destinations_of(adding);
  batch.push_back(statement(std::string(alone_sql), destinations, Parameter::incarnation()));
  batch.push_back(insert_messages(adding));
  batch.push_back(insert_recipients(adding));
  batch.push_back(statement(holds_at_sql(), destinations));
  insert_chunks(batch, adding);
  if (adding.recording == Recording::on) insert_history(batch, adding);
  if (adding.which != Write::notices) return;
  const Told told = told_by(adding);
  batch.push_back(
      statement("UPDATE recipient r SET notify = r.notify | 16 FROM unnest($1, $2, $3) AS t(message, seq, delay)"
                " WHERE t.delay AND r.message = t.message AND r.seq = t.seq AND r.state <> 6",
                told.about, told.seqs, told.delay));
}

void read_back_messages(Batch& batch, const Adding& adding) {
  const auto ids = numbers(ids_of(adding));
  const auto destinations = destinations_of(adding);
  batch.push_back(statement("SELECT d.name, false FROM unnest($1) AS d(name)", destinations));
  batch.push_back(statement("SELECT id FROM message WHERE id = ANY($1)", ids));
  batch.push_back(
      statement("SELECT destination, bool_and(owner = $2) FROM recipient WHERE message = ANY($1) GROUP BY destination",
                ids, Parameter::incarnation()));
  batch.push_back(statement(holds_at_sql(), destinations));
}

Batch undo_messages(const std::vector<Id>& ids) {
  const auto values = numbers(ids);
  Batch batch;
  batch.push_back(statement("DELETE FROM recipient WHERE message = ANY($1) AND owner IN (0, $2)", values,
                            Parameter::incarnation()));
  batch.push_back(
      statement("WITH gone AS (DELETE FROM message m WHERE m.id = ANY($1) AND NOT EXISTS (SELECT 1 FROM recipient r "
                "WHERE r.message = m.id)"
                " RETURNING m.id), c AS (DELETE FROM chunk c USING gone WHERE c.message = gone.id),"
                " p AS (DELETE FROM party p USING gone WHERE p.message = gone.id)"
                " DELETE FROM history h USING gone WHERE h.message = gone.id",
                values));
  return batch;
}

Added::Added(const postgres::Answer& answer, std::size_t first) {
  for (const auto row : answer.at(first + alone_at)) places_[std::string(row.text(0))].alone = row.boolean(1);
  for (const auto row : answer.at(first + messages)) ids_[row.integer(0)] = true;
  for (const auto row : answer.at(first + recipients)) places_[std::string(row.text(0))].kept = row.boolean(1);
  for (const auto row : answer.at(first + holds)) places_[std::string(row.text(0))].backoff = backoff_of(row, 1);
}

std::vector<Enqueued> Added::enqueued(const Draft& draft) {
  std::vector<Enqueued> all;
  for (const std::string& destination : draft.destinations) {
    const auto same = [&](const Enqueued& one) { return one.destination == destination; };
    if (std::any_of(all.begin(), all.end(), same)) continue;
    Place& place = places_[text_of(destination)];
    Enqueued one;
    one.destination = destination;
    one.alone = std::exchange(place.alone, false);
    one.kept = place.kept;
    one.backoff = place.backoff;
    all.push_back(std::move(one));
  }
  return all;
}

void remove_if_done(Batch& batch, const std::vector<std::int64_t>& ids) {
  batch.push_back(
      statement("WITH gone AS (SELECT m.id FROM message m WHERE m.id = ANY($1)"
                " AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.message = m.id AND r.state IN (0, 1, 2, 6))),"
                " r AS (DELETE FROM recipient r USING gone WHERE r.message = gone.id),"
                " c AS (DELETE FROM chunk c USING gone WHERE c.message = gone.id)"
                " DELETE FROM message m USING gone WHERE m.id = gone.id",
                ids));
}

postgres::Statement lock_messages(const std::vector<std::int64_t>& ids) {
  return statement("SELECT id FROM message WHERE id = ANY($1) AND recipients > 1 ORDER BY id FOR UPDATE", ids);
}

void record(Batch& batch, const std::vector<Id>& ids, Time at, const std::vector<std::string>& lines) {
  std::vector<std::int64_t> messages_of_lines;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (lines[i].empty()) continue;
    messages_of_lines.push_back(ids[i].value);
    texts.push_back(text_of(lines[i]));
  }
  if (texts.empty()) return;
  batch.push_back(
      statement("INSERT INTO history (message, at, slot, data) SELECT h.message, $3, $4, h.data"
                " FROM unnest($1, $2) WITH ORDINALITY AS h(message, data, n) ORDER BY h.n",
                messages_of_lines, texts, at, Parameter::slot()));
}

}  // namespace hoplock::store_postgres
