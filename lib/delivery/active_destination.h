// SPDX-License-Identifier: Apache-2.0
// A destination while it has workers, and which mail each of them may take: what hangs at one of them holds up no other. Does no I/O.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "delivery/access.h"
#include "delivery/gates.h"
#include "net/condition.h"
#include "store/message.h"

namespace hoplock::delivery {

struct ActiveDestination;
using ActiveDestinationPtr = std::shared_ptr<ActiveDestination>;

// A worker that keeps its session open for more mail. Lives in the worker's frame.
struct IdleWorker {
  ActiveDestination* at = nullptr;
  net::SteadyTime since;
  net::Condition wake;
  GatePtr host = nullptr;  // at which it has a place
  bool evicted = false;
};

// A worker in its attempt. Lives in the worker's frame.
struct BusyWorker {
  const ActiveDestination* at = nullptr;
  net::SteadyTime began;  // when its attempt did
  net::SteadyTime since;  // its session was ready, or it began
  std::shared_ptr<const store::Job> job;
  Access* access = nullptr;  // its own
};

// Messages that come back untried, for others get through: how often, and since when, also when their destination had no worker meanwhile.
// Bounded: what was forgotten begins anew.
class Backs {
 public:
  // Once more. True: so often and for so long that it is no longer only one too many; then it is forgotten.
  bool are_too_many(const std::string& destination, store::Id id, net::SteadyTime now);
  std::size_t size() const { return backs_.size(); }

 private:
  struct Back {
    unsigned times = 0;
    net::SteadyTime since, last;
  };
  std::map<std::pair<std::string, std::uint64_t>, Back> backs_;
};

// A destination with workers.
struct ActiveDestination {
  std::string name;
  std::deque<store::Job> jobs;  // leased, not yet taken by a worker
  std::size_t workers = 0;
  std::size_t connected = 0;    // workers whose last host answered for mail
  SitePtr site;                 // once it is known where its mail goes
  std::size_t most = SIZE_MAX;  // workers, by its route
  GatePtr waits_at;             // it has to, when its last worker is gone
  std::uint64_t place = 0;      // among those that waited for a worker
  bool given_back = false;      // nothing was tried over its last worker: it keeps that place
  bool leasing = false;
  bool more = true;                       // the queue may have more that is due
  bool held = false;                      // down as a whole
  std::optional<store::Backoff> backoff;  // it was down and has not worked since: one message at a time
  net::Condition leased;
  std::list<IdleWorker*> idle;
  std::list<const BusyWorker*> busy;
  std::set<std::string> hung;  // addresses at which an attempt got no reply: one worker at a time tries them
  double setup_ms = 0;         // of a session with its first message, smoothed
  double message_ms = 0;       // of a further one

  // What a message took: the first of a session, or a further one.
  enum class Kind : std::uint8_t { first, further };
  void measure(Kind kind, double ms);
  void begins(const BusyWorker& worker) { busy.push_back(&worker); }
  enum class Took : std::uint8_t { nothing, mail };
  void ends(const BusyWorker& worker, Took took, net::SteadyTime now);
  // The next job for a worker, but none to an address at which another one hangs.
  std::optional<store::Job> take(net::SteadyTime now);
  // So many it might take.
  std::size_t takeable(net::SteadyTime now) const;
  // An attempt that lasts longer holds up what comes after it.
  std::chrono::milliseconds hang_timeout() const;
  // One that lasts so long is stuck, and gives way where there are too many such.
  std::chrono::milliseconds stuck_after() const;
  // When every worker will have been in its attempt for longer than that, while there may be other mail; nothing: never.
  std::optional<net::SteadyTime> overdue(net::SteadyTime now) const;
  // What waits would take the workers there are longer than opening two more sessions.
  bool is_behind() const;
  // How many messages to lease at a time.
  std::size_t portion() const;

 private:
  std::set<std::string> taken_up(net::SteadyTime now) const;
};

}  // namespace hoplock::delivery
