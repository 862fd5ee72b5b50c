// SPDX-License-Identifier: Apache-2.0
// PostgresMailReader: counts of what is queued, and what its domains wait for.
#include <algorithm>
#include <map>
#include <utility>

#include "store_postgres/mail_reader.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

constexpr std::int64_t most_counted = 100'000;  // recipients of one domain
constexpr std::int64_t most_described = 2'000;  // of each of many domains, the oldest

void add(Stats::Count& to, std::uint64_t count, Time oldest) {
  to.count += count;
  if (!to.oldest || oldest < *to.oldest) to.oldest = oldest;
}

struct Counted {
  Stats::Count all;      // that wait or are held
  Stats::Count waiting;  // of them
  std::string nexthop;
  bool deferred = false;
};

struct Counts {
  std::map<std::string, Stats::Count> states;
  std::map<std::string, Counted> domains;
};

Counts counts_of(const postgres::Rows& rows) {
  Counts counts;
  for (const postgres::Row row : rows) {
    const auto state = static_cast<State>(row.integer(2));
    const auto count = static_cast<std::uint64_t>(row.integer(3));
    const Time oldest = Id{row.integer(4)}.time();
    if (state != State::removed) add(counts.states[std::string(to_text(state))], count, oldest);
    if (state > State::held) continue;
    Counted& of = counts.domains[std::string(row.text(0))];
    if (of.nexthop.empty()) of.nexthop = row.text(1);
    add(of.all, count, oldest);
    if (state <= State::deferred) add(of.waiting, count, oldest);
    if (state == State::deferred) of.deferred = true;
  }
  return counts;
}

void add_active(Counts& counts, const postgres::Rows& active) {
  for (const postgres::Row row : active) {
    add(counts.states["active"], 1, Id{row.integer(0)}.time());
    const auto stored = counts.states.find(std::string(to_text(static_cast<State>(row.integer(1)))));
    if (stored != counts.states.end() && stored->second.count > 0 && --stored->second.count == 0)
      counts.states.erase(stored);
  }
}

// Why mail for these domains waits: the hold of the next hop, else the oldest deferred recipient.
postgres::Statement select_reasons(const Counts& counts) {
  std::vector<std::string> domains, hops;
  std::vector<bool> deferred;
  for (const auto& [domain, of] : counts.domains) {
    domains.push_back(domain);
    hops.push_back(of.nexthop);
    deferred.push_back(of.deferred);
  }
  return statement(
      "SELECT d.domain, coalesce(nullif(h.reason, ''), h.reply, nullif(f.reason, ''), f.reply, '')"
      " FROM unnest($1, $2, $3) AS d(domain, hop, deferred)"
      " LEFT JOIN hold h ON h.destination = d.hop AND h.failures > 0"
      " LEFT JOIN LATERAL (SELECT r.reason, r.reply FROM recipient r WHERE r.domain = d.domain AND r.state = 1"
      " ORDER BY r.message LIMIT 1) f ON d.deferred AND h.destination IS NULL",
      domains, hops, deferred);
}

Stats stats_of(const Counts& counts, const std::map<std::string, std::string>& why) {
  Stats stats;
  for (const auto& [state, count] : counts.states) stats.states.push_back({state, count});
  std::map<std::string, Stats::Count> reasons;
  std::map<std::pair<std::string, std::string>, Stats::Count> hops;
  for (const auto& [domain, of] : counts.domains) {
    const auto known = why.find(domain);
    Stats::Domain one{domain, of.all, known == why.end() ? std::string() : known->second, of.nexthop};
    const bool waits = of.waiting.count > 0;
    if (one.reason.empty() && !waits) one.reason = "held";
    add(hops[{one.nexthop, one.reason}], of.all.count, *of.all.oldest);
    if (!one.reason.empty() && waits) add(reasons[one.reason], of.waiting.count, *of.waiting.oldest);
    stats.domains.push_back(std::move(one));
  }
  for (const auto& [reason, count] : reasons) stats.reasons.push_back({reason, count});
  for (const auto& [hop, count] : hops) stats.hops.push_back({hop.first, hop.second, count});
  const auto more = [](const auto& a, const auto& b) { return a.count.count > b.count.count; };
  std::stable_sort(stats.domains.begin(), stats.domains.end(), more);
  std::stable_sort(stats.reasons.begin(), stats.reasons.end(), more);
  std::stable_sort(stats.hops.begin(), stats.hops.end(), more);
  return stats;
}

// One row, or none where nothing is there for the domain: its oldest recipients stand for all.
postgres::Statement select_wait(const std::string& domain, std::int64_t most) {
  return statement(
      "WITH oldest AS MATERIALIZED (SELECT message, destination, state, due, attempts, last, status, reply, reason, "
      "host"
      " FROM recipient WHERE domain = $1 ORDER BY message LIMIT $2),"
      " front AS (SELECT * FROM oldest WHERE state = 1 ORDER BY due, message LIMIT 1)"
      " SELECT (SELECT min(due) FROM oldest WHERE state <= 1), coalesce(h.until, 0), coalesce(h.failures, 0), h.last,"
      " h.status, h.reply, h.reason, h.host, f.message IS NOT NULL, f.attempts, f.last, f.status, f.reply, f.reason, "
      "f.host,"
      " (SELECT min(message) FROM oldest WHERE state = 1), (SELECT count(*) FROM oldest WHERE state <= 2),"
      " (SELECT min(message) FROM oldest WHERE state <= 2)"
      " FROM (SELECT destination FROM oldest LIMIT 1) d LEFT JOIN hold h ON h.destination = d.destination"
      " LEFT JOIN front f ON true",
      text_of(domain), most);
}

struct Described {
  DomainWait wait;
  Wait::Extent extent = Wait::Extent::part;
};

Described described(const std::string& domain, const postgres::Row& row) {
  Described found;
  DomainWait& wait = found.wait;
  wait.domain = domain;
  if (!row.null(0)) wait.next = from_millis(std::max(row.integer(0), row.integer(1)));
  const auto tell = [&](int first) {
    wait.status = row.text(first);
    wait.reply = row.text(first + 1);
    wait.reason = row.text(first + 2);
    wait.host = row.text(first + 3);
  };
  if (row.integer(2) > 0) {
    found.extent = Wait::Extent::whole;
    wait.attempts = static_cast<std::uint32_t>(row.integer(2));
    if (row.integer(3) > 0) wait.last = row.time(3);
    tell(4);
  }
  if (row.boolean(8) && wait.reason.empty() && wait.reply.empty()) {
    wait.attempts = static_cast<std::uint32_t>(row.integer(9));
    if (!row.null(10)) wait.last = row.time(10);
    tell(11);
  }
  if (!row.null(15)) wait.tried = Id{row.integer(15)};
  wait.count.count = static_cast<std::uint64_t>(row.integer(16));
  if (!row.null(17)) wait.count.oldest = Id{row.integer(17)}.time();
  return found;
}

}  // namespace

Result<Stats> PostgresMailReader::stats(const std::vector<Lease>& active) {
  std::vector<std::int64_t> ids, seqs;
  for (const Lease& lease : active) {
    ids.push_back(lease.id.value);
    seqs.push_back(lease.seq);
  }
  postgres::Batch batch;
  batch.push_back(
      statement("SELECT domain, destination, state, count(*), min(message) FROM recipient"
                " GROUP BY domain, destination, state ORDER BY domain, count(*) DESC"));
  batch.push_back(
      statement("SELECT r.message, r.state FROM unnest($1, $2) AS l(message, seq)"
                " JOIN recipient r ON r.message = l.message AND r.seq = l.seq",
                ids, seqs));
  batch.push_back(statement("SELECT count(*), min(id) FROM message"));
  const auto answer = connection_.run(batch);
  if (!answer) return answer.error();
  Counts counts = counts_of(answer->at(0));
  add_active(counts, answer->at(1));
  const auto reasons = connection_.run(select_reasons(counts));
  if (!reasons) return reasons.error();
  std::map<std::string, std::string> why;
  for (const postgres::Row row : *reasons) why.emplace(row.text(0), row.text(1));
  Stats stats = stats_of(counts, why);
  const postgres::Row messages = answer->at(2)[0];
  stats.messages = static_cast<std::uint64_t>(messages.integer(0));
  if (!messages.null(1)) stats.oldest = Id{messages.integer(1)}.time();
  return stats;
}

Result<std::vector<Wait>> PostgresMailReader::waits(const Stats& stats, std::size_t most) {
  std::vector<Wait> waits;
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> places;
  for (std::size_t i = 0; i < stats.hops.size() && i < most; ++i) {
    const Stats::NextHop& hop = stats.hops[i];
    places[{hop.name, hop.reason}] = i;
    Wait wait;
    wait.nexthop = hop.name;
    wait.reason = hop.reason;
    wait.count = hop.count;
    waits.push_back(std::move(wait));
  }
  postgres::Batch batch;
  std::vector<std::pair<std::size_t, const Stats::Domain*>> asked;
  std::vector<std::size_t> shown(waits.size(), 0);
  for (const Stats::Domain& domain : stats.domains) {
    const auto place = places.find({domain.nexthop, domain.reason});
    if (place == places.end()) continue;
    ++waits[place->second].domains;
    if (++shown[place->second] > Wait::most_domains) continue;
    batch.push_back(select_wait(domain.domain, most_described));
    asked.emplace_back(place->second, &domain);
  }
  if (batch.empty()) return waits;
  const auto answer = connection_.run(batch);
  if (!answer) return answer.error();
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (answer->at(i).empty()) continue;  // it went meanwhile
    Wait& wait = waits[asked[i].first];
    Described found = described(asked[i].second->domain, answer->at(i)[0]);
    found.wait.count = asked[i].second->count;
    if (found.extent == Wait::Extent::whole) wait.extent = Wait::Extent::whole;
    wait.shown.push_back(std::move(found.wait));
  }
  return waits;
}

Result<std::optional<DomainWait>> PostgresMailReader::wait_of(const std::string& domain) {
  const auto rows = connection_.run(select_wait(domain, most_counted));
  if (!rows) return rows.error();
  if (rows->empty()) return std::optional<DomainWait>();
  Described found = described(domain, (*rows)[0]);
  if (found.wait.count.count == 0) return std::optional<DomainWait>();
  return std::optional(std::move(found.wait));
}

}  // namespace hoplock::store_postgres
