// SPDX-License-Identifier: Apache-2.0
// What lies in the database, as metrics and the status page tell it: read beside the loop and the disk thread, by one worker over a
// read-only connection of its own, and kept for a while, so that nobody can load the database by asking often.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/clock.h"
#include "net/condition.h"
#include "store/looks.h"
#include "store/readers.h"

namespace hoplock::monitor {

struct Survey {
  Time taken{};
  Milliseconds took{0};
  store::Stats queue;              // of the domains and next hops, the longest
  std::size_t domains = 0;         // of which mail waits
  std::size_t hops = 0;            // next hop and reason, likewise
  std::vector<store::Wait> waits;  // of queue.hops, with since when
  std::vector<store::Id> damaged;  // messages held because their body is damaged; at most most_damaged
  store::LedgerSummary reports;    // of yesterday
  store::PolicySummary policies;
  // Why a part could not be read; "": it was. Of one that was not nothing is known, and what stands above is no word about it.
  struct Unread {
    std::string queue;  // and where mail waits, and what is damaged
    std::string reports;
    std::string policies;
  } unread;
  std::string error;  // of the first of them; "": all of it could be read

  static constexpr std::size_t most_domains = 25;
  static constexpr std::size_t most_damaged = 100;
};

// On the calling thread; may take seconds.
Survey survey(const store::Readers& readers, const std::vector<store::Lease>& active, Time now);

class Surveyor {
 public:
  struct Options {
    store::ReadersPtr readers;
    std::chrono::milliseconds fresh{10000};  // and at least twenty times as long as the last one took
    net::Clock clock = net::now;             // also asked beside the loop
  };
  // `active` is called on the loop.
  Surveyor(boost::asio::any_io_executor loop, Options options, std::function<std::vector<store::Lease>()> active);
  // Waits for the survey that is being made.
  ~Surveyor();
  Surveyor(const Surveyor&) = delete;
  Surveyor& operator=(const Surveyor&) = delete;

  // The last one when it is fresh, else a new one if it is there before `patience` is over, else the last one. Null: there is none.
  // REQUIRES: `this` outlives the task that awaits.
  boost::asio::awaitable<std::shared_ptr<const Survey>> look(std::chrono::milliseconds patience);
  // The last one, whatever its age.
  std::shared_ptr<const Survey> last() const;

 private:
  struct State;
  void start();
  std::shared_ptr<State> state_;
  boost::asio::thread_pool worker_{1};
};

}  // namespace hoplock::monitor
