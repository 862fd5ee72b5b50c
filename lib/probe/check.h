// SPDX-License-Identifier: Apache-2.0
// What a delivery to a domain would meet: the same look-ups, decisions and conversation as delivery's, up to the second EHLO
// (RFC 3207) and the login of a route, with every host and every address and never a MAIL. Reports; changes nothing, logs nothing.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/log.h"
#include "net/tls_client.h"
#include "probe/finding.h"
#include "resolver/resolver.h"
#include "route/router.h"
#include "smtpclient/client.h"

namespace hoplock::probe {

struct Tools {
  resolver::Resolver& resolver;
  route::Router& router;  // without a cache of policies: the policy is looked for here
  route::PolicyFetch& fetch;
  Log& log;  // for `internal-error` alone
  std::shared_ptr<const net::ClientTls> tls;
  smtpclient::Options options;  // hostname, source addresses and time-outs
};

// published: by what the domain publishes, as if `security.mta_sts` were `enforce`; configured: by the operator's own rules, so that
// nothing is looked up which they leave aside.
enum class Judging : std::uint8_t { published, configured };

struct Question {
  dns::Name domain;
  Connecting connecting = Connecting::yes;
  std::optional<store::PolicyRow> kept;  // the domain's MTA-STS policy in the daemon's cache
  Time now;                              // for which a kept policy is or is not in force
  Judging judging = Judging::published;
};

// At most 16 look-ups or conversations at a time. REQUIRES: what `tools` refers to outlives it.
boost::asio::awaitable<Finding> check(Tools tools, Question question);

}  // namespace hoplock::probe
