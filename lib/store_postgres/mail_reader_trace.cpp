// SPDX-License-Identifier: Apache-2.0
// PostgresMailReader: the history of messages, in the queue or gone.
#include <algorithm>
#include <limits>

#include "base/ascii.h"
#include "store/id_prefix.h"
#include "store/stored.h"
#include "store_postgres/mail_reader.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

constexpr std::size_t traced_at_once = 200;  // messages
constexpr std::size_t events_at_once = 500;
constexpr std::size_t most_parties = 20'000;  // rows of `party` that are looked through
constexpr std::size_t most_walked = 2'000;    // messages, backwards from the newest

void newest_first(std::vector<Id>& ids) {
  std::sort(ids.begin(), ids.end(), [](Id a, Id b) { return a.value > b.value; });
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

Result<std::vector<Id>> PostgresMailReader::beginning_with(std::string_view prefix, std::size_t most) {
  const auto range = ids_beginning_with(prefix);
  std::vector<Id> found;
  if (!range) return found;
  const auto rows = connection_.run(
      statement("SELECT id FROM ((SELECT id FROM message WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3) UNION"
                " (SELECT DISTINCT message FROM history WHERE message BETWEEN $1 AND $2 ORDER BY message LIMIT $3)) m"
                " ORDER BY id LIMIT $3",
                range->first.value, range->second.value, most));
  if (!rows) return rows.error();
  for (const postgres::Row row : *rows) found.push_back(Id{row.integer(0)});
  return found;
}

Result<> PostgresMailReader::history(Time since, const std::function<Go(Time, std::string_view)>& call) {
  std::int64_t message = std::numeric_limits<std::int64_t>::max(), event = message;
  for (std::size_t got = events_at_once; got == events_at_once;) {
    const auto rows = connection_.run(
        statement("SELECT message, id, data FROM history WHERE message >= $1 AND (message, id) < ($2, $3)"
                  " ORDER BY message DESC, id DESC LIMIT $4",
                  Id::at(since).value, message, event, events_at_once));
    if (!rows) return rows.error();
    got = rows->size();
    for (const postgres::Row row : *rows) {
      message = row.integer(0);
      event = row.integer(1);
      if (call(Id{message}.time(), row.text(2)) == Go::stop) return {};
    }
  }
  return {};
}

Result<> PostgresMailReader::trace_all(const std::vector<std::int64_t>& ids,
                                       const std::function<Go(const Traced&)>& call) {
  const auto rows = connection_.run(
      statement("SELECT message, at, data FROM history WHERE message = ANY($1) ORDER BY message, id", ids));
  if (!rows) return rows.error();
  std::vector<Traced> found;
  for (const postgres::Row row : *rows) {
    const Id id{row.integer(0)};
    if (found.empty() || found.back().id != id) found.push_back(Traced{id, {}});
    found.back().events.push_back({row.time(1), std::string(row.text(2))});
  }
  for (const Traced& traced : found)
    if (call(traced) == Go::stop) return fail(errc::operation_canceled, "");
  return {};
}

Result<> PostgresMailReader::trace(const TraceQuery& query, const std::function<Go(const Traced&)>& call) {
  std::vector<std::int64_t> ids;
  if (query.id) {
    ids.push_back(query.id->value);
  } else {
    const auto key = party_key(query.address);
    const PartyRange range = query.address.empty() ? party_range(query.domain) : PartyRange{key, key};
    const auto rows = connection_.run(
        statement("SELECT DISTINCT message FROM party WHERE key BETWEEN $1 AND $2 AND message >= $3 ORDER BY message",
                  range.first, range.last, query.since ? Id::at(*query.since).value : 0));
    if (!rows) return rows.error();
    for (const postgres::Row row : *rows) ids.push_back(row.integer(0));
  }
  for (std::size_t from = 0; from < ids.size(); from += traced_at_once) {
    const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(from + traced_at_once, ids.size()));
    const auto traced = trace_all({ids.begin() + static_cast<std::ptrdiff_t>(from), end}, call);
    if (!traced && traced.error().code == errc::operation_canceled) return {};
    if (!traced) return traced.error();
  }
  return {};
}

// Backwards from the newest message of all: where a party has very many, some of them are soon met.
Result<std::vector<Id>> PostgresMailReader::newest_of(const std::string& needle, std::size_t most) {
  const auto rows = connection_.run(
      statement("SELECT m.message, (SELECT h.data FROM history h WHERE h.message = m.message ORDER BY h.id LIMIT 1)"
                " FROM (SELECT DISTINCT message FROM history ORDER BY message DESC LIMIT $1) m ORDER BY m.message DESC",
                most_walked));
  if (!rows) return rows.error();
  std::vector<Id> ids;
  for (const postgres::Row row : *rows) {
    if (ids.size() >= most) break;
    if (to_lower(row.text(1)).find(needle) != std::string::npos) ids.push_back(Id{row.integer(0)});
  }
  return ids;
}

Result<Recent> PostgresMailReader::recent(const PartyQuery& query) {
  const bool by_address = !query.address.empty();
  const auto key = party_key(query.address);
  const PartyRange range = by_address ? PartyRange{key, key} : party_range(query.domain);
  const auto rows = connection_.run(statement("SELECT message FROM party WHERE key BETWEEN $1 AND $2 LIMIT $3",
                                              range.first, range.last, most_parties));
  if (!rows) return rows.error();
  Recent recent;
  for (const postgres::Row row : *rows) recent.ids.push_back(Id{row.integer(0)});
  if (recent.ids.size() >= most_parties) recent.extent = Recent::Extent::part;
  newest_first(recent.ids);
  if (recent.ids.size() > query.most) recent.extent = Recent::Extent::part;
  if (recent.extent == Recent::Extent::all) return recent;
  recent.ids.resize(std::min(recent.ids.size(), query.most));
  const auto newest =
      newest_of(to_lower(by_address ? "\"" + query.address + "\"" : "@" + query.domain + "\""), query.most);
  if (!newest) return newest.error();
  recent.ids.insert(recent.ids.end(), newest->begin(), newest->end());
  newest_first(recent.ids);
  if (recent.ids.size() > query.most) recent.ids.resize(query.most);
  return recent;
}

Result<Tail> PostgresMailReader::tail(Id id, std::size_t most) {
  postgres::Batch batch;
  batch.push_back(
      statement("SELECT id, at, data, (SELECT count(*) FROM history WHERE message = $1) FROM history"
                " WHERE message = $1 ORDER BY id LIMIT 1",
                id.value));
  batch.push_back(
      statement("SELECT id, at, data FROM history WHERE message = $1 ORDER BY id DESC LIMIT $2", id.value, most));
  const auto answer = connection_.run(batch);
  if (!answer) return answer.error();
  Tail tail;
  tail.traced.id = id;
  if (answer->at(0).empty()) return tail;
  const postgres::Row first = answer->at(0)[0];
  auto& events = tail.traced.events;
  for (const postgres::Row row : answer->at(1))
    if (row.integer(0) != first.integer(0)) events.push_back({row.time(1), std::string(row.text(2))});
  const auto others = static_cast<std::uint64_t>(std::max<std::int64_t>(first.integer(3) - 1, 0));
  tail.left_out = others - std::min<std::uint64_t>(others, events.size());
  events.push_back({first.time(1), std::string(first.text(2))});
  std::reverse(events.begin(), events.end());
  return tail;
}

}  // namespace hoplock::store_postgres
