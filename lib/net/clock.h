// SPDX-License-Identifier: Apache-2.0
// The wall clock, for the services above the waterline; what is below it gets the time as an argument.
#pragma once
#include <chrono>

#include "base/time.h"

namespace hoplock::net {

// UTC; it may jump.
inline Time now() { return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()); }

}  // namespace hoplock::net
