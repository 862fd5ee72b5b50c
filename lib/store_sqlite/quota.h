// SPDX-License-Identifier: Apache-2.0
// How much a UTC day's reports may weigh on one destination (store::ReportQuota), in the table tlsrpt_quota. Functions inside a disk job.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "store/report_quota.h"

namespace hoplock::store_sqlite {

using namespace store;

std::vector<disk::Migration> quota_migrations();

// Counts it. Nothing is counted, and the answer is why, in one sentence, when that would be more than the quota.
std::string take_quota(disk::Tx& tx, const ReportLoad& load, const ReportQuota& quota);
// Forgets days before this one.
void forget_quota(disk::Tx& tx, tlsrpt::Day before);

}  // namespace hoplock::store_sqlite
