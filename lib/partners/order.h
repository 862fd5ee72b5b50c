// SPDX-License-Identifier: Apache-2.0
// What an operator orders about partners, and what came of it. Values only.
#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "partners/entry.h"

namespace hoplock::partners {

inline constexpr std::size_t most_orders = 200'000;  // carried out as one

// put: in place of what there is of that rule of the domain. remove: all entries of the domain, or only that exception.
struct Order {
  enum class What : std::uint8_t { put, remove };
  What what = What::put;
  Entry entry;               // of a removal only its domain, and as its note why
  std::optional<Rule> only;  // of a removal: dane or mta_sts
};

struct Done {
  std::size_t changed = 0;
  std::size_t unchanged = 0;  // stood there like that already
  std::optional<Day> until;   // of the last one that was put
  std::string refused;        // why nothing was changed; "": it is stored
  std::string before{};       // of the last one that was put: what counted in its place, as why() has it; "": nothing
};

}  // namespace hoplock::partners
