// SPDX-License-Identifier: Apache-2.0
// Days as the tables have them. For this module's own sources.
#pragma once
#include <chrono>
#include <cstdint>

namespace hoplock::store_sqlite {

inline std::int64_t number_of(std::chrono::sys_days day) { return day.time_since_epoch().count(); }
inline std::chrono::sys_days day_of_number(std::int64_t number) {
  return std::chrono::sys_days{std::chrono::days{number}};
}

}  // namespace hoplock::store_sqlite
