// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/act.h"

#include <algorithm>
#include <set>

#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

struct Row {
  std::int64_t key = 0;
  std::int64_t domain = 0;
  State state = State::queued;
  std::int64_t attempts = 0;
};

bool applies(Action action, State state) {
  switch (action) {
    case Action::retry:
    case Action::hold:
      return state <= State::deferred;
    case Action::release:
      return state == State::held;
    case Action::remove:
      return state != State::removed;
    case Action::bounce:
      return false;
  }
  return false;
}

std::vector<Row> rows_of(disk::Tx& tx, const AdminBatch& act, Id id) {
  std::vector<Row> rows;
  auto row = tx.prepare(
      "SELECT r.id, r.domain, r.state, r.attempts FROM recipient r WHERE r.id BETWEEN ?1 AND ?2"
      " AND (?3 OR r.domain = (SELECT id FROM domain WHERE name = ?4))");
  row.bind(first_key(id), last_key(id), act.selection.by != Selection::By::domain, act.selection.domain.text());
  while (row.step()) {
    const Row one{row.integer(0), row.integer(1), static_cast<State>(row.integer(2)), row.integer(3)};
    if (applies(act.action, one.state)) rows.push_back(one);
  }
  return rows;
}

void change(disk::Tx& tx, const AdminBatch& act, const Row& row, bool leased) {
  const auto now = to_millis(act.now);
  switch (act.action) {
    case Action::retry:
      tx.prepare("UPDATE recipient SET due = ?2 WHERE id = ?1 AND due > ?2").bind(row.key, now).run();
      return;
    case Action::hold:
      tx.prepare("UPDATE recipient SET state = ?2 WHERE id = ?1").bind(row.key, State::held).run();
      return;
    case Action::release:
      tx.prepare("UPDATE recipient SET state = ?2, due = ?3 WHERE id = ?1")
          .bind(row.key, row.attempts > 0 ? State::deferred : State::queued, now)
          .run();
      return;
    case Action::remove:
      if (leased)
        tx.prepare("UPDATE recipient SET state = ?2 WHERE id = ?1").bind(row.key, State::removed).run();
      else
        tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(row.key).run();
      return;
    case Action::bounce:
      return;
  }
}

}  // namespace

AdminResult act(disk::Tx& tx, Places& places, const AdminBatch& act, Bodies bodies) {
  AdminResult result;
  std::set<std::int64_t> domains;
  for (const Id id : act.ids) {
    const auto rows = rows_of(tx, act, id);
    bool active = false;
    for (const auto& row : rows) {
      const Lease lease{id, number_of_key(row.key)};
      const bool leased = std::binary_search(act.leased.begin(), act.leased.end(), lease);
      active = active || leased;
      change(tx, act, row, leased);
      domains.insert(row.domain);
    }
    if (rows.empty()) continue;
    if (act.action == Action::remove) remove_if_done(tx, places, id, bodies);
    ++result.affected.messages;
    result.affected.recipients += rows.size();
    if (active) ++result.affected.active;
    result.affected.ids.push_back(id);
  }
  if (bodies == Bodies::apart) result.left = act.ids;
  if (act.action != Action::retry && act.action != Action::release) return result;
  std::set<std::string> destinations;
  for (const auto domain : domains) {
    places.lower(tx, domain, to_millis(act.now));
    auto row = tx.prepare("SELECT t.name FROM domain d JOIN destination t ON t.id = d.destination WHERE d.id = ?1");
    if (row.bind(domain).step()) destinations.emplace(row.text(0));
  }
  for (const auto& name : destinations) {
    if (act.action == Action::retry) places.set_backoff(tx, {name, {}});
    result.destinations.push_back(name);
  }
  return result;
}

}  // namespace hoplock::store_sqlite
