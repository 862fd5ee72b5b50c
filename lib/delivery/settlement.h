// SPDX-License-Identifier: Apache-2.0
// How a lease ends, as one value that goes to the queue and, once it is stored, to log and metrics. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "delivery/attempt.h"
#include "delivery/describe.h"
#include "delivery/outcome.h"
#include "statistics/rows.h"
#include "store/message.h"
#include "store/results.h"

namespace hoplock::delivery {

struct Settlement {
  store::Settled settled;
  std::optional<store::DestinationChange> change;
  std::vector<store::Notice> notices;
  std::vector<Event> events;
  std::vector<counted::Value> metrics;  // what the events tell, counted
  store::LedgerCounts counts;
  statistics::Counts statistics;  // the same once more, for years
  // TLS reports that came to their end undelivered: the ledger is told, and the log says whose they were (RPT-47).
  struct ReturnedReport {
    store::Id id;
    std::string rua;
    std::string why;
  };
  std::vector<ReturnedReport> returned;
};

// REQUIRES: the attempt is concluded (outcome.h).
Settlement settlement_of(const Attempt& attempt, const Schedule& schedule);

// Nothing was done: due at once.
Settlement released(const store::Job& job);

// A bug may delay mail, never lose it: as after a failed attempt, with 4.3.0.
Settlement internal_error(const store::Job& job, Time now, const Schedule& schedule);

// The job waited behind its destination's hold until its time was over: the destination's own failure ends it (DANE-07, MX-11).
Settlement expired_on_hold(const store::Backoff& hold, const store::Job& job, const Schedule& schedule);

// It was not tried, for what it leaves from or whom it comes from is held off there: put off for as long, with that failure.
// `told_since`: who was told of something since then is deferred without a line, and without a row in the history.
Settlement deferred_on_hold(const store::Backoff& hold, Time told_since, const store::Job& job, Time now,
                            const Schedule& schedule);

// An operator ended it, for all recipients of the job: their senders are told as of any other failure.
Settlement bounced_by_operator(const std::string& operator_name, const store::Job& job, Time now,
                               const Schedule& schedule);

// The same wait, long enough for the senders to be told of it: the job goes back as it was.
Settlement delay_notice_on_hold(const store::Backoff& hold, const store::Job& job, const Schedule& schedule);

// The hold of a destination that was found down; `before`: the one that it follows, unless that ended long ago.
struct Holding {
  queue::Retry retry;
  double random = 0.5;  // in [0, 1)
  std::optional<store::Backoff> before;
  std::optional<Time> end;  // of the life of the message that found it so: tried then at the latest
};
store::Backoff backoff_after(const DestinationFailure& why, Time now, const Holding& holding);

}  // namespace hoplock::delivery
