// SPDX-License-Identifier: Apache-2.0
// How much a UTC day's reports may weigh on one mailbox, one mail domain or one https host (RPT-44): anybody may publish a record that
// names somebody else's, and hoplock is not to be used to flood them (RFC 8460 section 7). Owns the table tlsrpt_quota. Its functions run
// inside disk jobs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "tlsrpt/record.h"
#include "tlsrpt/report.h"

namespace hoplock::reports {

std::vector<disk::Migration> quota_migrations();

struct Quota {
  std::uint64_t reports_per_mailbox = 1'000;
  std::uint64_t reports_per_host = 10'000;  // a mail domain, or an https host
  std::uint64_t octets_per_host = std::uint64_t{256} << 20;
};

// One report to one destination on this day.
struct Load {
  tlsrpt::Day day{};  // on which it is sent
  tlsrpt::Destination to;
  std::uint64_t octets = 0;
};

// Counts it. Nothing is counted, and the answer is why, in one sentence, when that would be more than the quota.
std::string take(disk::Tx& tx, const Load& load, const Quota& quota);
// Forgets days before this one.
void forget_quota(disk::Tx& tx, tlsrpt::Day before);

}  // namespace hoplock::reports
