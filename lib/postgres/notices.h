// SPDX-License-Identifier: Apache-2.0
// For its own sources: LISTEN and NOTIFY on the channel `hoplock`, on a connection of its own. What is told may be lost: whoever listens
// also polls.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/condition.h"
#include "postgres/connection.h"

namespace hoplock::postgres {

class Notices {
 public:
  explicit Notices(Connecting& shared) : shared_(shared) {}

  void on_notify(std::function<void(std::string_view payload)> call) { call_ = std::move(call); }
  void notify(std::string payload);
  // Until it is cancelled.
  asio::awaitable<void> work();

 private:
  asio::awaitable<bool> connected();
  asio::awaitable<void> tell();

  Connecting& shared_;
  std::function<void(std::string_view)> call_;
  std::unique_ptr<Connection> connection_;
  std::deque<std::string> untold_;
  net::SteadyTime told_{};
};

}  // namespace hoplock::postgres
