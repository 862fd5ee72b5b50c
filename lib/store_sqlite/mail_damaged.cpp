// SPDX-License-Identifier: Apache-2.0
// Which messages are held because their stored body is damaged.
#include "disk/guarded.h"
#include "store_sqlite/mail_reader.h"
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {

Result<std::vector<Id>> SqliteMailReader::damaged(std::size_t most) {
  return disk::guarded([&]() -> Result<std::vector<Id>> {
    disk::Tx tx(db_);
    std::vector<Id> found;
    // by the index, so that only what is held is looked at
    auto row = tx.prepare(
        "SELECT DISTINCT r.id >> 15 FROM domain d CROSS JOIN recipient r ON r.domain = d.id AND r.state = 2"
        " WHERE r.reply = ?1 ORDER BY 1 LIMIT ?2");
    for (row.bind(damaged_reply, most); row.step();) found.push_back(Id{row.integer(0)});
    return found;
  });
}

}  // namespace hoplock::store_sqlite
