// SPDX-License-Identifier: Apache-2.0
#include "daemon/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <utility>

namespace hoplock::daemon {

namespace {
constexpr std::chrono::seconds between_looks{10};
constexpr std::size_t worth_it = std::size_t{4} << 20U;    // octets that are free but kept
constexpr std::size_t left_alone = std::size_t{1} << 20U;  // at the heap's end, for the next few

// Of the program and each library; what can be written is never touched, for it may differ from the file.
int let_go_of_segments(dl_phdr_info* object, std::size_t, void*) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || segment.p_flags != (PF_R | PF_X)) continue;
    const std::uintptr_t first = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t from = (first + page - 1) / page * page;
    const std::uintptr_t to = (first + segment.p_filesz) / page * page;
    if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  }
  return 0;
}
}  // namespace

void return_large_blocks() { mallopt(M_MMAP_THRESHOLD, 128 << 10); }

void keep_to_small_pages() { ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }

void let_go_of_code() { ::dl_iterate_phdr(let_go_of_segments, nullptr); }

boost::asio::awaitable<void> give_memory_back() {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  std::size_t kept =
      0;  // given back already, though the allocator counts it still, or less where some of it is in use again
  bool crowded = false;
  for (;;) {
    pause.expires_after(between_looks);
    co_await pause.async_wait(boost::asio::use_awaitable);
    const std::size_t free = mallinfo2().fordblks;
    kept = std::min(kept, free);
    if (free < kept + worth_it) {
      if (std::exchange(crowded, false)) let_go_of_code();
      continue;
    }
    crowded = true;
    malloc_trim(left_alone);
    kept = mallinfo2().fordblks;
  }
}

}  // namespace hoplock::daemon
