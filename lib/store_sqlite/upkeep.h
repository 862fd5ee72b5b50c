// SPDX-License-Identifier: Apache-2.0
// What a start, changed routes and the sweep ask of the tables: a part at a time. On the disk thread, inside jobs.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "disk/job.h"
#include "store/admin.h"
#include "store_sqlite/bodies.h"
#include "store_sqlite/places.h"

namespace hoplock::store_sqlite {

Result<Recovered> recover(disk::Tx& tx);

struct Voiding {
  std::int64_t after = 0;     // of the domains
  std::vector<Lease> leased;  // sorted
  Bodies bodies = Bodies::along;
};
// What an operator removed while it was under way, and whose lease ended with the last process. By domain, from this one on; where it
// came to, nothing at their end.
std::optional<std::int64_t> void_some(disk::Tx& tx, Places& places, const Voiding& from);

std::vector<RoutedDomain> domains_after(disk::Tx& tx, std::int64_t after);
// Those that are left.
std::vector<RoutedDomain> move_domains(disk::Tx& tx, Places& places, const std::vector<RoutedDomain>& moved, Time now);

// Stored chunks, read behind that one and held against their checksums. Where the bodies' own pages are damaged or cannot be read, it
// goes on behind them.
struct Looking {
  Verified found;
  std::optional<std::int64_t> last;  // nothing: the end
};
Looking look(disk::Tx& tx, std::int64_t after, std::size_t bytes);

Result<std::vector<Id>> list_drafts(disk::Tx& tx);

}  // namespace hoplock::store_sqlite
