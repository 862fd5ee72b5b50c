// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/rows.h"

#include <algorithm>
#include <unordered_set>

#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {
namespace {

std::optional<std::string_view> unless_empty(std::string_view text) {
  if (text.empty()) return {};
  return text;
}

}  // namespace

void insert_chunk(disk::Tx& tx, Id id, std::uint32_t n, std::string_view octets) {
  tx.prepare("INSERT INTO chunk (id, sum, data) VALUES (?1, ?2, ?3)")
      .bind(first_key(id) | n, checksum(octets), disk::Blob{octets})
      .run();
}

void note_draft(disk::Tx& tx, Id id) {
  tx.prepare("INSERT OR IGNORE INTO draft (id) VALUES (?1)").bind(id.value).run();
}

std::vector<Enqueued> insert_message(disk::Tx& tx, Places& places, const Draft& draft) {
  if (draft.last_chunk) insert_chunk(tx, draft.id, draft.chunks - 1, *draft.last_chunk);
  if (draft.streamed) tx.prepare("DELETE FROM draft WHERE id = ?1").bind(draft.id.value).run();
  const Envelope& envelope = draft.envelope;
  tx.prepare(
        "INSERT INTO message (id, received, size, chunks, recipients, flags, sender, client, envid)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
      .bind(draft.id.value, to_millis(draft.received), draft.size, draft.chunks, draft.recipients.size(),
            flags_of(envelope), envelope.sender, envelope.client, unless_empty(envelope.envid))
      .run();
  const auto due = to_millis(draft.received);
  std::vector<Enqueued> enqueued;
  std::unordered_set<std::string> seen;
  auto insert = tx.prepare(
      "INSERT INTO recipient (id, domain, state, due, attempts, interval, address, notify, orcpt) VALUES (?1, ?2, 0, "
      "?3, 0, 0, ?4, ?5, ?6)");
  for (std::size_t i = 0; i < draft.recipients.size(); ++i) {
    const NewRecipient& recipient = draft.recipients[i];
    const auto added = places.add(tx, recipient.domain.text(), draft.destinations[i], due);
    insert
        .bind(first_key(draft.id) | static_cast<std::int64_t>(i), added.place.domain, due, recipient.address,
              recipient.notify, unless_empty(recipient.orcpt))
        .run();
    if (seen.insert(added.place.destination_name).second)
      enqueued.push_back({added.place.destination_name, added.alone, places.backoff(tx, added.place.destination)});
  }
  return enqueued;
}

disk::More drop_part_of_draft(disk::Tx& tx, Id id) {
  const Slice slice;
  // what became a message though nobody was told is none any more
  if (!tx.prepare("SELECT 1 FROM draft WHERE id = ?1").bind(id.value).step()) return disk::More::no;
  do {
    tx.prepare("DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE id BETWEEN ?1 AND ?2 LIMIT 8)")
        .bind(first_key(id), last_key(id))
        .run();
    if (tx.changes() == 0) {
      tx.prepare("DELETE FROM draft WHERE id = ?1").bind(id.value).run();
      return disk::More::no;
    }
  } while (!slice.over());
  return disk::More::yes;
}

void remove_message(disk::Tx& tx, Id id, Bodies bodies) {
  tx.prepare("DELETE FROM recipient WHERE id BETWEEN ?1 AND ?2").bind(first_key(id), last_key(id)).run();
  if (bodies == Bodies::apart)
    note_draft(tx, id);
  else
    tx.prepare("DELETE FROM chunk WHERE id BETWEEN ?1 AND ?2").bind(first_key(id), last_key(id)).run();
  tx.prepare("DELETE FROM message WHERE id = ?1").bind(id.value).run();
}

Result<std::optional<std::string>> load_chunk(disk::Tx& tx, Id id, std::uint32_t n) {
  const auto damaged = [&] {
    return fail(errc::bad_message, id.text() + ": chunk " + std::to_string(n) + " is damaged");
  };
  try {
    auto row = tx.prepare("SELECT sum, data FROM chunk WHERE id = ?1");
    if (!row.bind(first_key(id) | n).step()) return std::optional<std::string>();
    std::optional<std::string> octets(std::in_place, row.blob(1));
    if (row.integer(0) != checksum(*octets)) return damaged();
    return octets;
  } catch (const disk::Failure&
               failure) {  // the page under it: this message's damage, not that of all that are read with it
    if (failure.error().code != errc::bad_message) throw;
    return damaged();
  }
}

namespace {

Due read_due(disk::Statement& row) {
  auto domain = dns::Name::parse(row.text(2));
  Due due;
  due.seq = number_of_key(row.integer(0));
  due.address = row.text(1);
  if (domain) due.domain = std::move(*domain);
  due.attempts = static_cast<std::uint32_t>(row.integer(3));
  due.interval = Milliseconds(row.integer(4));
  if (!row.null(5)) due.last = from_millis(row.integer(5));
  due.orcpt = row.text(6);
  const auto notify = static_cast<std::uint8_t>(row.integer(7));
  due.notify = notify & ~told_of_delay & 0xffU;
  due.told_delay = (notify & told_of_delay) != 0;
  return due;
}

// How many recipients it came with; 0: it is gone.
std::int64_t read_message(disk::Tx& tx, Id id, Job& job) {
  auto row =
      tx.prepare("SELECT received, size, chunks, flags, sender, client, envid, recipients FROM message WHERE id = ?1");
  if (!row.bind(id.value).step()) return 0;
  read_message_columns(row, id, job);
  return std::max<std::int64_t>(row.integer(7), 1);
}

}  // namespace

namespace {

constexpr std::int64_t many_recipients = 100;

// Of a message with very many recipients, one that has a domain of its own for each of them costs a look into that domain, not a walk
// over all the others. Nothing: more is due there than the message has recipients.
std::optional<std::vector<Due>> from_domains(disk::Tx& tx, Id id, const Wanted& wanted, std::int64_t recipients) {
  std::vector<std::int64_t> domains;
  {
    auto row = tx.prepare("SELECT id FROM domain WHERE destination = ?1 LIMIT 9");
    for (row.bind(wanted.destination); row.step();) domains.push_back(row.integer(0));
  }
  if (domains.size() > 8) return {};
  std::vector<std::int64_t> keys;
  std::int64_t seen = 0;
  for (const auto domain : domains) {
    for (const State state : {State::queued, State::deferred}) {
      auto row = tx.prepare(
          "SELECT id FROM recipient INDEXED BY recipient_place WHERE domain = ?1 AND state = ?2 AND due <= ?3");
      for (row.bind(domain, state, wanted.due); row.step();) {
        if (++seen > recipients) return {};
        if (id_of_key(row.integer(0)) == id) keys.push_back(row.integer(0));
      }
    }
  }
  std::sort(keys.begin(), keys.end());
  std::vector<Due> found;
  for (const auto key : keys) {
    auto row = tx.prepare(
        "SELECT r.id, r.address, d.name, r.attempts, r.interval, r.last, r.orcpt, r.notify FROM recipient r CROSS JOIN "
        "domain d ON d.id = r.domain WHERE r.id = ?1");
    if (row.bind(key).step()) found.push_back(read_due(row));
  }
  return found;
}

std::vector<Due> from_message(disk::Tx& tx, Id id, const Wanted& wanted) {
  std::vector<Due> found;
  // CROSS: the message's few recipients first, never all those of a domain.
  auto recipients = tx.prepare(
      "SELECT r.id, r.address, d.name, r.attempts, r.interval, r.last, r.orcpt, r.notify FROM recipient r "
      "CROSS JOIN domain d ON d.id = r.domain"
      " WHERE r.id BETWEEN ?1 AND ?2 AND r.state <= 1 AND r.due <= ?3 AND d.destination = ?4");
  recipients.bind(first_key(id), last_key(id), wanted.due, wanted.destination);
  while (recipients.step()) found.push_back(read_due(recipients));
  return found;
}

}  // namespace

Result<std::optional<Job>> load_job(disk::Tx& tx, Id id, const Wanted& wanted) {
  std::optional<Job> job(std::in_place);
  const auto recipients = read_message(tx, id, *job);
  if (recipients == 0) return std::optional<Job>();
  std::optional<std::vector<Due>> due;
  if (recipients > many_recipients) due = from_domains(tx, id, wanted, recipients);
  job->recipients = due ? std::move(*due) : from_message(tx, id, wanted);
  if (job->recipients.empty()) return std::optional<Job>();
  job->destination = wanted.destination_name;
  if (job->chunks == 1) {
    auto octets = load_chunk(tx, id, 0);
    if (!octets) return octets.error();
    if (!*octets) return fail(errc::bad_message, id.text() + ": its body is missing");
    job->body = std::move(**octets);
  }
  return job;
}

Selected load_selected(disk::Tx& tx, Id id, const Selection& selection, const std::vector<Lease>& leased) {
  Selected selected;
  Job job;
  auto row = tx.prepare(
      "SELECT r.id, r.address, d.name, r.attempts, r.interval, r.last, r.orcpt, r.notify, r.reply FROM recipient r "
      "CROSS JOIN domain d ON d.id = r.domain"
      " WHERE r.id BETWEEN ?1 AND ?2 AND r.state <= 2 AND (?3 OR d.name = ?4)");
  row.bind(first_key(id), last_key(id), selection.by != Selection::By::domain, selection.domain.text());
  while (row.step()) {
    Due due = read_due(row);
    if (std::binary_search(leased.begin(), leased.end(), Lease{id, due.seq})) {
      selected.leased = true;
      continue;
    }
    due.reply = row.text(8);
    job.recipients.push_back(std::move(due));
  }
  if (!job.recipients.empty() && read_message(tx, id, job) > 0) selected.job = std::move(job);
  return selected;
}

void remove_if_done(disk::Tx& tx, Places& places, Id id, Bodies bodies) {
  const auto from = places.alive_from(id);
  std::optional<std::int64_t> alive;
  {
    auto row =
        tx.prepare("SELECT id FROM recipient WHERE id BETWEEN ?1 AND ?2 AND state IN (0, 1, 2, 6) ORDER BY id LIMIT 1");
    if (row.bind(from, last_key(id)).step()) alive = row.integer(0);
  }
  if (alive) return places.note_alive(id, *alive);
  places.forget_alive(id);
  remove_message(tx, id, bodies);
}

void hold_damaged(disk::Tx& tx, Id id) {
  tx.prepare("UPDATE recipient SET state = 2, status = '4.3.0', reply = ?3 WHERE id BETWEEN ?1 AND ?2 AND state <= 2")
      .bind(first_key(id), last_key(id), damaged_reply)
      .run();
}

}  // namespace hoplock::store_sqlite
