// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/mail_reader.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "base/ascii.h"
#include "disk/guarded.h"
#include "store_sqlite/history.h"
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::int64_t most_counted = 100'000;        // recipients of one domain
constexpr std::int64_t most_for_the_oldest = 20'000;  // looked through for the oldest one
constexpr std::int64_t most_parties = 20'000;         // rows of `party` that are looked through
constexpr std::size_t most_walked = 2'000;            // messages, backwards from the newest

// Of a domain's mail: the hold of its next hop, else what became of the recipient in front.
void add_failure(disk::Tx& tx, std::int64_t domain, DomainWait& wait) {
  auto front = tx.prepare(
      "SELECT attempts, last, status, reply, reason, host FROM recipient WHERE domain = ?1 AND state = 1 ORDER BY due "
      "LIMIT 1");
  if (!front.bind(domain).step()) return;
  if (wait.reason.empty() && wait.reply.empty()) {
    wait.attempts = static_cast<std::uint32_t>(front.integer(0));
    if (!front.null(1)) wait.last = from_millis(front.integer(1));
    wait.status = front.text(2);
    wait.reply = front.text(3);
    wait.reason = front.text(4);
    wait.host = front.text(5);
  }
  auto oldest = tx.prepare(
      "SELECT min(id) FROM (SELECT id FROM recipient INDEXED BY recipient_place WHERE domain = ?1 AND state = 1 LIMIT "
      "?2)");
  if (oldest.bind(domain, most_for_the_oldest).step() && !oldest.null(0)) wait.tried = id_of_key(oldest.integer(0));
}

// Of those that are not held; domain.due is only a bound of it.
std::optional<std::int64_t> first_due(disk::Tx& tx, std::int64_t domain) {
  auto row = tx.prepare(
      "SELECT min(due) FROM (SELECT min(due) AS due FROM recipient WHERE domain = ?1 AND state = 0 UNION ALL SELECT "
      "min(due) FROM recipient WHERE domain = ?1 AND state = 1)");
  if (!row.bind(domain).step() || row.null(0)) return std::nullopt;
  return row.integer(0);
}

struct Described {
  DomainWait wait;
  std::int64_t domain = 0;
  Wait::Extent extent = Wait::Extent::part;
};

std::optional<Described> describe(disk::Tx& tx, const std::string& name) {
  Described found;
  DomainWait& wait = found.wait;
  wait.domain = name;
  {
    auto row = tx.prepare(
        "SELECT d.id, t.hold, t.failures, t.last, t.status, t.reply, t.reason, t.host FROM domain d JOIN destination t "
        "ON t.id = d.destination WHERE d.name = ?1");
    if (!row.bind(name).step()) return std::nullopt;
    found.domain = row.integer(0);
    if (const auto due = first_due(tx, found.domain)) wait.next = from_millis(std::max(*due, row.integer(1)));
    if (row.integer(2) > 0) {
      found.extent = Wait::Extent::whole;
      wait.attempts = static_cast<std::uint32_t>(row.integer(2));
      if (row.integer(3) > 0) wait.last = from_millis(row.integer(3));
      wait.status = row.text(4);
      wait.reply = row.text(5);
      wait.reason = row.text(6);
      wait.host = row.text(7);
    }
  }
  add_failure(tx, found.domain, wait);
  return found;
}

// Newest first, of those that `party` has under these keys.
Recent of_parties(disk::Tx& tx, const PartyRange& range, std::size_t most) {
  Recent recent;
  auto row = tx.prepare("SELECT message FROM party WHERE key BETWEEN ?1 AND ?2 LIMIT ?3");
  for (row.bind(range.first, range.last, most_parties); row.step();) recent.ids.push_back(Id{row.integer(0)});
  if (recent.ids.size() >= static_cast<std::size_t>(most_parties)) recent.extent = Recent::Extent::part;
  std::sort(recent.ids.begin(), recent.ids.end(), [](Id a, Id b) { return a.value > b.value; });
  recent.ids.erase(std::unique(recent.ids.begin(), recent.ids.end()), recent.ids.end());
  if (recent.ids.size() > most) {
    recent.ids.resize(most);
    recent.extent = Recent::Extent::part;
  }
  return recent;
}

// Backwards from the newest message of all: where a party has very many, some of them are soon met.
std::vector<Id> newest_of(disk::Tx& tx, const std::string& needle, std::size_t most) {
  std::vector<Id> ids;
  auto before = tx.prepare("SELECT id FROM history WHERE id < ?1 ORDER BY id DESC LIMIT 1");
  auto first = tx.prepare("SELECT data FROM history WHERE id = ?1");
  std::int64_t key = std::numeric_limits<std::int64_t>::max();
  for (std::size_t n = 0; n < most_walked && ids.size() < most && before.bind(key).step(); ++n) {
    const Id id = id_of_key(before.integer(0));
    key = first_key(id);
    if (first.bind(key).step() && to_lower(first.text(0)).find(needle) != std::string::npos) ids.push_back(id);
  }
  return ids;
}

}  // namespace

Result<std::vector<Wait>> SqliteMailReader::waits(const Stats& stats, std::size_t most) {
  return disk::guarded([&]() -> Result<std::vector<Wait>> {
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
    disk::Tx tx(db_);
    for (const Stats::Domain& domain : stats.domains) {
      const auto place = places.find({domain.nexthop, domain.reason});
      if (place == places.end()) continue;
      Wait& wait = waits[place->second];
      ++wait.domains;
      if (wait.shown.size() >= Wait::most_domains) continue;
      auto found = describe(tx, domain.domain);
      if (!found) continue;  // it went meanwhile
      found->wait.count = domain.count;
      if (found->extent == Wait::Extent::whole) wait.extent = Wait::Extent::whole;
      wait.shown.push_back(std::move(found->wait));
    }
    return waits;
  });
}

Result<std::optional<DomainWait>> SqliteMailReader::wait_of(const std::string& domain) {
  return disk::guarded([&]() -> Result<std::optional<DomainWait>> {
    disk::Tx tx(db_);
    auto found = describe(tx, domain);
    if (!found) return std::optional<DomainWait>();
    auto row = tx.prepare(
        "SELECT count(*), min(id) FROM (SELECT id FROM recipient INDEXED BY recipient_place WHERE domain = ?1 AND "
        "state <= 2 LIMIT ?2)");
    if (!row.bind(found->domain, most_counted).step() || row.integer(0) == 0) return std::optional<DomainWait>();
    found->wait.count.count = static_cast<std::uint64_t>(row.integer(0));
    found->wait.count.oldest = id_of_key(row.integer(1)).time();
    return std::optional(std::move(found->wait));
  });
}

Result<Recent> SqliteMailReader::recent(const PartyQuery& query) {
  return disk::guarded([&]() -> Result<Recent> {
    disk::Tx tx(db_);
    const bool by_address = !query.address.empty();
    const auto key = party_key(query.address);
    Recent recent = of_parties(tx, by_address ? PartyRange{key, key} : party_range(query.domain), query.most);
    if (recent.extent == Recent::Extent::all) return recent;
    const std::string needle = to_lower(by_address ? "\"" + query.address + "\"" : "@" + query.domain + "\"");
    for (const Id id : newest_of(tx, needle, query.most)) recent.ids.push_back(id);
    std::sort(recent.ids.begin(), recent.ids.end(), [](Id a, Id b) { return a.value > b.value; });
    recent.ids.erase(std::unique(recent.ids.begin(), recent.ids.end()), recent.ids.end());
    if (recent.ids.size() > query.most) recent.ids.resize(query.most);
    return recent;
  });
}

Result<Tail> SqliteMailReader::tail(Id id, std::size_t most) {
  return disk::guarded([&]() -> Result<Tail> {
    disk::Tx tx(db_);
    Tail tail;
    tail.traced.id = id;
    auto& events = tail.traced.events;
    auto first = tx.prepare("SELECT id, at, data FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1");
    if (!first.bind(first_key(id), last_key(id)).step()) return tail;
    const std::int64_t first_event = first.integer(0);
    std::int64_t next = first_event;
    auto row = tx.prepare("SELECT id, at, data FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3");
    for (row.bind(first_event + 1, last_key(id), most); row.step(); next = row.integer(0))
      events.push_back({from_millis(row.integer(1)), std::string(row.text(2))});
    if (next > first_event) tail.left_out = static_cast<std::uint64_t>(next - first_event - 1);
    events.push_back({from_millis(first.integer(1)), std::string(first.text(2))});
    std::reverse(events.begin(), events.end());
    return tail;
  });
}

}  // namespace hoplock::store_sqlite
