// SPDX-License-Identifier: Apache-2.0
// Brings the ends of leases to stable storage: all that wait share one transaction, log lines are written once it stands. While
// the store fails nothing new may be sent, for mail that was sent but not recorded is mail sent twice. What is counted for TLS reports
// and for the statistics is stored with them, unless that is what cannot be stored.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "delivery/settlement.h"
#include "net/clock.h"
#include "net/condition.h"
#include "queue/queue.h"

namespace hoplock::delivery {

class ResultCommitter {
 public:
  // `recovered` is called when the store works again after it failed.
  ResultCommitter(queue::Queue& queue, Log& log, std::function<void()> recovered, net::Clock clock = net::now)
      : queue_(queue), log_(log), clock_(std::move(clock)), recovered_(std::move(recovered)) {}

  using Sequence = std::uint64_t;
  Sequence add(Settlement settlement);
  // Until that one is stored, or end() was called.
  boost::asio::awaitable<void> wait_committed(Sequence sequence);
  bool is_committed(Sequence sequence) const { return committed_last_ >= sequence; }
  // Until few enough wait, and none for long, that another message may be begun: a crash repeats what was not yet stored.
  boost::asio::awaitable<void> wait_for_capacity();
  // The same right before the final dot of a message that was leased in that term, though the peer waits. False: it took too long, or the
  // term is over and another node may send it: the dot is not to be sent.
  boost::asio::awaitable<bool> leave(std::int64_t term);
  bool stalled() const { return stalled_; }
  // Stores until end() was called and nothing is left; gives up what cannot be stored once ended.
  boost::asio::awaitable<void> run();
  void end();

 private:
  using GivenUp = queue::Queue::GivenUp;
  boost::asio::awaitable<std::optional<GivenUp>> store(store::Results results);
  boost::asio::awaitable<Result<GivenUp>> store_apart(store::Results results);
  enum class Of : std::uint8_t { ledger, statistics };
  void tell_uncounted(Of of, const std::string& why) const;
  boost::asio::awaitable<Result<GivenUp>> apply(store::Results results);
  bool is_behind() const;
  queue::Queue& queue_;
  Log& log_;
  net::Clock clock_;
  std::function<void()> recovered_;
  std::vector<Settlement> waiting_;
  std::deque<net::SteadyTime> uncommitted_since_;  // of each sequence that is not stored
  Sequence added_last_ = 0;
  Sequence committed_last_ = 0;
  bool stalled_ = false;
  bool ended_ = false;
  net::Condition added_;
  net::Condition committed_;
  net::Condition ending_;
};

}  // namespace hoplock::delivery
