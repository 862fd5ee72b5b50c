// SPDX-License-Identifier: Apache-2.0
// Domains and destinations as rows, with what was lately read of them. Lives on the disk thread: its functions are called from
// jobs only.
#pragma once
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "disk/job.h"
#include "store/message.h"
#include "store/waiting.h"

namespace hoplock::store_sqlite {

using namespace store;

inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

struct Place {
  std::int64_t domain = 0;
  std::int64_t destination = 0;
  std::int64_t due = never;  // domain.due is this or earlier; `never` when it is NULL
  std::string destination_name;
};

class Places {
 public:
  // The rows of a domain, made where they are missing, with that destination, and due no later than `due`.
  // `alone` is set when nothing else waited at the destination.
  struct Added {
    Place place;
    bool alone = false;
  };
  Added add(disk::Tx& tx, const std::string& domain, const std::string& destination, std::int64_t due);
  // The destination's id, made where it is missing.
  std::int64_t destination(disk::Tx& tx, const std::string& name);
  std::optional<std::int64_t> find_destination(disk::Tx& tx, const std::string& name);
  // Something at that domain is due then: the lower bounds follow.
  void lower(disk::Tx& tx, std::int64_t domain, std::int64_t due);
  // A domain that went to another destination: what waits there for a time of its own does so no longer, the earliest first. Of very
  // much only a part, which keeps nobody waiting; the rest is noted on disk for hasten_rest().
  void hasten_moved(disk::Tx& tx, std::int64_t domain, std::int64_t now);
  // A slice of what was noted. yes: there is more.
  disk::More hasten_rest(disk::Tx& tx);
  // The bounds of a domain found anew from its recipients; rows that serve nothing are removed.
  void tidy(disk::Tx& tx, std::int64_t domain);
  // Those of a destination from its domains.
  void tidy_destination(disk::Tx& tx, std::int64_t destination);
  // The earliest due time of waiting recipients at that domain that is later than `after`.
  static std::int64_t earliest(disk::Tx& tx, std::int64_t domain, std::int64_t after);

  std::optional<Backoff> backoff(disk::Tx& tx, std::int64_t destination);
  void set_backoff(disk::Tx& tx, const DestinationChange& change);

  // Of a message with very many recipients: below this key none is alive any more, as an earlier look found. A recipient that ended
  // never comes back, so that all looks together pass each of them once.
  std::int64_t alive_from(Id id) const;
  void note_alive(Id id, std::int64_t key);
  void forget_alive(Id id) { alive_.erase(id); }

  void forget();

 private:
  std::unordered_map<Id, std::int64_t> alive_;
  std::optional<Place> read(disk::Tx& tx, const std::string& domain);
  disk::More hasten(disk::Tx& tx, std::int64_t domain, std::int64_t now);
  std::unordered_map<std::string, Place> places_;                      // by domain
  std::unordered_map<std::int64_t, std::optional<Backoff>> backoffs_;  // by destination
};

// Destinations that are held off at `now`: some, by name, after that one.
std::vector<Held> holds_after(disk::Tx& tx, const std::string& name, Time now);
// Destinations where mail waits, likewise.
std::vector<Waiting> waiting_after(disk::Tx& tx, const std::string& name, Time now);

}  // namespace hoplock::store_sqlite
