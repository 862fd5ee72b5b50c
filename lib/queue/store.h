// SPDX-License-Identifier: Apache-2.0
// The queue's side of the disk thread: what jobs share from one to the next. Its functions run inside jobs only; the loop holds it
// alive and never looks inside.
#pragma once
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "queue/act.h"
#include "queue/history.h"
#include "queue/places.h"
#include "queue/rows.h"

namespace hoplock::queue {

struct Refill {
  std::string destination;
  Time now;
  std::size_t messages = 0;
  std::size_t bytes = 0;
  std::vector<Id> exclude;  // sorted
};
struct Refilled {
  std::vector<Job> jobs;
  std::vector<Id> damaged;          // to be held
  std::vector<std::int64_t> stale;  // domains whose bound is to be found anew
  bool more = false;                // it stopped at a limit
  Time next;                        // when it did not: what is due next, no_due_time for nothing
  std::optional<Backoff> backoff;
  std::optional<HeldQuery> rest;  // of what waits: where to go on
};

struct Found {
  std::vector<Ready> ready;
  std::optional<Time> next;
};

class Store {
 public:
  Result<std::vector<Enqueued>> commit(disk::Tx& tx, const Draft& draft);
  // Results with what is found on the loop. `unnamed`: for each of results.settled, the recipients of the lease that it does not name.
  struct Applying {
    Results results;
    std::vector<RoutedNotice> notices;
    std::vector<std::vector<std::uint32_t>> unnamed;
    Bodies bodies = Bodies::along;
  };
  Result<std::vector<EnqueuedNotice>> apply(disk::Tx& tx, const Applying& applying);
  AdminResult act(disk::Tx& tx, const AdminBatch& act);
  Refilled refill(disk::Tx& tx, const Refill& wanted);
  Refilled older(disk::Tx& tx, const Refill& wanted, Id before);
  Refilled waiting(disk::Tx& tx, const Refill& wanted, const HeldQuery& waiting);
  // False: there is no such destination.
  bool end_hold(disk::Tx& tx, const std::string& destination, Time now);
  // Destinations with something due, `busy` (sorted) left out; bounds that proved stale on the way are mended.
  Found ready(disk::Tx& tx, Time now, std::size_t limit, const std::vector<std::string>& busy);
  void tidy(disk::Tx& tx, const std::vector<std::int64_t>& domains);

  Places& places() { return places_; }
  void forget();  // after a rollback
  void set_recording(Recording recording) { recording_ = recording; }

 private:
  struct Scan;
  void scan_domain(disk::Tx& tx, Scan& scan, std::int64_t domain);
  std::optional<std::vector<Id>> among_all(disk::Tx& tx, const Refill& wanted, std::int64_t destination, Id before);
  std::vector<Id> among_waiting(disk::Tx& tx, const Refill& wanted, std::int64_t destination, Id before);
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

}  // namespace hoplock::queue
