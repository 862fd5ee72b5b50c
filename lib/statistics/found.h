// SPDX-License-Identifier: Apache-2.0
// What is read of the statistics, as values.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "statistics/rows.h"

namespace hoplock::statistics {

// Of one domain, over all the days that were asked for.
using Partner = std::map<std::pair<Kind, std::string>, Sum>;  // by kind and what
using Partners = std::map<std::string, Partner>;  // by domain; "": what came beyond the domains that a day has rows for

struct Range {
  Day from{};
  Day to{};              // it included
  std::string domain{};  // "": all
};

struct Found {
  Partners partners;
  std::optional<Day> since;  // the first day of which anything is known, whatever the range
};

}  // namespace hoplock::statistics
