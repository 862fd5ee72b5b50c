// SPDX-License-Identifier: Apache-2.0
// For its own sources: before something is tried again.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/time.h"
#include "net/condition.h"

namespace hoplock::postgres {

inline boost::asio::awaitable<void> pause(Milliseconds time) {
  net::Condition nothing;
  co_await nothing.wait_until(std::chrono::steady_clock::now() + time);
}

}  // namespace hoplock::postgres
