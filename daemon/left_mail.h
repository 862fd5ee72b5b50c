// SPDX-License-Identifier: Apache-2.0
// Mail that stays behind when `store` names another store: the start and `hoplock doctor` tell of it. Only reads.
#pragma once
#include <cstdint>
#include <string_view>

#include "config/config.h"

namespace hoplock::daemon {

// How many messages wait in queue.db though `store` names another store, and nothing says that they were copied: nobody sends them. 0 where
// the file cannot be read.
std::uint64_t left_in_file(const config::Config& config);
inline constexpr std::string_view advice_for_left =
    "stop hoplockd, and give 'hoplock store copy --to URL' with a configuration that says 'store: sqlite'";

}  // namespace hoplock::daemon
