// SPDX-License-Identifier: Apache-2.0
// Whether a domain wants to be told about TLS: the look-up at `_smtp._tls.<domain>` (RFC 8460 section 3). Asks; keeps nothing.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "route/gather.h"

namespace hoplock::route {

struct ReportingEntry {
  bool wanted = false;  // RPT-06: exactly one record, and it is valid
  std::chrono::seconds keep{0};
};
using ReportingPtr = std::shared_ptr<const ReportingEntry>;

// A look-up that fails, or whose answer is bogus, shows no record: nothing is wanted, until it is asked again a minute later.
boost::asio::awaitable<ReportingPtr> gather_reporting(resolver::Resolver& resolver, SettingsPtr settings,
                                                      dns::Name domain);

}  // namespace hoplock::route
