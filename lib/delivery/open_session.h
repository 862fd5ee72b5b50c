// SPDX-License-Identifier: Apache-2.0
// A session that stays open between jobs of one destination, or of its site. It may carry another one only when the plan for that host is
// the same as when it was opened (TLS-08), for another destination by hop::may_carry.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "delivery/attempt.h"
#include "delivery/message_class.h"
#include "delivery/source.h"
#include "smtpclient/client.h"

namespace hoplock::delivery {

struct OpenSession {
  std::unique_ptr<smtpclient::Client> client;
  std::string host;  // of the route: name and port
  Ip ip;
  hop::Connect plan;
  route::RoutePtr route;  // whose credentials it was opened with
  MessageClass message_class = MessageClass::ordinary;
  Source source = {};
  std::shared_ptr<const net::ClientTls> tls = nullptr;  // the settings that it was opened under
  Hop hop;                                              // as judged when it was opened
  std::optional<Hop> before;     // in clear, since TLS failed: what failed, told for each message that it carries
  std::string destination = {};  // whose mail it was opened for
  std::shared_ptr<void> place = nullptr;  // among the host's sessions
};

}  // namespace hoplock::delivery
