// SPDX-License-Identifier: Apache-2.0
// The TXT record that says "this domain has a policy" and names its current version: RFC 8461 section 3.1. Reads texts that a
// resolver found; asks nothing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hoplock::mtasts {

inline constexpr std::string_view record_label = "_mta-sts";  // the record stands at `_mta-sts.<policy domain>`

struct Record {
  std::string id;  // 1 to 32 letters and digits; compared as it is, case included
  bool operator==(const Record&) const = default;
};

// One record, its character-strings joined (STS-03, STS-05). Errors: anything that RFC 8461's grammar does not allow. Unknown
// fields are ignored, of several `id` the first counts.
Result<Record> parse_record(std::string_view text);

// What all TXT records at `_mta-sts.<domain>` together say.
struct Choice {
  enum class State : std::uint8_t {
    none,     // nothing that begins with the version field
    valid,    // exactly one such record, and it is good
    invalid,  // several such records, or a broken one: the domain has no available policy
  };
  State state = State::none;
  std::string id;   // for valid
  std::string why;  // for invalid, one sentence; for none also, when what was discarded looks like a mistake
  bool operator==(const Choice&) const = default;
};

// STS-04: records that do not begin with the version field are discarded; exactly one must remain.
Choice choose_record(const std::vector<std::string>& texts);

}  // namespace hoplock::mtasts
