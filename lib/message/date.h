// SPDX-License-Identifier: Apache-2.0
// The date-time of RFC 5322 section 3.3, always in UTC.
#pragma once
#include <string>

#include "base/time.h"

namespace hoplock::message {

// "Sat, 21 Nov 2026 19:14:09 +0000"
std::string to_rfc5322(Time time);

}  // namespace hoplock::message
