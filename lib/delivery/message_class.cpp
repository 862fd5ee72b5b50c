// SPDX-License-Identifier: Apache-2.0
#include "delivery/message_class.h"

namespace hoplock::delivery {

MessageClass message_class_of(const store::Envelope& envelope, TlsRequiredNo honored) {
  if (envelope.kind == store::Kind::report) return MessageClass::report;
  if (envelope.requiretls) return MessageClass::requiretls;
  return envelope.tls_required_no && honored == TlsRequiredNo::honor ? MessageClass::tls_required_no
                                                                     : MessageClass::ordinary;
}

bool is_counted(MessageClass message_class) {
  return message_class == MessageClass::ordinary || message_class == MessageClass::requiretls;
}

hop::LocalRule rule_for(MessageClass message_class, const hop::LocalRule& rule, hop::HostFacts::Origin origin) {
  return message_class == MessageClass::report ? hop::for_report(rule, origin) : rule;
}

hop::TlsRequest asked(MessageClass message_class) {
  switch (message_class) {
    case MessageClass::requiretls:
      return hop::TlsRequest::require_tls;
    case MessageClass::tls_required_no:
      return hop::TlsRequest::tls_not_required;
    case MessageClass::ordinary:
    case MessageClass::report:
      break;
  }
  return hop::TlsRequest::nothing;
}

}  // namespace hoplock::delivery
