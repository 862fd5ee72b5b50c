// SPDX-License-Identifier: Apache-2.0
// The seam to DNS: one question, one answer of facts. The daemon uses Unbound (unbound.h: libunbound in the process,
// validating); tests may use a fake made of maps. No implementation believes another resolver's AD bit or reads
// /etc/resolv.conf (DNS-03).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "dns/answer.h"

namespace hoplock::resolver {

class Resolver {
 public:
  virtual ~Resolver() = default;

  // Never throws for what DNS does: a time-out is an Answer with status failed and a `why`. Aliases are followed, at
  // most 12 (DNS-13).
  virtual boost::asio::awaitable<dns::Answer> find(dns::Name name, dns::Type type) = 0;

  // Why answers of this resolver cannot be trusted to be validated now (DNS-04), or nothing. While it says something,
  // no MX-routed mail may leave.
  virtual std::optional<std::string> validation_failure() const = 0;
};

}  // namespace hoplock::resolver
