// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/upkeep.h"

#include <algorithm>

#include "disk/guarded.h"
#include "store_sqlite/marks.h"
#include "store_sqlite/rebase.h"
#include "store_sqlite/rows.h"
#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {

namespace {
constexpr int most_drafts = 1'000;  // the sweep finds the others
constexpr std::size_t voided_at_once = 16;
}  // namespace

Result<Recovered> recover(disk::Tx& tx) {
  Recovered started;
  started.last_id = read_mark(tx, "id").value_or(0);
  if (const auto seen = read_mark(tx, "seen")) started.seen = from_millis(*seen);
  {
    auto row = tx.prepare("SELECT max(id) FROM message");
    if (row.step() && !row.null(0)) started.last_id = std::max(started.last_id, row.integer(0));
  }
  started.rebasing = read_mark(tx, rebase_mark).value_or(0) != 0;
  {
    auto row = tx.prepare("SELECT id FROM draft LIMIT ?1");
    for (row.bind(most_drafts); row.step();) started.drafts.push_back(Id{row.integer(0)});
  }
  return started;
}

std::optional<std::int64_t> void_some(disk::Tx& tx, Places& places, const Voiding& from) {
  std::vector<std::int64_t> removed;
  std::optional<std::int64_t> last;
  {
    auto domains = tx.prepare("SELECT id FROM domain WHERE id > ?1 ORDER BY id");
    auto rows = tx.prepare("SELECT id FROM recipient WHERE domain = ?1 AND state = 6");
    const Slice slice;
    for (domains.bind(from.after); !last && domains.step();) {
      for (rows.bind(domains.integer(0)); removed.size() < voided_at_once && rows.step();) {
        const Lease lease{id_of_key(rows.integer(0)), number_of_key(rows.integer(0))};
        if (!std::binary_search(from.leased.begin(), from.leased.end(), lease)) removed.push_back(rows.integer(0));
      }
      if (removed.size() >= voided_at_once)
        last = domains.integer(0) - 1;  // it may have more
      else if (slice.over())
        last = domains.integer(0);
    }
  }
  for (const auto key : removed) {
    tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(key).run();
    remove_if_done(tx, places, id_of_key(key), from.bodies);
  }
  return last;
}

// --- routes ------------------------------------------------------------------------------------------------------------

std::vector<RoutedDomain> domains_after(disk::Tx& tx, std::int64_t after) {
  std::vector<RoutedDomain> page;
  auto row = tx.prepare(
      "SELECT d.id, d.name, t.name FROM domain d JOIN destination t ON t.id = d.destination WHERE d.id > ?1 ORDER BY "
      "d.id LIMIT 1000");
  row.bind(after);
  for (const Slice slice; row.step() && (page.empty() || !slice.over());) {
    auto name = dns::Name::parse(row.text(1));
    RoutedDomain routed;
    routed.id = row.integer(0);
    if (name) routed.domain = std::move(*name);
    routed.destination = row.text(2);
    page.push_back(std::move(routed));
  }
  return page;
}

std::vector<RoutedDomain> move_domains(disk::Tx& tx, Places& places, const std::vector<RoutedDomain>& moved, Time now) {
  std::vector<RoutedDomain> rest;
  places.forget();
  const Slice slice;
  for (const auto& routed : moved) {
    if (slice.over()) {
      rest.push_back(routed);
      continue;
    }
    const auto destination = places.destination(tx, routed.destination);
    std::int64_t old = 0;
    {
      auto row = tx.prepare("SELECT destination FROM domain WHERE id = ?1");
      if (!row.bind(routed.id).step()) continue;
      old = row.integer(0);
    }
    tx.prepare("UPDATE domain SET destination = ?2 WHERE id = ?1").bind(routed.id, destination).run();
    places.hasten_moved(tx, routed.id, to_millis(now));
    places.tidy_destination(tx, destination);
    places.tidy_destination(tx, old);
  }
  return rest;
}

// --- bodies ------------------------------------------------------------------------------------------------------------

namespace {

void look_along(disk::Tx& tx, std::size_t bytes, Looking& looked) {
  auto row = tx.prepare("SELECT id, sum, data FROM chunk WHERE id > ?1 ORDER BY id");
  row.bind(*looked.last);
  const Slice slice;
  while (row.step()) {
    const auto octets = row.blob(2);
    looked.last = row.integer(0);
    if (checksum(octets) != row.integer(1)) {
      const Id id = id_of_key(row.integer(0));
      if (looked.found.damaged.empty() || looked.found.damaged.back() != id) looked.found.damaged.push_back(id);
    }
    looked.found.octets += octets.size();
    if (looked.found.octets >= bytes || slice.over()) return;
  }
  looked.last.reset();
}

// Where the chunks cannot be walked: those of the next message, each by its key.
void look_at_next(disk::Tx& tx, Looking& looked) {
  constexpr std::size_t seek = 4096;
  looked.found.octets += seek;
  const std::int64_t from = *looked.last + 1;
  Id id;
  std::uint32_t chunks = 0;
  {
    auto row = tx.prepare("SELECT id, chunks FROM message WHERE id >= ?1 ORDER BY id LIMIT 1");
    if (!row.bind(id_of_key(from).value).step()) return looked.last.reset();
    id = Id{row.integer(0)};
    chunks = static_cast<std::uint32_t>(row.integer(1));
  }
  looked.last = last_key(id);
  for (std::uint32_t n = id == id_of_key(from) ? number_of_key(from) : 0; n < chunks; ++n) {
    const auto octets = disk::guarded([&] { return load_chunk(tx, id, n); });
    if (octets && *octets) {
      looked.found.octets += (*octets)->size();
      continue;
    }
    looked.found.octets += chunk_bytes;  // a disk that is away is not asked for all of it
    if (octets || octets.error().code == errc::bad_message)
      looked.found.damaged.push_back(id);
    else
      looked.found.unread = octets.error();
    return;
  }
}

}  // namespace

Looking look(disk::Tx& tx, std::int64_t after, std::size_t bytes) {
  Looking looked;
  looked.last = after;
  try {
    look_along(tx, bytes, looked);
  } catch (const disk::Failure& failure) {
    const auto& error = failure.error();
    if (error.code != errc::bad_message && error.code != errc::io_error) throw;
    look_at_next(tx, looked);
  }
  return looked;
}

Result<std::vector<Id>> list_drafts(disk::Tx& tx) {
  std::vector<Id> drafts;
  for (auto row = tx.prepare("SELECT id FROM draft"); row.step();) drafts.push_back(Id{row.integer(0)});
  return drafts;
}

}  // namespace hoplock::store_sqlite
