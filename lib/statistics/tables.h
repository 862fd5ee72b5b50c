// SPDX-License-Identifier: Apache-2.0
// Numbers in the statistics' tables. For this module's own sources.
#pragma once
#include "statistics/rows.h"

namespace hoplock::statistics {

inline std::int64_t number_of(Day day) { return day.time_since_epoch().count(); }
inline Day day_of_number(std::int64_t number) { return Day{std::chrono::days{number}}; }

}  // namespace hoplock::statistics
