// SPDX-License-Identifier: Apache-2.0
// Memory that nobody uses any more goes back to the system: after a storm of connections the allocator keeps what it got.
#pragma once
#include <boost/asio/awaitable.hpp>

namespace hoplock::daemon {

// Looks now and then, until it is cancelled.
boost::asio::awaitable<void> give_memory_back();

}  // namespace hoplock::daemon
