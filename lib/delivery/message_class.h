// SPDX-License-Identifier: Apache-2.0
// How a message goes, as it was asked to (RFC 8689, RFC 8460): which plan is made for its hops, with which other mail it may share a
// session, whether its sessions are counted for TLS reports. Pure.
#pragma once
#include <cstdint>

#include "delivery/options.h"
#include "hop/requiretls.h"
#include "store/message.h"

namespace hoplock::delivery {

// Mail of different classes never shares a session: neither does what was proven for one hold for the other, nor is a session that no
// report counts to carry mail that reports tell of.
enum class MessageClass : std::uint8_t {
  ordinary,
  requiretls,
  tls_required_no,
  report,  // carries a TLS report (RPT-38, RPT-39)
};

// RTLS-11: of two wishes that contradict each other the stricter one counts.
MessageClass message_class_of(const store::Envelope& envelope, TlsRequiredNo honored);
// Whether its sessions are told of in TLS reports: not those that were told to do without a policy (RTLS-13, RPT-39).
bool is_counted(MessageClass message_class);

hop::LocalRule rule_for(MessageClass message_class, const hop::LocalRule& rule, hop::HostFacts::Origin origin);
hop::TlsRequest asked(MessageClass message_class);

}  // namespace hoplock::delivery
