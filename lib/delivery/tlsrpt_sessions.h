// SPDX-License-Identifier: Apache-2.0
// Which sessions are counted for TLS reports, and when and for whom: RFC 8460 section 4, RPT-06, RPT-07, RPT-10, RPT-29. What a session
// counts for is tlsrpt::classify's; where counts are stored is the ledger's. Whether a domain wants reports is looked up while its
// mail is carried, so that nobody waits for it.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "base/log.h"
#include "hop/outcome.h"
#include "net/condition.h"
#include "net/task_group.h"
#include "route/router.h"
#include "store/ledger.h"
#include "tlsrpt/classify.h"

namespace hoplock::delivery {

// Whether a domain wants reports, as far as it is known.
struct ReportInterest {
  std::optional<bool> wanted;
  net::Condition known;
};
using ReportInterestPtr = std::shared_ptr<ReportInterest>;

// Look-ups that run on their own.
class ReportInterests {
 public:
  // REQUIRES: both outlive it and the loop's last run.
  ReportInterests(route::Router& router, boost::asio::any_io_executor executor, Log& log)
      : router_(router), tasks_(executor, log) {}
  ReportInterestPtr ask(const dns::Name& domain);

 private:
  static boost::asio::awaitable<void> find(route::Router& router, dns::Name domain, ReportInterestPtr interest);
  route::Router& router_;
  net::TaskGroup tasks_;
};

// The sessions of one attempt.
class SessionRecorder {
 public:
  // Null: nothing is counted. `except`: nor is what those domains would be told (RPT-45).
  SessionRecorder(ReportInterests* interests, std::vector<dns::Pattern> except)
      : interests_(interests), except_(std::move(except)) {}

  // A connection is coming: whoever is to be told of it is asked meanwhile.
  void expect(const hop::Facts& facts);
  // A new connection, once its TLS step ended; never a session that is used again, nor the second try in clear.
  struct Connection {
    tlsrpt::Question question;
    const hop::Connect& plan;
    const hop::Outcome& outcome;
    tlsrpt::Ends ends;
    Time began;  // the day it belongs to
  };
  void record(const Connection& connection);
  void record(const tlsrpt::Question& question, const hop::Refuse& refused, Time at);
  // What an MTA-STS policy refused does not count: it was replaced in the course of the attempt.
  void forget_sts_refusals();

  // Whether look-ups take longer than the mail; they are waited for, but only a moment. Does not throw: when the task is cancelled, it
  // ends at once.
  bool waits() const;
  boost::asio::awaitable<void> wait() const;
  // Those whose domains want reports. Where a look-up failed, or is not through yet, the domain is not known to publish a record, and
  // nothing is counted.
  store::LedgerCounts counts() const;

 private:
  struct Seen {
    store::ReportKey key;
    std::vector<tlsrpt::Sessions> session;
    bool refused = false;  // before connecting
  };
  void add(const hop::Facts& facts, Seen seen);
  bool is_told(const hop::Facts& facts) const;
  ReportInterests* interests_;
  std::vector<dns::Pattern> except_;
  std::map<dns::Name, ReportInterestPtr> asked_;
  std::vector<Seen> seen_;
};

}  // namespace hoplock::delivery
