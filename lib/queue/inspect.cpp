#include "queue/inspect.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/core.h"
#include "queue/slice.h"

namespace hoplock::queue {
namespace {

constexpr int slices_at_once = 64;
constexpr std::chrono::milliseconds breath{80};  // between two of them

// Each has the key first, and takes in all of the row.
std::string_view rows_of(Inspected::Table table) {
  switch (table) {
    case Inspected::Table::message:
      return "SELECT id, size + flags + length(sender) + length(client) + length(coalesce(envid, '')) FROM message "
             "WHERE id > ?1 ORDER BY id";
    case Inspected::Table::recipient:
      return "SELECT id, due + attempts + length(address) + length(coalesce(host, '')) FROM recipient WHERE id > ?1 "
             "ORDER BY id";
    case Inspected::Table::place:
      return "SELECT id, 0, domain, state, due FROM recipient INDEXED BY recipient_place"
             " WHERE (domain, state, due, id) > (?2, ?3, ?4, ?1) ORDER BY domain, state, due, id";
    case Inspected::Table::domain:
      return "SELECT id, length(name) FROM domain WHERE id > ?1 ORDER BY id";
    case Inspected::Table::destination:
      break;
  }
  return "SELECT id, length(name) + length(reply) FROM destination WHERE id > ?1 ORDER BY id";
}

}  // namespace

Inspected inspect(disk::Tx& tx, Inspected from) {
  auto rows = tx.prepare(rows_of(from.table));
  if (from.table == Inspected::Table::place)
    rows.bind(from.id, from.domain, from.state, from.due);
  else
    rows.bind(from.id);
  const Slice slice;
  while (rows.step()) {
    from.id = rows.integer(0);
    if (from.table == Inspected::Table::place) {
      from.domain = rows.integer(2);
      from.state = rows.integer(3);
      from.due = rows.integer(4);
    }
    if (slice.over()) return from;
  }
  if (from.table == Inspected::Table::destination) return {};
  Inspected next;
  next.table = static_cast<Inspected::Table>(static_cast<int>(from.table) + 1);
  return next;
}

// As far as one call may go: what damage it finds is an error bad_message.
asio::awaitable<Result<>> Queue::Core::inspect_some() {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (int slices = 0; slices < slices_at_once; ++slices) {
    auto job = [from = inspected](disk::Tx& tx) -> Result<Inspected> { return inspect(tx, from); };
    auto looked = co_await disk.run(disk::Durability::read, std::move(job));
    if (!looked) co_return looked.error();
    const bool cut = looked->table == inspected.table;
    inspected = *looked;
    if (inspected.table == Inspected::Table::message && inspected.id == INT64_MIN) break;  // once round
    if (!cut) continue;
    pause.expires_after(breath);
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return Result<>();
}

}  // namespace hoplock::queue
