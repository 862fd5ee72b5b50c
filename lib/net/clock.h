// SPDX-License-Identifier: Apache-2.0
// The wall clock of what stands above the waterline; what is below it gets the time as an argument. Whoever builds a service hands its
// clock in, so that one thing tells all of them the time, and a test can be that thing.
#pragma once
#include <chrono>
#include <functional>

#include "base/time.h"

namespace hoplock::net {

// UTC; it may jump.
inline Time now() { return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()); }
using Clock = std::function<Time()>;

}  // namespace hoplock::net
