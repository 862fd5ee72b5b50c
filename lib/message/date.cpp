// SPDX-License-Identifier: Apache-2.0
#include "message/date.h"

#include <array>
#include <cstdio>

namespace hoplock::message {

std::string to_rfc5322(Time time) {
  constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::array<char, 80> out{};
  const int length =
      std::snprintf(out.data(), out.size(), "%s, %02u %s %04d %02d:%02d:%02d +0000",
                    days[std::chrono::weekday{day}.c_encoding()], unsigned{date.day()},
                    months[unsigned{date.month()} - 1], int{date.year()}, static_cast<int>(clock.hours().count()),
                    static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return {out.data(), static_cast<std::size_t>(length)};
}

}  // namespace hoplock::message
