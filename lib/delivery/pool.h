// SPDX-License-Identifier: Apache-2.0
// The scheduler's books: destinations that have lanes, destinations that wait for one, lanes that idle, and who gives way to whom. Does
// no I/O and waits for nothing; it wakes idle lanes. Bounded: what does not fit is in the queue and is asked for again.
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

#include "delivery/gates.h"
#include "net/signal.h"
#include "queue/message.h"

namespace hoplock::delivery {

struct Destination;
using DestinationPtr = std::shared_ptr<Destination>;

// A lane that keeps its session open for more mail. Lives in the lane's frame.
struct IdleLane {
  Destination* at = nullptr;
  net::SteadyTime since;
  net::Signal wake;
  GatePtr host = nullptr;  // at which it has a place
  bool evicted = false;
};

// A lane in its attempt. Lives in the lane's frame.
struct BusyLane {
  net::SteadyTime since;  // its session was ready, or it began
  std::shared_ptr<const queue::Job> job;
};

// A destination with lanes.
struct Destination {
  std::string name;
  std::deque<queue::Job> jobs;  // leased, not yet taken by a lane
  std::size_t lanes = 0;
  std::size_t connected = 0;    // lanes whose last host answered for mail
  SitePtr site;                 // once it is known where its mail goes
  std::size_t most = SIZE_MAX;  // lanes, by its route
  GatePtr waits_at;             // it has to, when its last lane is gone
  std::uint64_t place = 0;      // among those that waited for a lane
  bool given_back = false;      // nothing was tried over its last lane: it keeps that place
  bool leasing = false;
  bool more = true;                       // the queue may have more that is due
  bool held = false;                      // down as a whole
  std::optional<queue::Backoff> backoff;  // it was down and has not worked since: one message at a time
  net::Signal leased;
  std::list<IdleLane*> idle;
  std::list<const BusyLane*> busy;
  std::set<std::string> hung;  // addresses at which an attempt got no reply: one lane at a time tries them
  queue::Id back;              // the message that came back last: how often, and since when
  unsigned backs = 0;
  net::SteadyTime back_since;
  double setup_ms = 0;    // of a session with its first message, smoothed
  double message_ms = 0;  // of a further one

  // What a message took: the first of a session, or a further one.
  enum class Kind : std::uint8_t { first, further };
  void measure(Kind kind, double ms);
  // A message comes back untried, for others get through. True: so often and for so long that it is no longer only one too many.
  bool is_back_too_often(queue::Id id, net::SteadyTime now);
  void begins(const BusyLane& lane) { busy.push_back(&lane); }
  enum class Took : std::uint8_t { nothing, mail };
  void ends(const BusyLane& lane, Took took, net::SteadyTime now);
  // The next job for a lane, but none to an address at which another one hangs.
  std::optional<queue::Job> take(net::SteadyTime now);
  // So many it might take.
  std::size_t takeable(net::SteadyTime now) const;
  // An attempt that lasts longer holds up what comes after it.
  std::chrono::milliseconds patience() const;
  // When every lane will have been in its attempt for longer than that, while there may be other mail; nothing: never.
  std::optional<net::SteadyTime> overdue(net::SteadyTime now) const;
  // What waits would take the lanes there are longer than opening two more sessions.
  bool is_behind() const;
  // How many messages to lease at a time.
  std::size_t portion() const;

 private:
  std::set<std::string> taken_up(net::SteadyTime now) const;
};

class Pool {
 public:
  static constexpr std::size_t most_waiting = 1000;  // destinations

  Pool() = default;
  // REQUIRES: they outlive it.
  explicit Pool(Gates& gates) : gates_(&gates) {}

  void limit(std::size_t sessions, std::size_t per_destination) {
    sessions_ = sessions;
    per_destination_ = per_destination;
  }

  // A destination that has lanes, or null.
  DestinationPtr active(const std::string& name) const;
  std::size_t active_count() const { return active_.size(); }
  std::size_t lanes() const { return lanes_; }
  bool is_full() const { return lanes_ >= sessions_; }
  std::size_t waiting() const { return waiting_.size(); }

  // Queues it for a lane. False: there are too many; ask the queue again when they are through.
  // REQUIRES: it has no lanes.
  bool add(Waiting ready);
  // The same at a gate.
  bool park(const GatePtr& gate, Waiting ready);
  // The next that waits becomes active; null when none does, or all lanes are taken.
  DestinationPtr next();

  void lane_came(Destination& destination);
  // True: it was the last one, and the destination is no longer active.
  bool lane_left(Destination& destination);
  enum class Why : std::uint8_t { backlog, hung };
  bool may_grow(const Destination& destination, Why why = Why::backlog) const;
  // All that have lanes.
  std::vector<DestinationPtr> all() const;
  // Others wait and this destination has more than its share of all lanes, or this lane had its turn.
  enum class Turn : std::uint8_t { young, over };
  bool must_yield(const Destination& destination, Turn turn) const;

  void idle_begins(IdleLane& lane);
  void idle_ends(IdleLane& lane);
  // False: none idles there.
  bool wake_idle(Destination& destination);
  void wake_all_idle();
  // Somebody waits for a place there: the lane that idles longest over one gives way.
  void make_room(const Gate& gate);
  // While destinations wait and all lanes are taken, those that idle longest end, once they idled for patience(). When the next one
  // will have; nothing: none needs to.
  std::optional<net::SteadyTime> evict_idle(net::SteadyTime now);
  // How long an idle session is kept although others wait: its next mail saves a handshake, and those that wait gather more mail for
  // one session meanwhile. The more they are, the less; with very many there is none.
  std::chrono::milliseconds patience() const;
  // What opening a session took; where that takes long, also because this machine is busy, patience pays.
  void measure_setup(double ms) { setup_ms_ = setup_ms_ == 0 ? ms : setup_ms_ * 0.9 + ms * 0.1; }
  void evicted_left() { --leaving_; }

  // Destinations whose lanes all work, sorted: whatever comes due there, they find it.
  std::vector<std::string> busy() const;
  // They look into the queue before they rest.
  void remind_busy();

 private:
  void forget_idle(IdleLane& lane);
  Gates* gates_ = nullptr;  // null: there are none
  std::size_t sessions_ = 1;
  std::size_t per_destination_ = 1;
  std::map<std::string, DestinationPtr> active_;
  std::deque<Waiting> waiting_;
  std::uint64_t places_ = 0;  // given out
  std::set<std::string> names_waiting_;
  std::list<IdleLane*> idle_;  // longest first
  std::size_t lanes_ = 0;
  std::size_t leaving_ = 0;  // evicted, not yet gone
  double setup_ms_ = 0;      // smoothed over all destinations
};

}  // namespace hoplock::delivery
