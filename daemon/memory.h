// SPDX-License-Identifier: Apache-2.0
// Memory that nobody uses any more goes back to the system: after a storm of connections the allocator keeps what it got.
#pragma once
#include <boost/asio/awaitable.hpp>

namespace hoplock::daemon {

// Before anything large is allocated: blocks from 128 KiB on come from the system and go back to it at once. Left to itself the allocator
// keeps more after each large one that was freed, 0.6 MiB of an idle relay's memory.
void return_large_blocks();

// Where the kernel makes huge pages of whatever it can, it fills the heap's parts that were never touched: 2.5 MiB of an idle relay's
// memory, some seconds after the start or some minutes, as busy as the machine is.
void keep_to_small_pages();

// Looks now and then, until it is cancelled.
boost::asio::awaitable<void> give_memory_back();

}  // namespace hoplock::daemon
