// SPDX-License-Identifier: Apache-2.0
// How a lease ends in tests: all its recipients alike.
#pragma once
#include <utility>

#include "store/message.h"
#include "store/results.h"

namespace hoplock::support {

inline store::Settled settled_all(const store::Job& job, store::Verdict verdict, Time due) {
  const bool delivered = verdict == store::Verdict::delivered;
  store::Settled settled;
  settled.id = job.id;
  settled.destination = job.destination;
  for (const store::Due& one : job.recipients) {
    store::RecipientResult result;
    result.seq = one.seq;
    result.verdict = verdict;
    result.due = due;
    result.interval = Seconds(300);
    result.status = delivered ? "2.0.0" : "4.4.1";
    result.reply = "the reply";
    result.reason = delivered ? "" : "connect-timeout";
    result.host = "mx." + job.destination;
    settled.recipients.push_back(std::move(result));
  }
  return settled;
}

}  // namespace hoplock::support
