// SPDX-License-Identifier: Apache-2.0
// What a message itself asks of every hop (RFC 8689): REQUIRETLS, which no rule of the operator's or of the domain's can loosen, or
// `TLS-Required: No`, which waives what the domain published, and nothing that the operator demands.
#pragma once
#include "hop/plan.h"

namespace hoplock::hop {

enum class TlsRequest : std::uint8_t { nothing, require_tls, tls_not_required };

// As `decide`, for a message that asks.
//
// require_tls: the plan satisfies the rules, the watched ones too, and RTLS-04 to RTLS-07 (Connect::required); its word is
// `requiretls`. Refused for good, with Reason::requiretls_not_supported: a host whose name nobody vouches for, an address without a
// name, a route that forbids TLS. A policy that may be there and could not be had refuses for now, with its own reason.
//
// tls_not_required: neither DANE nor MTA-STS is enforced; where one of them would have bound, the plan is opportunistic and
// `waived` says tls_required_no. A mandate stands: under `encrypt` clear text is out, under `verify` and `dane` nothing is waived. Data of a bogus answer is not used for such mail either.
Plan decide(const Facts& facts, const LocalRule& rule, TlsRequest request);

}  // namespace hoplock::hop
