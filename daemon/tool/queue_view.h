// SPDX-License-Identifier: Apache-2.0
// A queued message as the tool shows it, to programs and to people. Pure.
#pragma once
#include <vector>

#include "daemon/tool/json.h"
#include "queue/in_line.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

// `{id, from, received, size, state, recipients:[…]}` of CONTRACT, and what else is known.
json::object to_json(const store::MessageView& message);
// Its attempts: those of `kept` (trace_view.h); where its history is not kept, of every recipient the last one, which the queue knows.
json::array history(const store::MessageView& message, json::array kept);
// `[{to, state, next, nexthop, why}]` of those that are not ended and not under way.
json::array waiting_of(const store::MessageView& message);
// `{total, oldest, states:{S:{count, oldest}}, domains:[{domain, count, oldest, reason}]}`, and `nexthops` and `reasons`
json::object to_json(const store::Stats& stats);

// Whose mail is due and waits for a session has that for its reason. REQUIRES: `waiting` is in the order of destinations.
store::MessageView in_line(store::MessageView message, const std::vector<queue::InLine>& waiting, Time now);

// The recipient's state in CONTRACT's words.
std::string_view state_of(const store::RecipientView& recipient);
// Why it waits or ended, on one line: "tlsa-invalid: 450 4.7.323 …"
std::string why(const store::RecipientView& recipient);

}  // namespace hoplock::daemon::tool
