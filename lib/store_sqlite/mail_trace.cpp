// SPDX-License-Identifier: Apache-2.0
// SqliteMailReader: the history of messages, in the queue or gone.
#include <algorithm>
#include <limits>

#include "disk/guarded.h"
#include "store/id_prefix.h"
#include "store_sqlite/history.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

std::vector<Id> ids_between(disk::Tx& tx, const PartyRange& range, Id since) {
  std::vector<Id> ids;
  auto rows = tx.prepare("SELECT message FROM party WHERE key BETWEEN ?1 AND ?2 AND message >= ?3");
  for (rows.bind(range.first, range.last, since.value); rows.step();) ids.push_back(Id{rows.integer(0)});
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Traced read(disk::Tx& tx, Id id) {
  Traced traced;
  traced.id = id;
  auto rows = tx.prepare("SELECT at, data FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
  for (rows.bind(first_key(id), last_key(id)); rows.step();)
    traced.events.push_back({from_millis(rows.integer(0)), std::string(rows.text(1))});
  return traced;
}

}  // namespace

Result<std::vector<Id>> SqliteMailReader::beginning_with(std::string_view prefix, std::size_t most) {
  const auto range = ids_beginning_with(prefix);
  if (!range) return std::vector<Id>();
  return disk::guarded([&]() -> Result<std::vector<Id>> {
    disk::Tx tx(db_);
    std::vector<Id> found;
    auto queued = tx.prepare("SELECT id FROM message WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3");
    for (queued.bind(range->first.value, range->second.value, most); queued.step();)
      found.push_back(Id{queued.integer(0)});
    // one row a message, each found from the last key of the one before
    auto next = tx.prepare("SELECT id FROM history WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1");
    std::int64_t after = first_key(range->first) - 1;
    for (std::size_t n = 0; n < most && next.bind(after, last_key(range->second)).step(); ++n) {
      const Id id = id_of_key(next.integer(0));
      found.push_back(id);
      after = last_key(id);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (found.size() > most) found.resize(most);
    return found;
  });
}

Result<> SqliteMailReader::history(Time since, const std::function<Go(Time, std::string_view)>& call) {
  constexpr int events_at_once = 500;
  return disk::guarded([&]() -> Result<> {
    std::int64_t before = std::numeric_limits<std::int64_t>::max();
    const std::int64_t first = first_key(Id::at(since));
    for (int got = events_at_once; got == events_at_once;) {
      std::vector<std::pair<std::int64_t, std::string>> events;
      {
        disk::Tx tx(db_);
        auto rows = tx.prepare("SELECT id, data FROM history WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3");
        for (rows.bind(before, first, events_at_once); rows.step();)
          events.emplace_back(rows.integer(0), std::string(rows.text(1)));
      }
      got = static_cast<int>(events.size());
      for (const auto& [key, text] : events) {
        before = key;
        if (call(id_of_key(key).time(), text) == Go::stop) return {};
      }
    }
    return {};
  });
}

Result<> SqliteMailReader::trace(const TraceQuery& query, const std::function<Go(const Traced&)>& call) {
  try {
    disk::Tx tx(db_);
    const Id since = query.since ? Id::at(*query.since) : Id{};
    std::vector<Id> ids;
    if (query.id) {
      ids.push_back(*query.id);
    } else if (!query.address.empty()) {
      const auto key = party_key(query.address);
      ids = ids_between(tx, {key, key}, since);
    } else {
      ids = ids_between(tx, party_range(query.domain), since);
    }
    for (const Id id : ids) {
      const Traced traced = read(tx, id);
      if (!traced.events.empty() && call(traced) == Go::stop) return {};
    }
    return {};
  } catch (const disk::Failure& failure) {
    return failure.error();
  }
}

}  // namespace hoplock::store_sqlite
