// SPDX-License-Identifier: Apache-2.0
// The DKIM-Signature field as text (RFC 6376 section 3.5), folded. For this module's own sources and tests.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "dkim/signer.h"

namespace hoplock::dkim {

// Without b= filled in and without its final CRLF: what is hashed after it was canonicalised. Lines have at most 78 columns, as far
// as no name in it is longer.
std::string unsigned_field(const Identity& identity, const std::vector<std::string>& names, std::string_view body_hash,
                           Time now);
// The same with its signature, and the CRLF.
std::string with_signature(std::string unsigned_field, std::string_view signature);

}  // namespace hoplock::dkim
