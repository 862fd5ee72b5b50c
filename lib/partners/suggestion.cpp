// SPDX-License-Identifier: Apache-2.0
#include "partners/suggestion.h"

namespace hoplock::partners {

namespace {

std::string part_of(std::uint64_t some, std::uint64_t all, std::string_view what) {
  return std::to_string(some) + " of " + std::to_string(all) + " " + std::string(what);
}

}  // namespace

Suggestion suggest(const Record& record) {
  Suggestion to;
  if (!record.failures.empty()) {
    for (const auto& [reason, count] : record.failures)
      to.why += (to.why.empty() ? "" : ", ") + reason + " " + std::to_string(count);
    to.why = "attempts failed a rule: " + to.why;
    return to;
  }
  if (record.delivered == 0) {
    to.why = "nothing was delivered";
  } else if (record.clear > 0) {
    to.why = part_of(record.clear, record.delivered, "left in clear text");
  } else if (record.encrypted > 0) {
    to.level = hop::Mandate::encrypt;
    to.why = part_of(record.encrypted, record.delivered, "left encrypted, to a host that proved nothing");
  } else if (record.proved > 0) {
    to.level = hop::Mandate::verify;
    to.why = "all " + std::to_string(record.delivered) + " left to hosts that proved who they are, " +
             std::to_string(record.dane) + " by DANE";
  } else {
    to.level = hop::Mandate::dane;
    to.why = "all " + std::to_string(record.delivered) + " left under DANE";
  }
  return to;
}

}  // namespace hoplock::partners
