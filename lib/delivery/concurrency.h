// SPDX-License-Identifier: Apache-2.0
// The scheduler's books: destinations that have workers, destinations that wait for one, workers that idle, and who gives way to whom. Does
// no I/O and waits for nothing; it wakes idle workers. Bounded: what does not fit is in the queue and is asked for again.
#pragma once
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "delivery/active_destination.h"
#include "delivery/gates.h"
#include "net/condition.h"
#include "store/message.h"

namespace hoplock::delivery {

class ConcurrencyLimits {
 public:
  static constexpr std::size_t most_waiting = 1000;  // destinations

  ConcurrencyLimits() = default;
  // REQUIRES: they outlive it.
  explicit ConcurrencyLimits(Gates& gates) : gates_(&gates) {}

  void limit(std::size_t sessions, std::size_t per_destination) {
    sessions_ = sessions;
    per_destination_ = per_destination;
  }

  // A destination that has workers, or null.
  ActiveDestinationPtr active(const std::string& name) const;
  std::size_t active_count() const { return active_.size(); }
  std::size_t workers() const { return workers_; }
  bool is_full() const { return workers_ >= sessions_; }
  std::size_t waiting() const { return waiting_.size(); }

  // Queues it for a worker. False: there are too many; ask the queue again when they are through.
  // REQUIRES: it has no workers.
  bool add(Waiting ready);
  // The same at a gate.
  bool park(const GatePtr& gate, Waiting ready);
  // The next that waits becomes active; null when none does, or all workers are taken.
  ActiveDestinationPtr next();

  void worker_came(ActiveDestination& destination);
  // True: it was the last one, and the destination is no longer active.
  bool worker_left(ActiveDestination& destination);
  enum class Why : std::uint8_t { backlog, hung };
  bool may_grow(const ActiveDestination& destination, Why why = Why::backlog) const;
  // Destinations that wait while all workers, or those for such as have not worked yet, are taken.
  std::size_t crowd() const;
  // Stuck workers that give way to them, the longest first: of those above half of all sessions, and a tenth for the names of one owner.
  std::vector<const BusyWorker*> stuck_too_many(net::SteadyTime now) const;
  // All that have workers.
  std::vector<ActiveDestinationPtr> all() const;
  // Others wait and this destination has more than its share of all workers, or of its site's or the host's sessions, or this worker had its
  // turn. `host`: at which the worker has a session; null: none.
  enum class Turn : std::uint8_t { young, over };
  bool must_yield(const ActiveDestination& destination, Turn turn, const Gate* host = nullptr) const;

  void idle_begins(IdleWorker& worker);
  void idle_ends(IdleWorker& worker);
  // False: none idles there.
  bool wake_idle(ActiveDestination& destination);
  void wake_all_idle();
  // Somebody waits for a place there: the worker that idles longest over one gives way.
  void make_room(const Gate& gate);
  // While destinations wait and all workers are taken, those that idle longest end, once they idled for idle_keepalive(). When the next one
  // will have; nothing: none needs to.
  std::optional<net::SteadyTime> evict_idle(net::SteadyTime now);
  // How long an idle session is kept although others wait: its next mail saves a handshake, and those that wait gather more mail for
  // one session meanwhile. The more they are, the less; with very many there is none.
  std::chrono::milliseconds idle_keepalive() const;
  // What opening a session took; where that takes long, also because this machine is busy, it is longer.
  void measure_setup(double ms) { setup_ms_ = setup_ms_ == 0 ? ms : setup_ms_ * 0.9 + ms * 0.1; }
  void evicted_left() { --leaving_; }

  // Destinations whose workers all work, sorted: whatever comes due there, they find it.
  std::vector<std::string> busy() const;
  // Those without a worker, for people.
  std::vector<queue::InLine> in_line(Time now) const;
  // They look into the queue before they rest.
  void recheck_busy();

 private:
  void forget_idle(IdleWorker& worker);
  std::size_t share_at(const Gate& gate, const SitePtr& site) const;
  Gates* gates_ = nullptr;  // null: there are none
  std::size_t sessions_ = 1;
  std::size_t per_destination_ = 1;
  std::map<std::string, ActiveDestinationPtr> active_;
  std::deque<Waiting> waiting_;
  std::uint64_t places_ = 0;  // given out
  std::set<std::string> names_waiting_;
  std::list<IdleWorker*> idle_;  // longest first
  std::size_t workers_ = 0;
  std::size_t leaving_ = 0;  // evicted, not yet gone
  double setup_ms_ = 0;      // smoothed over all destinations
};

}  // namespace hoplock::delivery
