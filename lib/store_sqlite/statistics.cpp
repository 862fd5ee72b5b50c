// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/statistics.h"

#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "statistics/batch.h"
#include "store_sqlite/days.h"

namespace hoplock::store_sqlite {

namespace {

// `first` and `last` are seconds of the day. A text's day is the latest that refers to it.
constexpr std::string_view statistics_tables = R"(
CREATE TABLE statistics_text (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  day INTEGER NOT NULL
);
CREATE INDEX statistics_text_day ON statistics_text (day);
CREATE TABLE statistics_day (
  day INTEGER PRIMARY KEY,
  domains INTEGER NOT NULL,
  strangers INTEGER NOT NULL,
  rows INTEGER NOT NULL
);
CREATE TABLE statistics (
  day INTEGER NOT NULL,
  domain INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  what INTEGER NOT NULL,
  count INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  octets INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (day, domain, kind, what)
) WITHOUT ROWID;
CREATE TABLE statistics_series (
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  deferred INTEGER NOT NULL,
  bounced INTEGER NOT NULL,
  dane INTEGER NOT NULL,
  sts INTEGER NOT NULL,
  verified INTEGER NOT NULL,
  encrypted INTEGER NOT NULL,
  clear INTEGER NOT NULL,
  depth INTEGER,
  oldest INTEGER,
  PRIMARY KEY (step, at)
) WITHOUT ROWID;
)";

// `octets`: of all the batches up to and with this one, and something for each.
constexpr std::string_view batch_tables = R"(
CREATE TABLE statistics_batch (
  id INTEGER PRIMARY KEY,
  day INTEGER NOT NULL,
  octets INTEGER NOT NULL,
  data BLOB NOT NULL
);
)";

constexpr std::string_view raise_row =
    "UPDATE statistics SET count = count + ?5, messages = messages + ?6, octets = octets + ?7, first = min(first, ?8),"
    " last = max(last, ?9) WHERE day = ?1 AND domain = ?2 AND kind = ?3 AND what = ?4";

constexpr std::int64_t forgotten_at_once = 200;  // rows: some milliseconds
// Of batches, from which rows are made of them: a thing that is counted often is then one row for many. For each batch some octets more, so
// that there are never many to go through.
constexpr std::int64_t most_octets = 1 << 20;
constexpr std::size_t octets_of_any = 512;

std::int64_t second_of(Time time, statistics::Day day) { return std::chrono::floor<Seconds>(time - day).count(); }

class AddingStatistics {
 public:
  AddingStatistics(disk::Tx& tx, const StatisticsLimits& limits)
      : tx_(tx), raise_(tx.prepare(raise_row)), limits_(limits) {}

  void add(const statistics::Row& row, const statistics::Sum& sum) {
    statistics::Row place = row;
    for (;;) {
      if (raise(place, sum)) return;
      if (!place.domain.empty() && is_new(place) && !has_place(place)) {
        place.domain.clear();
      } else if (!place.what.empty() && !has_room(place)) {
        place.what.clear();
      } else {
        return make(place, sum);
      }
    }
  }

  void finish() {
    for (const auto& [day, totals] : totals_) {
      if (!totals.changed) continue;
      tx_.prepare("INSERT OR REPLACE INTO statistics_day (day, domains, strangers, rows) VALUES (?1, ?2, ?3, ?4)")
          .bind(number_of(day), totals.domains, totals.strangers, totals.rows)
          .run();
    }
  }

 private:
  struct Totals {
    std::uint64_t domains = 0;
    std::uint64_t strangers = 0;  // of them
    std::uint64_t rows = 0;
    bool changed = false;
  };

  // Its number; nothing: it was never seen.
  std::optional<std::int64_t> find(const std::string& text) {
    if (const auto known = known_.find(text); known != known_.end()) return known->second;
    auto row = tx_.prepare("SELECT id FROM statistics_text WHERE text = ?1");
    if (!row.bind(text).step()) return std::nullopt;
    return known_[text] = row.integer(0);
  }

  std::int64_t find_or_make(const std::string& text, statistics::Day day) {
    if (const auto known = find(text)) {
      tx_.prepare("UPDATE statistics_text SET day = ?2 WHERE id = ?1 AND day < ?2").bind(*known, number_of(day)).run();
      return *known;
    }
    auto made = tx_.prepare("INSERT INTO statistics_text (text, day) VALUES (?1, ?2) RETURNING id");
    made.bind(text, number_of(day)).step();
    return known_[text] = made.integer(0);
  }

  // Nearly all that is ever added: the row is there.
  bool raise(const statistics::Row& at, const statistics::Sum& sum) {
    const auto domain = find(at.domain), what = domain ? find(at.what) : std::nullopt;
    if (!what) return false;
    raise_
        .bind(number_of(at.day), *domain, at.kind, *what, sum.count, sum.messages, sum.octets,
              second_of(sum.first, at.day), second_of(sum.last, at.day))
        .run();
    return tx_.changes() > 0;
  }

  bool is_new(const statistics::Row& at) {
    const auto domain = find(at.domain);
    if (!domain) return true;
    auto row = tx_.prepare("SELECT 1 FROM statistics WHERE day = ?1 AND domain = ?2 LIMIT 1");
    return !row.bind(number_of(at.day), *domain).step();
  }

  // REQUIRES: the day has no row of its domain yet.
  bool has_place(const statistics::Row& at) {
    const Totals& day = totals(at.day);
    return day.domains < limits_.domains && (find(at.domain) || day.strangers < limits_.strangers);
  }

  bool has_room(const statistics::Row& at) {
    if (at.kind == statistics::Kind::delivered) return true;
    if (totals(at.day).rows >= limits_.rows) return false;
    if (at.kind == statistics::Kind::failed || at.kind == statistics::Kind::host)
      return true;  // closed lists of words, too, if longer ones
    const auto domain = find(at.domain);
    if (!domain) return true;
    auto row = tx_.prepare("SELECT count(*) FROM statistics WHERE day = ?1 AND domain = ?2 AND kind = ?3");
    row.bind(number_of(at.day), *domain, at.kind).step();
    return static_cast<std::uint64_t>(row.integer(0)) < limits_.rows_of_kind;
  }

  Totals& totals(statistics::Day day) {
    const auto [at, fresh] = totals_.try_emplace(day);
    if (!fresh) return at->second;
    auto row = tx_.prepare("SELECT domains, strangers, rows FROM statistics_day WHERE day = ?1");
    if (!row.bind(number_of(day)).step()) return at->second;
    at->second.domains = static_cast<std::uint64_t>(row.integer(0));
    at->second.strangers = static_cast<std::uint64_t>(row.integer(1));
    at->second.rows = static_cast<std::uint64_t>(row.integer(2));
    return at->second;
  }

  void make(const statistics::Row& at, const statistics::Sum& sum) {
    const bool is_first = !at.domain.empty() && is_new(at);
    const bool is_stranger = is_first && !find(at.domain);
    const std::int64_t domain = find_or_make(at.domain, at.day);
    const std::int64_t what = find_or_make(at.what, at.day);
    tx_.prepare(
           "INSERT INTO statistics (day, domain, kind, what, count, messages, octets, first, last) VALUES (?1, ?2, ?3, "
           "?4, "
           "?5, ?6, ?7, ?8, ?9)")
        .bind(number_of(at.day), domain, at.kind, what, sum.count, sum.messages, sum.octets,
              second_of(sum.first, at.day), second_of(sum.last, at.day))
        .run();
    Totals& day = totals(at.day);
    day.domains += is_first ? 1 : 0;
    day.strangers += is_stranger ? 1 : 0;
    ++day.rows;
    day.changed = true;
  }

  disk::Tx& tx_;
  disk::Statement raise_;
  StatisticsLimits limits_;
  std::unordered_map<std::string, std::int64_t> known_;
  std::map<statistics::Day, Totals> totals_;
};

// Sums of many batches; what is there already is found without a copy of its texts.
class Gathering {
 public:
  void add(statistics::Day day, const statistics::Unpacked& one) {
    const Key<std::string_view> key{day, one.domain, one.kind, one.what};
    auto at = sums_.find(key);
    if (at == sums_.end()) {
      Key<std::string> kept{day, std::string(one.domain), one.kind, std::string(one.what)};
      at = sums_.emplace(std::move(kept), statistics::Sum{}).first;
    }
    at->second.add(one.sum);
  }
  void write(AddingStatistics& to) const {
    for (const auto& [key, sum] : sums_) to.add(statistics::Row{key.day, key.domain, key.kind, key.what}, sum);
  }

 private:
  template <class Text>
  struct Key {
    statistics::Day day{};
    Text domain;
    statistics::Kind kind = statistics::Kind::delivered;
    Text what;
  };
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const Key<A>& a, const Key<B>& b) const {
      using Order = std::tuple<statistics::Day, std::string_view, statistics::Kind, std::string_view>;
      return Order(a.day, a.domain, a.kind, a.what) < Order(b.day, b.domain, b.kind, b.what);
    }
  };
  std::map<Key<std::string>, statistics::Sum, Less> sums_;
};

}  // namespace

disk::Migration statistics_migration() {
  disk::Migration all;
  all.name = "statistics: rows by day and domain, and the series";
  all.sql = statistics_tables;
  return all;
}

disk::Migration statistics_batch_migration() {
  disk::Migration all;
  all.name = "statistics: batches, of which rows are made";
  all.sql = batch_tables;
  return all;
}

bool add_statistics(disk::Tx& tx, const statistics::Counts& counts) {
  std::int64_t octets = 0;
  for (const auto& [day, data] : statistics::packed(counts)) {
    auto made = tx.prepare(
        "INSERT INTO statistics_batch (day, octets, data) VALUES (?1, ?2 + ifnull((SELECT octets FROM statistics_batch"
        " ORDER BY id DESC LIMIT 1), 0), ?3) RETURNING octets");
    made.bind(number_of(day), data.size() + octets_of_any, disk::Blob{data}).step();
    octets = made.integer(0);
  }
  return octets > most_octets;
}

void fold_statistics(disk::Tx& tx, const StatisticsLimits& limits) {
  Gathering gathering;
  bool any = false;
  {
    auto batches = tx.prepare("SELECT day, data FROM statistics_batch ORDER BY id");
    while (batches.step()) {
      any = true;
      const statistics::Day day = day_of_number(batches.integer(0));
      statistics::unpack(batches.blob(1), day, [&](const statistics::Unpacked& one) { gathering.add(day, one); });
    }
  }
  if (!any) return;
  AddingStatistics adding(tx, limits);
  gathering.write(adding);
  adding.finish();
  tx.prepare("DELETE FROM statistics_batch").run();
}

bool forget_statistics(disk::Tx& tx, const StatisticsLimits& limits) {
  std::int64_t before = 0;
  {
    auto row = tx.prepare("SELECT day FROM statistics_day ORDER BY day DESC LIMIT 1 OFFSET ?1");
    if (!row.bind(limits.days).step()) return false;
    before = row.integer(0) + 1;
  }
  tx.prepare(
        "DELETE FROM statistics WHERE (day, domain, kind, what) IN (SELECT day, domain, kind, what FROM statistics "
        "WHERE day < "
        "?1 LIMIT ?2)")
      .bind(before, forgotten_at_once)
      .run();
  if (tx.changes() == forgotten_at_once) return true;
  tx.prepare("DELETE FROM statistics_text WHERE id IN (SELECT id FROM statistics_text WHERE day < ?1 LIMIT ?2)")
      .bind(before, forgotten_at_once)
      .run();
  if (tx.changes() == forgotten_at_once) return true;
  tx.prepare("DELETE FROM statistics_day WHERE day < ?1").bind(before).run();
  return false;
}

}  // namespace hoplock::store_sqlite
