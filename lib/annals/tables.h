// SPDX-License-Identifier: Apache-2.0
// Numbers in the annals' tables. For this module's own sources.
#pragma once
#include "annals/rows.h"

namespace hoplock::annals {

inline std::int64_t number_of(Day day) { return day.time_since_epoch().count(); }
inline Day day_of_number(std::int64_t number) { return Day{std::chrono::days{number}}; }

}  // namespace hoplock::annals
