// SPDX-License-Identifier: Apache-2.0
// Where the ledger of TLS reports is kept. What is counted comes with the results that it tells of (MailStore::settle), the mark of a
// report with the mail that carries it (MailStore::commit). It asks no DNS, sends nothing, knows no clock. Errors as MailStore has them.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "store/admin.h"
#include "store/ledger.h"
#include "store/report_quota.h"
#include "tlsrpt/bounce.h"

namespace hoplock::store {

namespace asio = boost::asio;

struct LoadedReport {
  std::optional<ReportAccount> account;
  std::vector<ReportDestination> destinations;  // by rua
};
// What a round of sending came to.
struct ReportRound {
  ReportKey key;
  std::vector<ReportDestination> destinations;
  std::string error;
};
// Times for reports of days that are over: `send_at` and one of these delays behind their day's end, but not before `now`.
struct ReportPlan {
  Time now;
  Time latest;  // what would be due later was set by another clock: it is due now
  Milliseconds send_at{0};
  std::vector<Milliseconds> delays;
};
struct ReportsSentNow {
  std::size_t found = 0;
  std::size_t sending = 0;        // those that were not sent yet
  std::optional<ReportKey> last;  // of those found
};

class LedgerStore {
 public:
  LedgerStore() = default;
  LedgerStore(const LedgerStore&) = delete;
  LedgerStore& operator=(const LedgerStore&) = delete;
  virtual ~LedgerStore() = default;

  // Accounts that are due or built, their time come, the longest overdue first.
  virtual asio::awaitable<Result<DueReports>> due(Time now, std::size_t limit) = 0;
  virtual asio::awaitable<Result<LoadedReport>> load(ReportKey key) = 0;
  // Durable. Built once: with the first call counts and details are dropped, and every later call gives the same octets, whatever
  // `submitter` is by then. Nothing: no such account. With it, who is told.
  virtual asio::awaitable<Result<std::optional<BuiltReport>>> build(ReportKey key, tlsrpt::Submitter submitter,
                                                                    std::vector<ReportDestination> destinations) = 0;
  // Durable, as are the ends of a round.
  virtual asio::awaitable<Result<>> put_destination(ReportKey key, ReportDestination destination) = 0;
  virtual asio::awaitable<Result<>> postpone(ReportRound round, ReportPause pause) = 0;
  // A report that is called sent though every destination failed, its mails having come back meanwhile, is failed.
  // REQUIRES: `end` is sent, failed or skipped.
  virtual asio::awaitable<Result<>> finish(ReportRound round, ReportState end) = 0;
  // Counts it. Nothing is counted, and the answer is why, in one sentence, when that would be more than the quota.
  virtual asio::awaitable<Result<std::string>> take_quota(ReportLoad load, ReportQuota quota) = 0;
  // How many accounts got their time, which is fixed once (RPT-32): as many as there are delays, or there are no more.
  virtual asio::awaitable<Result<std::size_t>> plan(ReportPlan plan) = 0;
  // Some accounts of days before that one are forgotten, and quotas of days before `today`.
  virtual asio::awaitable<Result<More>> prune(tlsrpt::Day before, PruneReports which, tlsrpt::Day today) = 0;
  // Durable. For an operator: due now, whatever they wait for; one that failed or was skipped gets another 24 hours.
  virtual asio::awaitable<Result<ReportsSentNow>> send_now(ReportSelection which, Time now) = 0;
  // Durable. A notice that anybody may have written: it counts only with the id of the report that the mail carried, and only once.
  virtual asio::awaitable<Result<std::optional<ReturnedReport>>> take_bounce(Id mail, tlsrpt::Bounce bounce) = 0;
};

}  // namespace hoplock::store
