// SPDX-License-Identifier: Apache-2.0
// Mail: what operators, changed routes and clocks ask for, and the sweep.
#include "store_sqlite/act.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/marks.h"
#include "store_sqlite/select.h"
#include "store_sqlite/upkeep.h"

namespace hoplock::store_sqlite {

using disk::Durability;

asio::awaitable<Result<AdminResult>> SqliteMailStore::act(std::shared_ptr<const AdminBatch> batch) {
  auto job = [tables = tables_, batch](disk::Tx& tx) -> Result<AdminResult> {
    return tables->act(tx, *batch, Bodies::along);
  };
  auto done = co_await disk_.run(Durability::durable, std::move(job));
  if (done || done.error().code != errc::bad_message) co_return done;
  auto apart = [tables = tables_, batch](disk::Tx& tx) -> Result<AdminResult> {
    return tables->act(tx, *batch, Bodies::apart);
  };
  co_return co_await disk_.run(Durability::durable, std::move(apart));
}

asio::awaitable<Result<SelectionPage>> SqliteMailStore::select(Selection selection, SelectionCursor from,
                                                               std::size_t rows) {
  auto job = [selection = std::move(selection), from, rows](disk::Tx& tx) -> Result<SelectionPage> {
    return select_page(tx, selection, from, rows);
  };
  return disk_.run(Durability::read, std::move(job));
}

asio::awaitable<Result<LeasedBySelection>> SqliteMailStore::pick(Selection selection, std::vector<Id> ids,
                                                                 std::vector<Lease> leased) {
  auto job = [selection = std::move(selection), ids = std::move(ids),
              leased = std::move(leased)](disk::Tx& tx) -> Result<LeasedBySelection> {
    LeasedBySelection picked;
    for (const Id id : ids) {
      Selected selected = load_selected(tx, id, selection, leased);
      if (selected.leased) ++picked.active;
      if (selected.job) picked.jobs.push_back(std::move(*selected.job));
    }
    return picked;
  };
  // Not as a read: it comes after the ends of the leases that were given back before.
  return disk_.run(Durability::relaxed, std::move(job));
}

// --- routes and clocks -------------------------------------------------------------------------------------------------

asio::awaitable<Result<std::vector<RoutedDomain>>> SqliteMailStore::domains(std::int64_t after) {
  auto job = [after](disk::Tx& tx) -> Result<std::vector<RoutedDomain>> { return domains_after(tx, after); };
  // Not as a read: it comes after the commits that were routed before.
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<std::vector<RoutedDomain>>> SqliteMailStore::reroute(std::vector<RoutedDomain> moved, Time now) {
  auto job = [tables = tables_, moved = std::move(moved), now](disk::Tx& tx) -> Result<std::vector<RoutedDomain>> {
    return move_domains(tx, tables->places(), moved, now);
  };
  return disk_.run(Durability::durable, std::move(job));
}

asio::awaitable<Result<More>> SqliteMailStore::hasten_some() {
  auto job = [tables = tables_](disk::Tx& tx) -> Result<More> {
    return tables->places().hasten_rest(tx) == disk::More::yes ? More::yes : More::no;
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

asio::awaitable<Result<>> SqliteMailStore::begin_rebase(Time now) {
  auto begin = [tables = tables_, at = to_millis(now)](disk::Tx& tx) -> Result<> {
    tables->forget();
    set_mark(tx, rebase_mark, at);
    set_mark(tx, "seen", at);
    return {};
  };
  auto begun = co_await disk_.run(Durability::durable, std::move(begin));
  if (begun) rebasing_ = Rebase::from(to_millis(now));
  co_return begun;
}

asio::awaitable<Result<More>> SqliteMailStore::rebase_some() {
  if (!rebasing_) co_return More::no;
  const Rebase from = *rebasing_;
  auto job = [tables = tables_, from](disk::Tx& tx) -> Result<std::optional<Rebase>> {
    return store_sqlite::rebase_some(tx, tables->places(), from);
  };
  auto next = co_await disk_.run(Durability::relaxed, std::move(job));
  if (!next) co_return next.error();
  if (rebasing_ && rebasing_->at.now == from.at.now) rebasing_ = *next;  // unless it began anew
  co_return rebasing_ ? More::yes : More::no;
}

asio::awaitable<Result<More>> SqliteMailStore::void_some(std::vector<Lease> leased) {
  if (!voided_to_) co_return More::no;
  auto from = std::make_shared<Voiding>();
  from->after = *voided_to_;
  from->leased = std::move(leased);
  auto job = [tables = tables_, from](disk::Tx& tx) -> Result<std::optional<std::int64_t>> {
    return store_sqlite::void_some(tx, tables->places(), *from);
  };
  auto done = co_await disk_.run(Durability::relaxed, job);
  if (!done && done.error().code == errc::bad_message) {  // a page under a body: the sweep drops what it can of it
    from->bodies = Bodies::apart;
    done = co_await disk_.run(Durability::relaxed, std::move(job));
  }
  if (!done) co_return done.error();
  voided_to_ = *done;
  co_return voided_to_ ? More::yes : More::no;
}

asio::awaitable<Result<std::optional<PruneFrom>>> SqliteMailStore::prune(Time before, PruneFrom from) {
  auto job = [before, from](disk::Tx& tx) -> Result<std::optional<PruneFrom>> {
    return prune_history(tx, before, from);
  };
  return disk_.run(Durability::relaxed, std::move(job));
}

// --- the sweep ---------------------------------------------------------------------------------------------------------

// Where something cannot be read it goes on behind that table.
asio::awaitable<Result<Inspection>> SqliteMailStore::inspect_some() {
  auto job = [from = inspected_](disk::Tx& tx) -> Result<Inspected> { return inspect(tx, from); };
  auto looked = co_await disk_.run(Durability::read, std::move(job));
  if (!looked && looked.error().code == errc::bad_message) co_return looked.error();
  Inspection inspection;
  if (!looked) inspection.unread = looked.error();
  const bool cut = looked && looked->table == inspected_.table;
  inspected_ = looked ? *looked : next_table(inspected_.table);
  if (inspected_.at_start())
    inspection.at = Inspection::At::end;
  else if (!cut)
    inspection.at = Inspection::At::next;
  co_return inspection;
}

asio::awaitable<Result<Verified>> SqliteMailStore::verify_some(std::size_t bytes) {
  auto job = [after = swept_, bytes](disk::Tx& tx) -> Result<Looking> { return look(tx, after, bytes); };
  auto looked = co_await disk_.run(Durability::read, std::move(job));
  if (!looked) co_return looked.error();
  swept_ = looked->last.value_or(0);
  looked->found.end = !looked->last;
  co_return std::move(looked->found);
}

}  // namespace hoplock::store_sqlite
