#include "route/sts_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "disk/migrations.h"

namespace hoplock::route {

namespace {

constexpr std::size_t page = 256;  // policies of 64 KiB at most

template <class F>
auto guarded(F read) -> decltype(read()) {
  try {
    return read();
  } catch (const disk::Failure& failure) {
    return failure.error();
  }
}

// A database that an older version made, and that its daemon has not seen since, has no such table.
bool has_table(disk::Tx& tx) {
  return tx.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sts_policy'").step();
}

}  // namespace

Result<PolicyReader> PolicyReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return PolicyReader(std::move(*db));
}

Result<> PolicyReader::list(const std::function<void(const PolicyRow&)>& call) {
  return guarded([&]() -> Result<> {
    std::string after;
    for (;;) {
      std::vector<PolicyRow> rows;
      {
        disk::Tx tx(db_);
        if (has_table(tx)) rows = list_policies(tx, after, page);
      }
      for (const PolicyRow& row : rows) call(row);
      if (rows.empty()) return {};
      after = rows.back().domain.text();
    }
  });
}

Result<std::optional<PolicyRow>> PolicyReader::find(const dns::Name& domain) {
  return guarded([&]() -> Result<std::optional<PolicyRow>> {
    disk::Tx tx(db_);
    if (!has_table(tx)) return std::optional<PolicyRow>();
    return find_policy(tx, domain);
  });
}

}  // namespace hoplock::route
