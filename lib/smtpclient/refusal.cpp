// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/refusal.h"

#include <string>
#include <string_view>

#include "base/utf8.h"

namespace hoplock::smtpclient {

hop::Refusal refusal_of(const smtp::Reply& reply) {
  // one of another class than the reply's is text to smtp::Reply, but its subject and detail say as much ("554 4.7.1 no")
  auto status = reply.status;
  if (!status) {
    const std::string line = to_one_line(reply.text, 100);
    status = smtp::EnhancedStatus::parse(std::string_view(line).substr(0, line.find(' ')));
  }
  hop::Refusal refusal{hop::Reason::smtp_reply, reply.one_line()};
  if (status) refusal.status = std::to_string(status->subject) + "." + std::to_string(status->detail);
  refusal.words = hop::Words::peer;
  return refusal;
}

}  // namespace hoplock::smtpclient
