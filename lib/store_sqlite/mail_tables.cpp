// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/mail_tables.h"

#include <algorithm>
#include <unordered_set>

#include "store_sqlite/history.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/marks.h"
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::int64_t ids_reserved = std::int64_t{1} << 23;  // about a minute
constexpr std::int64_t seen_every_ms = 60'000;
constexpr std::size_t most_mended = 256;   // destinations in one call of due()
constexpr std::size_t most_passed = 4096;  // rows of one look for old mail

bool contains(const std::vector<Id>& sorted, Id id) { return std::binary_search(sorted.begin(), sorted.end(), id); }

}  // namespace

void MailTables::forget() {
  places_.forget();
  reserved_ = 0;
  seen_ = 0;
}

void MailTables::see(disk::Tx& tx, Time now) {
  if (to_millis(now) < seen_ + seen_every_ms) return;
  seen_ = to_millis(now);
  set_mark(tx, "seen", seen_);
}

void MailTables::reserve(disk::Tx& tx, Id id) {
  if (id.value < reserved_) return;
  reserved_ = id.value + ids_reserved;
  set_mark(tx, "id", reserved_);
}

Result<std::vector<Enqueued>> MailTables::commit(disk::Tx& tx, const Draft& draft) {
  see(tx, draft.received);
  reserve(tx, draft.id);
  if (recording_ == Recording::on) record_accepted(tx, draft);
  auto enqueued = insert_message(tx, places_, draft);
  if (draft.mark) {
    const auto& [key, destination] = *draft.mark;
    put_report_destination(tx, key, destination);
    put_report_mail(tx, draft.id.value, key, destination.rua);
  }
  return enqueued;
}

AdminResult MailTables::act(disk::Tx& tx, const AdminBatch& batch, Bodies bodies) {
  AdminResult result = store_sqlite::act(tx, places_, batch, bodies);
  if (recording_ == Recording::on) record_act(tx, batch, result);
  return result;
}

Result<MailTables::Outcome> MailTables::apply(disk::Tx& tx, const Applying& applying) {
  const Results& results = applying.all->results;
  see(tx, results.now);
  if (recording_ == Recording::on)  // what happened, and then who was told of it
    for (const Settled& settled : results.settled) record(tx, settled.id, results.now, settled.history_entry);
  Outcome outcome;
  Applied& applied = outcome.applied;
  for (const auto& routed : applying.all->notices) {
    reserve(tx, routed.id);
    const bool damaged = contains(applying.damaged, routed.notice.about);
    const NoticeRow row{routed, damaged ? NoticeRow::Original::damaged : NoticeRow::Original::readable};
    auto one = insert_notice(tx, places_, row, results.now);
    if (!one) continue;
    if (recording_ == Recording::on) record_notice(tx, routed, *one->draft);
    applied.notices.push_back(std::move(*one));
  }
  for (std::size_t i = 0; i < results.settled.size(); ++i) {
    const Settled& settled = results.settled[i];
    settle(tx, places_, Ended{settled, applying.all->unnamed[i], applying.bodies}, results.now);
    if (applying.bodies == Bodies::apart) applied.left.push_back(settled.id);
  }
  for (const auto& change : results.destinations) places_.set_backoff(tx, change);
  if (results.sessions) add_counts(tx, *results.sessions);
  if (results.deliveries) outcome.fold = add_statistics(tx, *results.deliveries);
  for (const auto& [mail, why] : results.given_up) applied.given_up.push_back(give_up_report_mail(tx, mail.value, why));
  return outcome;
}

// --- what is due at a destination --------------------------------------------------------------------------------------

struct MailTables::Scan {
  const LeaseQuery& query;
  std::int64_t now;
  std::vector<Id> picked;
  std::unordered_set<Id> seen;
  std::vector<std::int64_t> stale;
  std::int64_t next = never;
  bool full() const { return picked.size() >= query.messages; }
};

// Queued and deferred recipients of one domain, merged by due time.
void MailTables::scan_domain(disk::Tx& tx, Scan& scan, std::int64_t domain) {
  const auto now = scan.now;
  auto queued =
      tx.prepare("SELECT id, due FROM recipient WHERE domain = ?1 AND state = 0 AND due <= ?2 ORDER BY due, id");
  auto deferred =
      tx.prepare("SELECT id, due FROM recipient WHERE domain = ?1 AND state = 1 AND due <= ?2 ORDER BY due, id");
  bool has_queued = queued.bind(domain, now).step();
  bool has_deferred = deferred.bind(domain, now).step();
  const bool anything = has_queued || has_deferred;
  while ((has_queued || has_deferred) && !scan.full()) {
    const bool from_queued = has_queued && (!has_deferred || queued.integer(1) <= deferred.integer(1));
    const Id id = id_of_key((from_queued ? queued : deferred).integer(0));
    if (!contains(scan.query.exclude, id) && scan.seen.insert(id).second) scan.picked.push_back(id);
    if (from_queued)
      has_queued = queued.step();
    else
      has_deferred = deferred.step();
  }
  if (!anything) scan.stale.push_back(domain);
  if (!scan.full()) scan.next = std::min(scan.next, Places::earliest(tx, domain, now));
}

void MailTables::load(disk::Tx& tx, const std::vector<Id>& ids, const Wanted& wanted, std::size_t bytes,
                      Refilled& out) {
  std::size_t size = 0;
  for (const Id id : ids) {
    if (size >= bytes) {
      out.more = true;
      return;
    }
    auto job = load_job(tx, id, wanted);
    if (!job)
      out.damaged.push_back(id);
    else if (*job) {
      size += (*job)->body.size() + 512;
      out.jobs.push_back(std::move(**job));
    }
  }
}

Refilled MailTables::lease(disk::Tx& tx, const LeaseQuery& query) {
  if (const auto* older_than = std::get_if<LeaseQuery::OlderThan>(&query.which))
    return older(tx, query, older_than->id);
  if (const auto* held = std::get_if<HeldQuery>(&query.which)) return waiting(tx, query, *held);
  return due_now(tx, query, std::get<LeaseQuery::DueNow>(query.which).now);
}

Refilled MailTables::due_now(disk::Tx& tx, const LeaseQuery& query, Time at) {
  Refilled out;
  out.next = no_due_time;
  const auto destination = places_.find_destination(tx, query.destination);
  if (!destination) return out;
  out.backoff = places_.backoff(tx, *destination);
  const auto now = to_millis(at);
  Scan scan{query, now, {}, {}, {}, never};
  {
    auto domains = tx.prepare("SELECT id FROM domain WHERE destination = ?1 AND due <= ?2 ORDER BY due");
    domains.bind(*destination, now);
    while (!scan.full() && domains.step()) scan_domain(tx, scan, domains.integer(0));
  }
  out.more = scan.full();
  out.stale = std::move(scan.stale);
  auto row = tx.prepare("SELECT min(due) FROM domain WHERE destination = ?1 AND due > ?2");
  if (row.bind(*destination, now).step() && !row.null(0)) scan.next = std::min(scan.next, row.integer(0));
  if (scan.next != never) out.next = from_millis(scan.next);
  Wanted which;
  which.destination = *destination;
  which.destination_name = query.destination;
  which.due = now;
  load(tx, scan.picked, which, query.bytes, out);
  return out;
}

// All old mail there is, in order. Nothing: it is too much, mail that is held or waits elsewhere for the most part.
std::optional<std::vector<Id>> MailTables::among_all(disk::Tx& tx, const LeaseQuery& query, std::int64_t destination,
                                                     Id before) {
  std::vector<Id> ids;
  auto rows = tx.prepare(
      "SELECT r.id, r.state <= 1 AND d.destination = ?2 FROM recipient r NOT INDEXED LEFT JOIN domain d ON d.id = "
      "r.domain"
      " WHERE r.id < ?1 ORDER BY r.id");
  rows.bind(first_key(before), destination);
  for (std::size_t passed = 0; ids.size() < query.messages && rows.step(); ++passed) {
    if (passed >= most_passed) return {};
    if (rows.integer(1) == 0) continue;
    const Id id = id_of_key(rows.integer(0));
    if ((ids.empty() || ids.back() != id) && !contains(query.exclude, id)) ids.push_back(id);
  }
  return ids;
}

// Among what waits at the destination: from where the last look came to, a part of it at a time, round and round.
std::vector<Id> MailTables::among_waiting(disk::Tx& tx, const LeaseQuery& query, std::int64_t destination, Id before) {
  std::vector<Id> ids;
  OlderFrom from = std::exchange(older_[destination], {});
  std::size_t passed = 0;
  auto domains = tx.prepare("SELECT id FROM domain WHERE destination = ?1 AND id >= ?2 ORDER BY id");
  auto rows = tx.prepare(
      "SELECT id, due FROM recipient INDEXED BY recipient_place WHERE domain = ?1 AND state = ?2 AND (due, id) > (?3, "
      "?4) "
      "ORDER BY due, id");
  for (domains.bind(destination, from.domain); domains.step();) {
    if (domains.integer(0) != from.domain) from = {domains.integer(0)};
    for (; from.state <= static_cast<std::int64_t>(State::deferred); from = {from.domain, from.state + 1}) {
      for (rows.bind(from.domain, from.state, from.due, from.recipient); rows.step();) {
        from.recipient = rows.integer(0);
        from.due = rows.integer(1);
        const Id id = id_of_key(from.recipient);
        if (id < before && !contains(query.exclude, id)) ids.push_back(id);
        if (++passed < most_passed && ids.size() < query.messages) continue;
        older_[destination] = from;
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        return ids;
      }
    }
  }
  older_.erase(destination);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Neither the mail that is held nor what waits for years behind other holds is walked at each failure of each destination.
Refilled MailTables::older(disk::Tx& tx, const LeaseQuery& query, Id before) {
  Refilled out;
  out.next = no_earlier_bound;
  const auto destination = places_.find_destination(tx, query.destination);
  if (!destination) return out;
  const auto all = among_all(tx, query, *destination, before);
  const auto ids = all ? *all : among_waiting(tx, query, *destination, before);
  Wanted which;
  which.destination = *destination;
  which.destination_name = query.destination;
  load(tx, ids, which, query.bytes, out);
  return out;
}

bool MailTables::end_hold(disk::Tx& tx, const std::string& destination, Time now) {
  const auto id = places_.find_destination(tx, destination);
  if (!id) return false;
  DestinationChange change;
  change.destination = destination;
  change.backoff = places_.backoff(tx, *id);
  if (change.backoff) change.backoff->until = std::min(change.backoff->until, now);
  if (change.backoff) places_.set_backoff(tx, change);
  return true;
}

Refilled MailTables::waiting(disk::Tx& tx, const LeaseQuery& query, const HeldQuery& waiting) {
  Refilled out;
  out.next = no_earlier_bound;
  const auto destination = places_.find_destination(tx, query.destination);
  if (!destination) return out;
  std::vector<Id> ids;
  HeldQuery passed = waiting;
  {
    auto domains = tx.prepare("SELECT id FROM domain WHERE destination = ?1 AND id >= ?2 ORDER BY id");
    // not tried yet: due since it came in
    auto rows = tx.prepare(
        "SELECT r.id, r.due FROM recipient r WHERE r.domain = ?1 AND r.state = 0 AND (r.due, r.id) > (?2, ?3)"
        " AND r.due <= ?4 AND CASE ?5 WHEN 0 THEN (SELECT sender = '' FROM message WHERE id = r.id >> 15)"
        " WHEN 1 THEN (r.notify & 16) = 0 AND (r.notify = 0 OR (r.notify & 8) <> 0)"
        " AND (SELECT sender <> '' FROM message WHERE id = r.id >> 15)"
        " ELSE (SELECT flags & ?6 FROM message WHERE id = r.id >> 15) END ORDER BY r.due, r.id");
    for (domains.bind(*destination, waiting.from.domain); !out.rest && domains.step();) {
      const auto domain = domains.integer(0);
      const bool begun = domain == waiting.from.domain;
      rows.bind(domain, begun ? waiting.from.due : to_millis(waiting.after), begun ? waiting.from.recipient : INT64_MAX,
                to_millis(waiting.until), static_cast<int>(waiting.kind), tls_not_required);
      while (rows.step()) {
        if (ids.size() >= query.messages) {
          out.rest = passed;
          break;
        }
        passed.from = {domain, rows.integer(1), rows.integer(0)};
        const Id id = id_of_key(passed.from.recipient);
        if ((ids.empty() || ids.back() != id) && !contains(query.exclude, id)) ids.push_back(id);
      }
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  Wanted which;
  which.destination = *destination;
  which.destination_name = query.destination;
  load(tx, ids, which, query.bytes, out);
  return out;
}

// --- which destinations have work --------------------------------------------------------------------------------------

Work MailTables::due(disk::Tx& tx, Time now, std::size_t limit, const std::vector<std::string>& busy) {
  Work found;
  const auto at = to_millis(now);
  std::vector<std::int64_t> stale;
  {
    auto rows = tx.prepare(
        "SELECT id, name, due FROM destination WHERE due IS NOT NULL AND max(due, hold) <= ?1 ORDER BY max(due, hold)");
    auto domains = tx.prepare("SELECT id FROM domain WHERE destination = ?1 AND due <= ?2 ORDER BY due");
    rows.bind(at);
    while (found.ready.size() < limit && stale.size() < most_mended && rows.step()) {
      const std::string name(rows.text(1));
      if (std::binary_search(busy.begin(), busy.end(), name)) continue;
      const auto id = rows.integer(0);
      std::int64_t due = never;
      for (domains.bind(id, at); domains.step();) {
        const auto earliest = Places::earliest(tx, domains.integer(0), std::numeric_limits<std::int64_t>::min());
        due = std::min(due, earliest);
        if (earliest <= at) break;  // so it is ready; a domain with a smaller bound came before
        stale.push_back(domains.integer(0));
      }
      if (due > at)
        stale.push_back(-id);
      else
        found.ready.push_back({name, from_millis(due), places_.backoff(tx, id)});
    }
  }
  for (const auto id : stale)
    if (id > 0) places_.tidy(tx, id);
  for (const auto id : stale)
    if (id < 0) places_.tidy_destination(tx, -id);
  if (stale.size() >= most_mended) {
    found.next_due = now;  // ask again
    return found;
  }
  auto row = tx.prepare(
      "SELECT max(due, hold) FROM destination WHERE due IS NOT NULL AND max(due, hold) > ?1 ORDER BY max(due, hold) "
      "LIMIT 1");
  if (row.bind(at).step()) found.next_due = from_millis(row.integer(0));
  return found;
}

void MailTables::tidy(disk::Tx& tx, const std::vector<std::int64_t>& domains) {
  std::unordered_set<std::int64_t> destinations;
  for (const auto domain : domains) {
    auto row = tx.prepare("SELECT destination FROM domain WHERE id = ?1");
    if (row.bind(domain).step()) destinations.insert(row.integer(0));
  }
  for (const auto domain : domains) places_.tidy(tx, domain);
  for (const auto destination : destinations) places_.tidy_destination(tx, destination);
}

}  // namespace hoplock::store_sqlite
