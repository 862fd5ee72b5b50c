// SPDX-License-Identifier: Apache-2.0
// Look-ups that go on when whoever waited for them has to give way: others may wait for the same, and what is found, be it that nothing
// is, is remembered for the next attempt.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "net/cut.h"
#include "net/task_group.h"

namespace hoplock::delivery {

class LookUps {
 public:
  // REQUIRES: what look-ups refer to outlives the loop's last run.
  LookUps(boost::asio::any_io_executor executor, Log& log) : tasks_(std::move(executor), log) {}

  // What is told of whoever nothing is known of then.
  static constexpr const char* took_too_long = "its look-up took too long while other mail waited";

  // What comes of it, or nothing: it was cut. REQUIRES: `cut` outlives the call.
  template <class Found>
  boost::asio::awaitable<std::optional<Found>> unless_cut(boost::asio::awaitable<Found> look_up, net::Cut& cut) {
    if (tasks_.size() >= most) co_return std::optional<Found>(co_await std::move(look_up));
    if (cut.is_made()) co_return std::nullopt;
    const auto shared = std::make_shared<Shared<Found>>();
    shared->waiter = &cut;
    const struct Leave {
      Shared<Found>& shared;
      ~Leave() { shared.waiter = nullptr; }
    } leave{*shared};
    tasks_.spawn("look-up", run(std::move(look_up), shared));
    while (!shared->found && !shared->failed && !cut.is_made()) co_await cut.wait_once();
    if (shared->failed) std::rethrow_exception(shared->failed);
    co_return std::move(shared->found);
  }
  void stop() { tasks_.stop(); }

 private:
  static constexpr std::size_t most =
      4096;  // above that whoever waits does not give way, rather than leave one more behind
  template <class Found>
  struct Shared {
    std::optional<Found> found;
    std::exception_ptr failed;
    net::Cut* waiter = nullptr;  // null: gone
  };
  template <class Found>
  static boost::asio::awaitable<void> run(boost::asio::awaitable<Found> look_up,
                                          std::shared_ptr<Shared<Found>> shared) {
    try {
      shared->found = co_await std::move(look_up);
    } catch (...) {
      shared->failed = std::current_exception();
    }
    if (shared->waiter != nullptr) shared->waiter->wake();
  }
  net::TaskGroup tasks_;
};

}  // namespace hoplock::delivery
