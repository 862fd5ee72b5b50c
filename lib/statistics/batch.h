// SPDX-License-Identifier: Apache-2.0
// What one transaction counted of a day, as octets: so that deliveries cost one row a transaction and not one for everything that is
// counted of them. Rows are made of many batches at once, later (store.h). A format of the store: of each row whether its domain is
// that of the row before (the high bit of the kind's octet), else the domain; what; five numbers. Texts have their length before
// them, numbers are seven bits an octet, the lowest first, the high bit: there is more. Pure.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "statistics/rows.h"

namespace hoplock::statistics {

std::map<Day, std::string> packed(const Counts& counts);

struct Unpacked {
  std::string_view domain;
  Kind kind = Kind::delivered;  // or one of a later version
  std::string_view what;
  Sum sum;
};
// In the order of packed(). What lies behind damage is not told.
void unpack(std::string_view octets, Day day, const std::function<void(const Unpacked&)>& call);

}  // namespace hoplock::statistics
