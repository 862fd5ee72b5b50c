// SPDX-License-Identifier: Apache-2.0
// How a message goes, as it was asked to (RFC 8689, RFC 8460): which plan is made for its hops, with which other mail it may share a
// session, whether its sessions are counted for TLS reports. Pure.
#pragma once
#include <cstdint>

#include "delivery/options.h"
#include "hop/requiretls.h"
#include "store/message.h"

namespace hoplock::delivery {

// Mail of different manners never shares a session: neither does what was proven for one hold for the other, nor is a session that no
// report counts to carry mail that reports tell of.
enum class Manner : std::uint8_t {
  ordinary,
  required,  // REQUIRETLS
  relaxed,   // `TLS-Required: No`
  report,    // carries a TLS report (RPT-38, RPT-39)
};

// RTLS-11: of two wishes that contradict each other the stricter one counts.
Manner manner_of(const store::Envelope& envelope, TlsRequiredNo honored);
// Whether its sessions are told of in TLS reports: not those that were told to do without a policy (RTLS-13, RPT-39).
bool is_counted(Manner manner);

hop::LocalRule rule_for(Manner manner, const hop::LocalRule& rule, hop::HostFacts::Origin origin);
hop::TlsRequest asked(Manner manner);

}  // namespace hoplock::delivery
