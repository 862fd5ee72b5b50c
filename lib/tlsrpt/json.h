// SPDX-License-Identifier: Apache-2.0
// The report as JSON (RFC 8460 section 4.4; I-JSON, RFC 7493), and a reader as strict as the writer is exact.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "tlsrpt/report.h"

namespace hoplock::tlsrpt {

// Exactly the RFC's members, in its order; what is not known is left out. The same value gives the same octets. Text that is no
// Unicode becomes U+FFFD.
std::string to_json(const Report& report);

// Errors: anything that `to_json` does not write, but for white space and the order of members: unknown members, members that stand
// twice or are missing, empty strings, counts that are no whole numbers below 2^53, dates with an offset.
Result<Report> parse_report(std::string_view json);

}  // namespace hoplock::tlsrpt
