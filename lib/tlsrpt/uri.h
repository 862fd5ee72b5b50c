// SPDX-License-Identifier: Apache-2.0
// The URIs of a rua list (RFC 3986; RFC 6068 for mailto), as far as reports can go there. For this module's own sources and tests.
#pragma once
#include <string_view>

#include "tlsrpt/record.h"

namespace hoplock::tlsrpt {

// Errors: one sentence, why reports cannot be sent there.
Result<Destination> parse_destination(std::string_view uri);

}  // namespace hoplock::tlsrpt
