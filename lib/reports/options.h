// SPDX-License-Identifier: Apache-2.0
// What the operator may set about sending TLS reports: `tls_rpt:` of the configuration, but for what is counted.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>

#include "base/time.h"
#include "queue/schedule.h"
#include "store/report_quota.h"
#include "tlsrpt/report.h"

namespace hoplock::reports {

struct SenderOptions {
  std::string from;  // of reports by mail, at the submitter's domain
  tlsrpt::Submitter submitter;
  Milliseconds send_at{std::chrono::minutes{30}};  // after midnight UTC
  Milliseconds spread{std::chrono::hours{4}};      // plus up to this, a time of its own for each domain (RPT-32)
  Milliseconds keep{std::chrono::days{30}};        // how long sent days stay readable, in whole days
  std::chrono::hours patience{24};                 // from a report's first attempt to its last (RPT-43)
  queue::Retry retry;
  store::ReportQuota quota;
  std::size_t at_once = 16;  // reports
};

}  // namespace hoplock::reports
