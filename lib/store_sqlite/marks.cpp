// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/marks.h"

namespace hoplock::store_sqlite {

std::optional<std::int64_t> read_mark(disk::Tx& tx, std::string_view name) {
  auto row = tx.prepare("SELECT value FROM mark WHERE name = ?1");
  if (!row.bind(name).step()) return {};
  return row.integer(0);
}

void set_mark(disk::Tx& tx, std::string_view name, std::int64_t value) {
  tx.prepare("INSERT INTO mark (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2")
      .bind(name, value)
      .run();
}

void drop_mark(disk::Tx& tx, std::string_view name) { tx.prepare("DELETE FROM mark WHERE name = ?1").bind(name).run(); }

}  // namespace hoplock::store_sqlite
