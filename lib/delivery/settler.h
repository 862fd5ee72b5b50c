// Brings the ends of attempts to stable storage: all that wait share one transaction, log lines are written once it stands. While
// the store fails nothing new may be sent, for mail that was sent but not recorded is mail sent twice.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <optional>
#include <vector>

#include "base/log.h"
#include "net/signal.h"
#include "queue/queue.h"

namespace hoplock::delivery {

struct Finished {
  queue::Settled settled;
  std::optional<queue::DestinationChange> change;
  std::vector<Event> events;
};

class Settler {
 public:
  Settler(queue::Queue& queue, Log& log) : queue_(queue), log_(log) {}

  void add(Finished finished);
  // Until few enough ends wait that another message may be sent: a crash repeats what was not yet stored.
  boost::asio::awaitable<void> room();
  bool stalled() const { return stalled_; }
  // Stores until end() was called and nothing is left; gives up what cannot be stored once ended.
  boost::asio::awaitable<void> run();
  void end();

 private:
  boost::asio::awaitable<bool> store(queue::Results results);
  queue::Queue& queue_;
  Log& log_;
  std::vector<Finished> waiting_;
  std::size_t storing_ = 0;
  bool stalled_ = false;
  bool ended_ = false;
  net::Signal added_;
  net::Signal stored_;
};

}  // namespace hoplock::delivery
