// SPDX-License-Identifier: Apache-2.0
// Mail's side of the disk thread: what jobs share from one to the next. Its functions run inside jobs only; the loop holds it alive
// and never looks inside.
#pragma once
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/leasing.h"
#include "store_sqlite/act.h"
#include "store_sqlite/history.h"
#include "store_sqlite/places.h"
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {

struct Refilled : Leased {
  std::vector<std::int64_t> stale;  // domains whose bound is to be found anew
};

class MailTables {
 public:
  Result<std::vector<Enqueued>> commit(disk::Tx& tx, const Draft& draft);
  struct Applying {
    std::shared_ptr<const RoutedResults> all;
    Bodies bodies = Bodies::along;
    std::vector<Id> damaged;  // that notices are about
  };
  struct Outcome {
    Applied applied;
    bool fold = false;  // statistics.h: rows are to be made of batches
  };
  Result<Outcome> apply(disk::Tx& tx, const Applying& applying);
  AdminResult act(disk::Tx& tx, const AdminBatch& batch, Bodies bodies);
  Refilled lease(disk::Tx& tx, const LeaseQuery& query);
  // False: there is no such destination.
  bool end_hold(disk::Tx& tx, const std::string& destination, Time now);
  // Destinations with something due, `busy` (sorted) left out; bounds that proved stale on the way are mended.
  Work due(disk::Tx& tx, Time now, std::size_t limit, const std::vector<std::string>& busy);
  void tidy(disk::Tx& tx, const std::vector<std::int64_t>& domains);

  Places& places() { return places_; }
  void forget();  // after a rollback
  void set_recording(Recording recording) { recording_ = recording; }

 private:
  struct Scan;
  Refilled due_now(disk::Tx& tx, const LeaseQuery& query, Time now);
  Refilled older(disk::Tx& tx, const LeaseQuery& query, Id before);
  Refilled waiting(disk::Tx& tx, const LeaseQuery& query, const HeldQuery& waiting);
  void scan_domain(disk::Tx& tx, Scan& scan, std::int64_t domain);
  std::optional<std::vector<Id>> among_all(disk::Tx& tx, const LeaseQuery& query, std::int64_t destination, Id before);
  std::vector<Id> among_waiting(disk::Tx& tx, const LeaseQuery& query, std::int64_t destination, Id before);
  void load(disk::Tx& tx, const std::vector<Id>& ids, const Wanted& wanted, std::size_t bytes, Refilled& out);
  void see(disk::Tx& tx, Time now);
  void reserve(disk::Tx& tx, Id id);

  Places places_;
  Recording recording_ = Recording::off;
  std::int64_t reserved_ = 0;  // ids below it are marked as used
  std::int64_t seen_ = 0;
  // Where the next look for old mail goes on at a destination where very much waits.
  struct OlderFrom {
    std::int64_t domain = 0;
    std::int64_t state = 0;
    std::int64_t due = std::numeric_limits<std::int64_t>::min();
    std::int64_t recipient = 0;
  };
  std::unordered_map<std::int64_t, OlderFrom> older_;  // by destination
};

}  // namespace hoplock::store_sqlite
