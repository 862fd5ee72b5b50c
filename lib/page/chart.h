// SPDX-License-Identifier: Apache-2.0
// A picture of numbers over time: inline SVG with axes and units, the values of a moment under the pointer, and all of it as a table
// for who does not see it. Knows nothing of mail. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace hoplock::page {

struct Chart {
  // stacked: values upon each other; shares: likewise, as hundredths of their sum; lines: each on its own
  enum class Kind : std::uint8_t { stacked, shares, lines };
  enum class Unit : std::uint8_t { number, seconds };
  struct Row {
    std::string name;
    int color = 0;  // of the style sheet's, 1 to 5; 0: by its place
    std::vector<std::optional<double>>
        values;  // one each step; nothing: not known; what is below zero or no number counts so, too
  };
  Kind kind = Kind::stacked;
  Unit unit = Unit::number;
  std::string id;     // unique on the page, an ASCII word
  std::string title;  // "Messages a minute"
  Time first{};       // where the first step begins
  Milliseconds step{60'000};
  std::vector<Row> rows;  // at most five; a shorter one ends with what is not known
};

// A <figure>. However many steps there are, it draws at most 96 columns and tells 24 rows: the mean of those that it draws together
// (lines: the largest).
std::string to_svg(const Chart& chart);

}  // namespace hoplock::page
