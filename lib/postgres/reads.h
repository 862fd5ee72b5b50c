// SPDX-License-Identifier: Apache-2.0
// For its own sources: batches that only read. All that wait go out in one round trip, each up to a Sync of its own, on connections that can
// write nothing.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <memory>
#include <vector>

#include "net/condition.h"
#include "postgres/completion.h"
#include "postgres/connection.h"

namespace hoplock::postgres {

class Reads {
 public:
  // REQUIRES: `shared` outlives it.
  Reads(asio::any_io_executor loop, Connecting& shared) : loop_(std::move(loop)), shared_(shared) {}

  asio::awaitable<Result<Answer>> run(Batch batch);
  // Until it is cancelled; two of them, so that a long one does not hold up all.
  asio::awaitable<void> work();
  // Whoever waits is told why.
  void end(const Error& why);

 private:
  struct Entry {
    std::shared_ptr<const Batch> batch;
    net::SteadyTime since{};
    Completion<Result<Answer>> done;
  };
  using Group = std::vector<std::shared_ptr<Entry>>;
  void again(const Group& group, const Error& why);

  asio::any_io_executor loop_;
  Connecting& shared_;
  std::deque<std::shared_ptr<Entry>> waiting_;
  net::Condition arrived_;
};

}  // namespace hoplock::postgres
