// SPDX-License-Identifier: Apache-2.0
#include "delivery/manner.h"

namespace hoplock::delivery {

Manner manner_of(const store::Envelope& envelope, TlsRequiredNo honored) {
  if (envelope.kind == store::Kind::report) return Manner::report;
  if (envelope.requiretls) return Manner::required;
  return envelope.tls_required_no && honored == TlsRequiredNo::honor ? Manner::relaxed : Manner::ordinary;
}

bool is_counted(Manner manner) { return manner == Manner::ordinary || manner == Manner::required; }

hop::LocalRule rule_for(Manner manner, const hop::LocalRule& rule, hop::HostFacts::Origin origin) {
  return manner == Manner::report ? hop::for_report(rule, origin) : rule;
}

hop::TlsRequest asked(Manner manner) {
  switch (manner) {
    case Manner::required:
      return hop::TlsRequest::require_tls;
    case Manner::relaxed:
      return hop::TlsRequest::tls_not_required;
    case Manner::ordinary:
    case Manner::report:
      break;
  }
  return hop::TlsRequest::nothing;
}

}  // namespace hoplock::delivery
