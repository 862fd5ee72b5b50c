// SPDX-License-Identifier: Apache-2.0
// How much reports may weigh on those that they are sent to.
#pragma once
#include <cstdint>

#include "tlsrpt/record.h"
#include "tlsrpt/report.h"

namespace hoplock::store {

// How much a UTC day's reports may weigh on one mailbox, one mail domain or one https host (RPT-44): anybody may publish a record that
// names somebody else's, and hoplock is not to be used to flood them (RFC 8460 section 7).
struct ReportQuota {
  std::uint64_t reports_per_mailbox = 1'000;
  std::uint64_t reports_per_host = 10'000;  // a mail domain, or an https host
  std::uint64_t octets_per_host = std::uint64_t{256} << 20;
};

// One report to one destination on this day.
struct ReportLoad {
  tlsrpt::Day day{};  // on which it is sent
  tlsrpt::Destination to;
  std::uint64_t octets = 0;
};

}  // namespace hoplock::store
