// SPDX-License-Identifier: Apache-2.0
// TLSA records for certificates at hand (RFC 6698 section 2.1, RFC 7672 section 3.1).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "dns/records.h"

namespace hoplock::probe {

// Usage 2 or 3: PKIX-TA(0) and PKIX-EE(1) are of no use for SMTP. Selector 0 or 1, matching 0 to 2.
struct Parameters {
  std::uint8_t usage = 3;
  std::uint8_t selector = 1;
  std::uint8_t matching = 1;
};

// The certificates of a PEM file, in order, or the one of a DER file; what else the file holds (a key) is passed over. DER each.
Result<std::vector<std::string>> parse_certificates(std::string_view file);

// Usage 3: for the first certificate. Usage 2: for the first after it, which issued it, or the only one there is.
// The chosen certificate must be a CA for usage 2. REQUIRES: `chain` is not empty.
Result<dns::Tlsa> record_for(const std::vector<std::string>& chain, Parameters parameters);

// The first DNS name that the certificate carries and that is no wildcard.
std::optional<dns::Name> first_name(const std::string& der);

// Whose it is, for people: the first DNS name, else the common name or the organization; "" where it has none of them.
std::string subject_of(const std::string& der);

// Until when it is valid; nothing: it cannot be read.
std::optional<Time> not_after(const std::string& der);

}  // namespace hoplock::probe
