// SPDX-License-Identifier: Apache-2.0
// What of a partner is on disk in the same way whatever keeps it, and moves from one store to another as it is: the numbers of its rule and
// level. None ever changes its meaning (DUR-06).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "partners/entry.h"

namespace hoplock::store {

std::int64_t rule_number(partners::Rule rule);
std::int64_t level_number(hop::Mandate level);  // 0: none

// A row's columns.
struct StoredPartner {
  std::string_view domain;
  std::int64_t rule = 0;
  std::int64_t level = 0;
  std::optional<std::int64_t> until;  // days since 1970
  std::string_view note;
  std::string_view by;
  Time since{};
  bool told = false;
};
// Error bad_message: a row that is none of ours, so that nobody knows what was agreed on.
Result<partners::Entry> entry_of(const StoredPartner& row);

}  // namespace hoplock::store
