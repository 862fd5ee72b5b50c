// SPDX-License-Identifier: Apache-2.0
// The history of messages: whether it is kept, and how far a look through it came.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hoplock::store {

enum class Recording : std::uint8_t { on, off };

// Where forgetting goes on, a part of it at a time; {}: at the beginning.
struct PruneFrom {
  std::int64_t history = 0;
  std::size_t parties = 0;  // so many of that message's keys are forgotten already
};

}  // namespace hoplock::store
