// SPDX-License-Identifier: Apache-2.0
// Runs coroutines of a test to their end on a loop of the test's own.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <optional>
#include <stdexcept>
#include <utility>

namespace hoplock::support {

class Loop {
 public:
  boost::asio::io_context& io() { return io_; }
  boost::asio::any_io_executor executor() { return io_.get_executor(); }

  // The coroutine's value, or its exception. A test that hangs ends with an exception after `limit`.
  template <class T>
  T run(boost::asio::awaitable<T> task, std::chrono::seconds limit = std::chrono::seconds(30)) {
    std::optional<T> value;
    run(keep(std::move(task), value), limit);
    return std::move(*value);
  }

  void run(boost::asio::awaitable<void> task, std::chrono::seconds limit = std::chrono::seconds(30)) {
    std::future<void> end = boost::asio::co_spawn(io_, std::move(task), boost::asio::use_future);
    const auto deadline = std::chrono::steady_clock::now() + limit;
    io_.restart();
    while (end.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      if (std::chrono::steady_clock::now() >= deadline)
        throw std::runtime_error("the test's coroutine did not end in time");
      if (io_.run_one_until(deadline) == 0 && io_.stopped()) io_.restart();
    }
    end.get();
  }

  // Starts a coroutine beside others; run_all() runs them all to their ends, and throws what one of them threw.
  void start(boost::asio::awaitable<void> task) {
    boost::asio::co_spawn(io_, std::move(task), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  void run_all() {
    io_.restart();
    io_.run();
  }

 private:
  template <class T>
  static boost::asio::awaitable<void> keep(boost::asio::awaitable<T> task, std::optional<T>& value) {
    value.emplace(co_await std::move(task));
  }

  boost::asio::io_context io_{1};
};

}  // namespace hoplock::support
