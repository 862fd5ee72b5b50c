// SPDX-License-Identifier: Apache-2.0
// The report as JSON (RFC 8460 section 4.4; I-JSON, RFC 7493).
#pragma once
#include <string>

#include "tlsrpt/report.h"

namespace hoplock::tlsrpt {

// Exactly the RFC's members, in its order; what is not known is left out. The same value gives the same octets. Text that is no
// Unicode becomes U+FFFD.
std::string to_json(const Report& report);

}  // namespace hoplock::tlsrpt
