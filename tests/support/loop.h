// Runs coroutines of a test to their end on a loop of the test's own.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <stdexcept>

namespace hoplock::support {

class Loop {
 public:
  boost::asio::io_context& io() { return io_; }
  boost::asio::any_io_executor executor() { return io_.get_executor(); }

  // The coroutine's value, or its exception. A test that hangs ends with an exception after `limit`.
  template <class T>
  T run(boost::asio::awaitable<T> task, std::chrono::seconds limit = std::chrono::seconds(30)) {
    std::future<T> result = boost::asio::co_spawn(io_, std::move(task), boost::asio::use_future);
    io_.restart();
    const auto end = std::chrono::steady_clock::now() + limit;
    while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      if (std::chrono::steady_clock::now() >= end) throw std::runtime_error("the test's coroutine did not end in time");
      if (io_.run_one_until(end) == 0 && io_.stopped()) io_.restart();
    }
    return result.get();
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
  boost::asio::io_context io_{1};
};

}  // namespace hoplock::support
