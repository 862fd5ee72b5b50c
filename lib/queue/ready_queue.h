// SPDX-License-Identifier: Apache-2.0
// What the queue has in memory: a queue for each destination with work at hand or under way, its fresh or prefetched jobs, and all
// leases. Bounded; whatever it drops is in the store. Belongs to the loop.
//
// Such a queue knows from when on the database may have due recipients that are neither in its jobs nor leased: `next`.
#pragma once
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/actions.h"
#include "store/leasing.h"

namespace hoplock::queue {

struct DestinationQueue {
  std::deque<store::Job> jobs;
  std::unordered_set<store::Id> leased;
  Time next = store::no_earlier_bound;
  bool back = false;  // something came back untried: it is the oldest, and goes before what is at hand
  bool more = false;  // the database has older work than what comes fresh: that must wait its turn
  std::optional<store::Backoff> backoff;
  std::uint64_t epoch = 0;  // counts what made a read under way outdated
  std::unique_ptr<boost::asio::steady_timer>
      reading;  // set while a read for it is under way; its waiters are woken by cancel

  bool idle() const { return jobs.empty() && leased.empty() && !reading; }
  bool held(Time now) const { return backoff && backoff->until > now; }
};

class ReadyQueue {
 public:
  ReadyQueue(std::size_t messages, std::size_t bytes) : most_messages_(messages), most_bytes_(bytes) {}

  DestinationQueue& of(const std::string& destination);
  DestinationQueue* find(const std::string& destination);

  // False: there is no room, or older work is in the database, which therefore has this too.
  enum class Room : std::uint8_t { taken, none };
  Room add_fresh(DestinationQueue& queued, store::Job job);
  // How much a read for one of them may bring: a share of the room there is, so that many that read at once stay within
  // bounds. It is set aside until the read is over.
  struct Share {
    std::size_t messages = 0;
    std::size_t bytes = 0;
  };
  Share set_aside(std::size_t least_messages);
  void give_back(const Share& share);
  // From a read of the database, oldest first; jobs that overlap a lease, or are here already, or are frozen, are dropped.
  // After something came back they go before what is here.
  void add_read(DestinationQueue& queued, std::vector<store::Job> jobs);
  // Takes the oldest jobs and leases them.
  std::vector<store::Job> take(DestinationQueue& queued, std::size_t messages, std::size_t bytes);
  // Leases jobs that did not come through the ready queue; drops those that overlap a lease.
  std::vector<store::Job> lease(DestinationQueue& queued, std::vector<store::Job> jobs);
  // How many recipients the lease had.
  std::size_t release(DestinationQueue& queued, const std::string& destination, store::Id id);

  // Ids in it or leased from it, and frozen ones, sorted.
  std::vector<store::Id> excluded(const DestinationQueue& queued) const;
  std::vector<store::Lease> leases_of(store::Id id) const;
  std::vector<std::uint32_t> leased_at(const std::string& destination, store::Id id) const;
  std::vector<store::Lease> leases() const;

  // Destinations whose work had to wait for the end of a lease or an action, since the last call.
  std::vector<std::string> take_woken() { return std::exchange(woken_, {}); }
  // While an operator's action is under way, its messages are neither in the ready queue nor leased anew.
  void freeze(const std::vector<store::Id>& ids);
  void thaw(const std::vector<store::Id>& ids);
  // Everything that is not leased goes back to the database alone.
  void drop_all();
  void drop_jobs(DestinationQueue& queued);
  void forget_idle();

  const std::unordered_map<std::string, DestinationQueue>& destinations() const { return destinations_; }
  std::size_t messages() const { return messages_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Leased {
    std::string destination;
    std::vector<std::uint32_t> seqs;
  };
  bool overlaps(const store::Job& job) const;
  void wake(store::Id id);
  void put(DestinationQueue& queued, store::Job job);
  void note_lease(DestinationQueue& queued, const store::Job& job);

  std::size_t most_messages_;
  std::size_t most_bytes_;
  std::unordered_map<std::string, DestinationQueue> destinations_;
  std::unordered_map<store::Id, std::vector<Leased>> leases_;
  std::unordered_map<store::Id, std::uint32_t> here_;    // how many destinations have a job of it
  std::unordered_map<store::Id, std::uint32_t> frozen_;  // by how many actions
  std::unordered_map<store::Id, std::vector<std::string>>
      waiting_;  // destinations that could not have a job of it when they read it
  std::vector<std::string> woken_;
  std::size_t messages_ = 0;
  std::size_t bytes_ = 0;
  Share aside_;  // for reads under way
  std::size_t idle_checked_ = 0;
};

}  // namespace hoplock::queue
