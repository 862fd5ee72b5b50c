// SPDX-License-Identifier: Apache-2.0
#include "queue/inspect.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/core.h"
#include "queue/slice.h"

namespace hoplock::queue {
namespace {

using Table = Inspected::Table;

constexpr int slices_at_once = 64;
constexpr std::chrono::milliseconds breath{80};  // between two of them

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

// As far as one call may go. Damage that it finds is an error bad_message; where something cannot be read it goes on behind that table,
// and says so when it is done.
asio::awaitable<Result<>> Queue::Core::inspect_some() {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  Result<> read;
  for (int slices = 0; slices < slices_at_once; ++slices) {
    auto job = [from = inspected](disk::Tx& tx) -> Result<Inspected> { return inspect(tx, from); };
    auto looked = co_await disk.run(disk::Durability::read, std::move(job));
    if (!looked && looked.error().code == errc::bad_message) co_return looked.error();
    if (!looked) read = looked.error();
    const bool cut = looked && looked->table == inspected.table;
    inspected = looked ? *looked : next_table(inspected.table);
    if (inspected.at_start()) {
      inspected_once = true;
      break;
    }
    if (!cut) continue;
    pause.expires_after(breath);
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return read;
}

}  // namespace hoplock::queue
