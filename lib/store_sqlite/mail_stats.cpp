// SPDX-License-Identifier: Apache-2.0
// Counts of the queue, from the index of recipients alone: no row of a message is read, so a million take well under a second.
#include <algorithm>
#include <map>

#include "store_sqlite/mail_reader.h"
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

void add(Stats::Count& to, std::uint64_t count, Time oldest) {
  to.count += count;
  if (!to.oldest || oldest < *to.oldest) to.oldest = oldest;
}

// Why mail for a domain waits: its destination's back-off, else its first deferred recipient.
std::string reason_of(disk::Tx& tx, std::int64_t domain) {
  {
    auto row = tx.prepare(
        "SELECT iif(t.reason = '', t.reply, t.reason) FROM domain d JOIN destination t ON t.id = d.destination WHERE "
        "d.id = ?1 AND t.failures > 0");
    if (row.bind(domain).step()) return std::string(row.text(0));
  }
  auto row = tx.prepare(
      "SELECT iif(coalesce(reason, '') = '', reply, reason) FROM recipient WHERE domain = ?1 AND state = 1 ORDER BY "
      "due LIMIT 1");
  return row.bind(domain).step() ? std::string(row.text(0)) : std::string();
}

}  // namespace

Result<Stats> SqliteMailReader::stats(const std::vector<Lease>& active) try {
  disk::Tx tx(db_);
  std::map<std::string, Stats::Count> states;
  std::map<std::int64_t, Stats::Count> domains;
  std::map<std::int64_t, Stats::Count> waiting;  // of them
  Stats stats;
  {
    auto row = tx.prepare(
        "SELECT domain, state, count(*), min(id) FROM recipient INDEXED BY recipient_place GROUP BY domain, state");
    while (row.step()) {
      const auto state = static_cast<State>(row.integer(1));
      const auto count = static_cast<std::uint64_t>(row.integer(2));
      const Time oldest = id_of_key(row.integer(3)).time();
      if (state != State::removed) add(states[std::string(to_text(state))], count, oldest);
      if (state <= State::held) add(domains[row.integer(0)], count, oldest);
      if (state <= State::deferred) add(waiting[row.integer(0)], count, oldest);
    }
  }
  for (const auto& lease : active) {
    auto row = tx.prepare("SELECT state FROM recipient WHERE id = ?1");
    if (!row.bind(first_key(lease.id) | lease.seq).step()) continue;
    add(states["active"], 1, lease.id.time());
    const auto stored = states.find(std::string(to_text(static_cast<State>(row.integer(0)))));
    if (stored != states.end() && stored->second.count > 0 && --stored->second.count == 0) states.erase(stored);
  }
  {
    auto row = tx.prepare("SELECT count(*) FROM message");  // alone, SQLite counts pages
    if (row.step()) stats.messages = static_cast<std::uint64_t>(row.integer(0));
    auto first = tx.prepare("SELECT min(id) FROM message");
    if (first.step() && !first.null(0)) stats.oldest = Id{first.integer(0)}.time();
  }
  for (auto& [state, count] : states) stats.states.push_back({state, count});
  std::map<std::string, Stats::Count> reasons;
  std::map<std::pair<std::string, std::string>, Stats::Count> hops;
  for (auto& [domain, count] : domains) {
    auto row = tx.prepare(
        "SELECT d.name, coalesce(t.name, d.name) FROM domain d LEFT JOIN destination t ON t.id = d.destination WHERE "
        "d.id = ?1");
    if (!row.bind(domain).step()) continue;
    Stats::Domain one{std::string(row.text(0)), count, reason_of(tx, domain), std::string(row.text(1))};
    const auto waits = waiting.find(domain);
    if (one.reason.empty() && waits == waiting.end()) one.reason = "held";
    add(hops[{one.nexthop, one.reason}], count.count, *count.oldest);
    if (!one.reason.empty() && waits != waiting.end())
      add(reasons[one.reason], waits->second.count, *waits->second.oldest);
    stats.domains.push_back(std::move(one));
  }
  for (auto& [reason, count] : reasons) stats.reasons.push_back({reason, count});
  for (auto& [hop, count] : hops) stats.hops.push_back({hop.first, hop.second, count});
  const auto more = [](const auto& a, const auto& b) { return a.count.count > b.count.count; };
  std::stable_sort(stats.domains.begin(), stats.domains.end(), more);
  std::stable_sort(stats.reasons.begin(), stats.reasons.end(), more);
  std::stable_sort(stats.hops.begin(), stats.hops.end(), more);
  return stats;
} catch (const disk::Failure& failure) {
  return failure.error();
}

}  // namespace hoplock::store_sqlite
