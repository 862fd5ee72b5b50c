// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/inspect.h"

#include <string_view>

#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {
namespace {

using Table = Inspected::Table;

// The id first, then what comes before it in the order; each takes in all of the row.
std::string_view rows_of(Table table) {
  switch (table) {
    case Table::message:
      return "SELECT id, size + flags + length(sender) + length(client) + length(coalesce(envid, '')) FROM message "
             "WHERE id > ?1 ORDER BY id";
    case Table::recipient:
      return "SELECT id, due + attempts + length(address) + length(coalesce(host, '')) FROM recipient WHERE id > ?1 "
             "ORDER BY id";
    case Table::place:
      return "SELECT id, domain, state, due FROM recipient INDEXED BY recipient_place"
             " WHERE (domain, state, due, id) > (?2, ?3, ?4, ?1) ORDER BY domain, state, due, id";
    case Table::domain:
      return "SELECT id, length(name) FROM domain WHERE id > ?1 ORDER BY id";
    case Table::destination:
      return "SELECT id, length(name) + length(reply) FROM destination WHERE id > ?1 ORDER BY id";
    case Table::history:
      return "SELECT id, at + length(data) FROM history WHERE id > ?1 ORDER BY id";
    case Table::party:
      break;
  }
  return "SELECT message, key FROM party WHERE (key, message) > (?2, ?1) ORDER BY key, message";
}

}  // namespace

Inspected next_table(Table table) {
  Inspected next;
  if (table != Table::party) next.table = static_cast<Table>(static_cast<int>(table) + 1);
  return next;
}

Inspected inspect(disk::Tx& tx, Inspected from) {
  auto rows = tx.prepare(rows_of(from.table));
  if (from.table == Table::place)
    rows.bind(from.id, from.first, from.second, from.third);
  else if (from.table == Table::party)
    rows.bind(from.id, from.first);
  else
    rows.bind(from.id);
  const Slice slice;
  while (rows.step()) {
    from.id = rows.integer(0);
    if (from.table == Table::place || from.table == Table::party) from.first = rows.integer(1);
    if (from.table == Table::place) {
      from.second = rows.integer(2);
      from.third = rows.integer(3);
    }
    if (slice.over()) return from;
  }
  return next_table(from.table);
}

}  // namespace hoplock::store_sqlite
