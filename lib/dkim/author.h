// SPDX-License-Identifier: Apache-2.0
// Whose message it is: the domain of the From field (RFC 5322 section 3.6.2), by which the signing key is chosen (DKIM-08).
// Reads addresses only as far as that needs; accepts the obsolete forms that mail programs still write.
#pragma once
#include <optional>
#include <string_view>

#include "dns/name.h"

namespace hoplock::dkim {

// The one domain of all addresses of a From field's value, folded or not; nothing if there is none, if they differ, or if the
// value cannot be read.
std::optional<dns::Name> author_domain(std::string_view from);

}  // namespace hoplock::dkim
