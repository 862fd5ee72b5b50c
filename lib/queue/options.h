// SPDX-License-Identifier: Apache-2.0
// What the operator may set about the queue, and how much of it is held in memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include "store/history.h"

namespace hoplock::queue {

struct Options {
  std::size_t window_messages = 4096;
  std::size_t window_bytes = 16 << 20;
  std::uint64_t min_free_space = 256 << 20;
  store::Recording history = store::Recording::off;  // on: the store must have its tables
};

}  // namespace hoplock::queue
