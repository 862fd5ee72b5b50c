// SPDX-License-Identifier: Apache-2.0
// Rows of recipients with their messages, as jobs. For this module's mail_*.cpp.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "postgres/rows.h"
#include "store/message.h"
#include "store_postgres/mail_passing.h"

namespace hoplock::store_postgres {

// Of a recipient r, its message m, and chunk c where that is all of it. REQUIRES: rows in the order of messages.
inline constexpr std::string_view job_columns =
    "r.message, r.seq, r.address, r.domain, r.attempts, r.interval, r.last, r.orcpt, r.notify, r.reply,"
    " m.received, m.size, m.chunks, m.flags, m.sender, m.client, m.envid, c.sum, c.data";
inline constexpr int job_column_count = 19;

struct Jobs {
  std::vector<store::Job> jobs;
  std::vector<Id> damaged;  // whose bodies are: no jobs
  bool outdated = false;    // something was, and is left out
};
// Where the destination is empty, jobs have no body, and recipients their last reply.
Jobs read_jobs(const postgres::Rows& rows, const Passing::Look& look, const std::string& destination);

}  // namespace hoplock::store_postgres
