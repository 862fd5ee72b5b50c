// SPDX-License-Identifier: Apache-2.0
// Entries as a file that people edit and spreadsheets read: CSV (RFC 4180) with the columns domain,level,exceptions,until,note. A line may
// set a mandate (`level`), exceptions (`dane`, `mta-sts`, or both with a blank between), or both; `until` and `note` are of all of them.
// What is written reads back as the same entries. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "partners/entry.h"

namespace hoplock::partners {

struct Imported {
  std::size_t line = 0;
  Entry entry;
};

std::string csv_head();
// With the line's end.
std::string to_csv(const Entry& entry);
// All of it, or what is wrong with the first line that is: "12: 'foo' is no level; allowed: …".
Result<std::vector<Imported>> parse_csv(std::string_view text, Time now);

}  // namespace hoplock::partners
