// SPDX-License-Identifier: Apache-2.0
#include "daemon/memory.h"

#include <malloc.h>
#include <sys/prctl.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace hoplock::daemon {

namespace {
constexpr std::chrono::seconds between_looks{10};
constexpr std::size_t worth_it = std::size_t{4} << 20U;    // octets that are free but kept
constexpr std::size_t left_alone = std::size_t{1} << 20U;  // at the heap's end, for the next few
}  // namespace

void return_large_blocks() { mallopt(M_MMAP_THRESHOLD, 128 << 10); }

void keep_to_small_pages() { ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }

boost::asio::awaitable<void> give_memory_back() {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  std::size_t kept =
      0;  // given back already, though the allocator counts it still, or less where some of it is in use again
  for (;;) {
    pause.expires_after(between_looks);
    co_await pause.async_wait(boost::asio::use_awaitable);
    const std::size_t free = mallinfo2().fordblks;
    kept = std::min(kept, free);
    if (free < kept + worth_it) continue;
    malloc_trim(left_alone);
    kept = mallinfo2().fordblks;
  }
}

}  // namespace hoplock::daemon
