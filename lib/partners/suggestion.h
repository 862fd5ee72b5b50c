// SPDX-License-Identifier: Apache-2.0
// What could be required of a domain today, by how its mail went: figures in, an answer out. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "hop/facts.h"

namespace hoplock::partners {

// Of one domain, in recipients.
struct Record {
  std::uint64_t delivered = 0;
  std::uint64_t dane = 0;    // of these, over a hop that DANE proved, from a signed domain on
  std::uint64_t proved = 0;  // otherwise: by MTA-STS, by a verified certificate, or by DANE behind unsigned MX records
  std::uint64_t encrypted = 0;  // under TLS, and nobody proved who it was
  std::uint64_t clear = 0;
  std::map<std::string, std::uint64_t> failures;  // attempts that a rule refused or only let pass, by reason
};

struct Suggestion {
  hop::Mandate level = hop::Mandate::none;  // the most that all of the mail would have met
  std::string why;                          // one sentence
};
Suggestion suggest(const Record& record);

}  // namespace hoplock::partners
