// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/partner_reader.h"

#include <utility>

#include "disk/guarded.h"

namespace hoplock::store_sqlite {

namespace {

constexpr std::size_t partners_at_once = 256;

}  // namespace

Result<SqlitePartnerReader> SqlitePartnerReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return SqlitePartnerReader(std::move(*db));
}

Result<> SqlitePartnerReader::list(const std::function<void(const partners::Entry&)>& call) {
  return disk::guarded([&]() -> Result<> {
    std::optional<PartnerAt> at = PartnerAt{};
    while (at) {
      PartnerPage page;
      {
        disk::Tx tx(db_);
        if (!disk::has_table(tx, "partner")) return {};
        auto read = list_partners(tx, *at, partners_at_once);
        if (!read) return read.error();
        page = std::move(*read);
      }
      for (const partners::Entry& entry : page.entries) call(entry);
      at = std::move(page.next);
    }
    return {};
  });
}

Result<std::vector<partners::Entry>> SqlitePartnerReader::find(const dns::Name& domain) {
  return disk::guarded([&]() -> Result<std::vector<partners::Entry>> {
    disk::Tx tx(db_);
    if (!disk::has_table(tx, "partner")) return std::vector<partners::Entry>();
    return find_partners(tx, domain);
  });
}

Result<std::vector<partners::Entry>> SqlitePartnerReader::find(const dns::Pattern& pattern) {
  return disk::guarded([&]() -> Result<std::vector<partners::Entry>> {
    disk::Tx tx(db_);
    if (!disk::has_table(tx, "partner")) return std::vector<partners::Entry>();
    return find_partners(tx, pattern);
  });
}

}  // namespace hoplock::store_sqlite
