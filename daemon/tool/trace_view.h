// SPDX-License-Identifier: Apache-2.0
// A message's history as the tool shows it, to programs and to people. Pure.
#pragma once
#include <string>
#include <string_view>

#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

// What a trace is asked of: it keeps the messages that are meant among those that an index by hashes found.
struct TraceSubject {
  std::string address;  // "" stands for the empty sender when `by` is address
  std::string domain;
  enum class By : std::uint8_t { id, address, domain } by = By::id;
};
bool is_about(const json::object& story, const TraceSubject& subject);

// `{id, from, to, received, size, client, state, events:[{time, event, …}]}`; `state`: that of the queue while it is there, else how it
// ended. `waiting`, which the caller adds: who still waits, as queue_view.h has it. `events` have the keys of the log.
json::object to_json(const store::Traced& traced, std::string_view state_in_queue);
// Of it the attempts at each recipient, in their order: `[{time, to, attempt, outcome, host, policy, tls, auth, cert, dsn, reply, reason}]`.
json::array attempts_of(const store::Traced& traced);
// The same as a story.
void print_story(const Console& console, const json::object& story);

}  // namespace hoplock::daemon::tool
