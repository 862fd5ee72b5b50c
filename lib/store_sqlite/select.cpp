// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/select.h"

#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

SelectionPage by_domain(disk::Tx& tx, const Selection& selection, const SelectionCursor& from, std::size_t rows) {
  SelectionPage page;
  std::int64_t domain = 0;
  {
    auto row = tx.prepare("SELECT id FROM domain WHERE name = ?1");
    if (!row.bind(selection.domain.text()).step()) return page;
    domain = row.integer(0);
  }
  auto row = tx.prepare(
      "SELECT state, due, id FROM recipient WHERE domain = ?1 AND (state, due, id) > (?2, ?3, ?4) ORDER BY state, due, "
      "id LIMIT ?5");
  row.bind(domain, from.state, from.due, from.key, rows);
  std::size_t count = 0;
  SelectionCursor last;
  for (; row.step(); ++count) {
    last = {row.integer(0), row.integer(1), row.integer(2)};
    page.ids.push_back(id_of_key(last.key));
  }
  if (count == rows) page.next = last;
  return page;
}

SelectionPage by_id(disk::Tx& tx, const Selection& selection, const SelectionCursor& from, std::size_t rows) {
  SelectionPage page;
  auto row = tx.prepare("SELECT id, ?3 OR sender = ?4 FROM message WHERE id > ?1 ORDER BY id LIMIT ?2");
  row.bind(from.key, rows, selection.by == Selection::By::all, selection.sender);
  std::size_t count = 0;
  SelectionCursor last;
  for (; row.step(); ++count) {
    last.key = row.integer(0);
    if (row.integer(1) != 0) page.ids.push_back(Id{last.key});
  }
  if (count == rows) page.next = last;
  return page;
}

}  // namespace

SelectionPage select_page(disk::Tx& tx, const Selection& selection, const SelectionCursor& from, std::size_t rows) {
  return selection.by == Selection::By::domain ? by_domain(tx, selection, from, rows)
                                               : by_id(tx, selection, from, rows);
}

}  // namespace hoplock::store_sqlite
