// Password hashing beside the loop: one worker thread that shares nothing with it but the question and the answer, so that
// a hash that takes a tenth of a second delays no other session. Also how much a client's failed logins slow it down.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/ip.h"
#include "listener/users.h"
#include "net/signal.h"

namespace hoplock::listener {

class Passwords {
 public:
  static constexpr std::size_t most_waiting = 100;  // questions beyond them are answered `unknown` at once

  explicit Passwords(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}
  Passwords(const Passwords&) = delete;
  Passwords& operator=(const Passwords&) = delete;
  // Waits for the hash that is being made; the others are dropped.
  ~Passwords();

  // REQUIRES: `this` outlives the task that awaits.
  boost::asio::awaitable<Credentials> check(std::shared_ptr<const Users> users, std::string name, std::string password);

 private:
  boost::asio::any_io_executor loop_;
  std::size_t waiting_ = 0;
  boost::asio::thread_pool worker_{1};
};

// Failed logins by client address, forgotten after a quarter of an hour without a new one.
class FailedLogins {
 public:
  using Duration = std::chrono::milliseconds;
  // One more; how long its answer is held back: `first`, doubled with each, at most half a minute.
  Duration add(const Ip& client, net::SteadyTime now, Duration first);
  void forget(const Ip& client) { failures_.erase(client); }  // it logged in
  std::size_t size() const { return failures_.size(); }

 private:
  struct Failures {
    unsigned count = 0;
    net::SteadyTime last;
  };
  std::map<Ip, Failures> failures_;
};

}  // namespace hoplock::listener
