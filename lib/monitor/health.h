// SPDX-License-Identifier: Apache-2.0
// Is all well? What is wrong, as values: the same list turns /healthz red, stands on the status page and is a metric. What other
// people's servers do wrong is not our health. Pure.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/counters.h"
#include "monitor/daemon_status.h"
#include "monitor/survey.h"

namespace hoplock::monitor {

struct Problem {
  std::string_view name;  // one of problem_names
  std::string text;       // a sentence for people, of one line
};

inline constexpr std::array<std::string_view, 19> problem_names = {
    "dns",           // nobody answers on port 53: mail routed by MX waits
    "dnssec",        // our own validation does not work (DNS-04): mail routed by MX waits
    "store",         // the database cannot be written
    "damaged",       // stored messages whose checksum does not fit are held
    "disk-space",    // less than limits.min_free_space: new mail gets 452
    "listeners",     // an address is not listened on
    "connections",   // clients were refused for want of a place
    "descriptors",   // no further connection can be opened
    "policies",      // every fetch of an MTA-STS policy failed for an hour: is HTTPS blocked?
    "survey",        // the database cannot be read
    "certificates",  // one of our own has ended
    "log",           // the log's target takes no lines
    "recovery",      // results of deliveries wait to be stored, and nothing is sent meanwhile
    "replication",   // no synchronous standby, though store_synchronous asks for one: no mail is taken
    "lease",         // other nodes may take this one for dead: nothing is sent, no mail is taken
    "fenced",        // they did, and it is not registered again yet
    "clock",         // more than five seconds from the store's
    "schema",        // the store's tables are of a version that does not fit
    "nexthop",       // a host of our own routes has refused everything for five minutes
};

// Next hops of our own routes that have failed as a whole, the most mail first.
std::vector<const store::Wait*> failing_next_hops(const Survey& survey);
// The earliest time since when it is known to fail.
std::optional<Time> since(const store::Wait& wait);

// `survey` may be null: nothing is known of the database yet.
std::vector<Problem> problems(const DaemonStatus& status, const Survey* survey, Counters::Fetches fetches);

// "ok" or one "name: text" a line.
std::string to_text(const std::vector<Problem>& problems);
// {"status": "ok" | "failed", "problems": [{"problem", "text"}]}
std::string to_json(const std::vector<Problem>& problems);

}  // namespace hoplock::monitor
