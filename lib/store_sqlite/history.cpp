// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/history.h"

#include <algorithm>

#include "store_sqlite/rows.h"
#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::int64_t most_events = 32'000;  // of a message

}  // namespace

void record_accepted(disk::Tx& tx, const Draft& draft) {
  tx.prepare("INSERT INTO history (id, at, data) VALUES (?1, ?2, ?3)")
      .bind(first_key(draft.id), to_millis(draft.received), accepted_line(draft))
      .run();
  auto insert = tx.prepare("INSERT INTO party (key, message) VALUES (?1, ?2)");
  for (const auto key : party_keys(draft)) insert.bind(key, draft.id.value).run();
}

void record(disk::Tx& tx, Id id, Time at, std::string_view text) {
  if (text.empty()) return;
  std::int64_t next = first_key(id) + 1;
  {
    auto row = tx.prepare("SELECT max(id) FROM history WHERE id BETWEEN ?1 AND ?2");
    if (row.bind(first_key(id), last_key(id)).step() && !row.null(0)) next = row.integer(0) + 1;
  }
  if (next - first_key(id) > most_events) return;
  tx.prepare("INSERT INTO history (id, at, data) VALUES (?1, ?2, ?3)").bind(next, to_millis(at), text).run();
}

void record_notice(disk::Tx& tx, const RoutedNotice& placed, const Draft& draft) {
  record_accepted(tx, draft);
  record(tx, placed.notice.about, draft.received, notice_line(placed));
}

void record_act(disk::Tx& tx, const AdminBatch& act, const AdminResult& result) {
  const std::string text = action_line(act);
  for (const Id id : result.affected.ids) record(tx, id, act.now, text);
}

namespace {

bool is_over(disk::Tx& tx, Id id, Time before) {
  if (tx.prepare("SELECT 1 FROM message WHERE id = ?1").bind(id.value).step()) return false;
  auto row = tx.prepare("SELECT at FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1");
  return row.bind(first_key(id), last_key(id)).step() && row.integer(0) < to_millis(before);
}

// Under which keys record_accepted() wrote it down, those behind the first `done`.
std::vector<std::int64_t> parties_of(disk::Tx& tx, Id id, std::size_t done) {
  std::vector<std::int64_t> keys;
  {
    auto row = tx.prepare("SELECT json_extract(data, '$.from') FROM history WHERE id = ?1 AND json_valid(data)");
    if (!row.bind(first_key(id)).step()) return keys;
    const auto from = row.text(0);
    keys.push_back(party_key(from == "<>" ? std::string_view{} : from));
  }
  auto rows =
      tx.prepare("SELECT e.value FROM history h, json_each(h.data, '$.to') e WHERE h.id = ?1 AND json_valid(h.data)");
  for (rows.bind(first_key(id)); rows.step();) keys.push_back(party_key(rows.text(0)));
  keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(std::min(done, keys.size())));
  return keys;
}

// The message's parties, then its events, the first one last: what is cut short is found again. True: it is forgotten.
bool forget(disk::Tx& tx, Id id, PruneFrom& at, const Slice& slice) {
  for (const auto key : parties_of(tx, id, at.parties)) {
    tx.prepare("DELETE FROM party WHERE key = ?1 AND message = ?2").bind(key, id.value).run();
    ++at.parties;
    if (slice.over()) return false;
  }
  for (;;) {
    tx.prepare(
          "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT "
          "32)")
        .bind(first_key(id), last_key(id))
        .run();
    if (tx.changes() < 32) return true;
    if (slice.over()) return false;
  }
}

struct PartyPlace {
  std::int64_t key = 0;
  std::int64_t message = 0;
};

// Rows that lead nowhere, as many as the slice finds from a place on that changes with the time.
void prune_strays(disk::Tx& tx, Time before) {
  PartyPlace from{static_cast<std::int64_t>(static_cast<std::uint64_t>(to_millis(before)) * 0x9e3779b97f4a7c15U), 0};
  std::vector<PartyPlace> gone;
  {
    // CASE: SQLite looks for the history of nothing that is too young to be forgotten.
    auto rows = tx.prepare(
        "SELECT key, message, CASE WHEN message < ?3 THEN NOT EXISTS (SELECT 1 FROM history WHERE id = party.message "
        "<< "
        "15) ELSE 0 END FROM party WHERE (key, message) > (?1, ?2) ORDER BY key, message");
    rows.bind(from.key, from.message, Id::at(before).value);
    const Slice slice;
    while (rows.step()) {
      from = {rows.integer(0), rows.integer(1)};
      if (rows.integer(2) != 0) gone.push_back(from);
      if (slice.over()) break;
    }
  }
  const Slice slice;
  for (const PartyPlace& row : gone) {
    tx.prepare("DELETE FROM party WHERE key = ?1 AND message = ?2").bind(row.key, row.message).run();
    if (slice.over()) return;
  }
}

}  // namespace

std::optional<PruneFrom> prune_history(disk::Tx& tx, Time before, const PruneFrom& from) {
  const auto end = first_key(Id::at(before));
  PruneFrom at = from;
  const Slice slice;
  do {
    std::optional<std::int64_t> key;
    {
      auto row = tx.prepare("SELECT id FROM history WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1");
      key = row.bind(at.history, end).step() ? std::optional(row.integer(0)) : std::nullopt;
    }
    if (!key) {
      prune_strays(tx, before);
      return {};
    }
    if (id_of_key(*key) != id_of_key(at.history)) at.parties = 0;
    at.history = *key;
    const Id id = id_of_key(at.history);
    if (is_over(tx, id, before) && !forget(tx, id, at, slice)) {
      at.history = first_key(id);
      return at;
    }
    at.history = last_key(id) + 1;
    at.parties = 0;
  } while (!slice.over());
  return at;
}

}  // namespace hoplock::store_sqlite
