// SPDX-License-Identifier: Apache-2.0
// Where mail waits: by next hop and reason, each with its domains, why, since when, when it is tried again, whose it is to mend, and
// what to tell them. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "monitor/survey.h"
#include "store/looks.h"

namespace hoplock::page {

// Whose it is to mend.
enum class Side : std::uint8_t { nobody, theirs, ours };

struct Advice {
  Side side = Side::nobody;
  std::string why;      // a sentence for people
  std::string tell;     // what to tell the partner, to be sent as it is; ours: what to do
  std::string command;  // shows it anew
};
// `nexthop` as the queue names it. `trouble`: our own look-ups do not work, so that what fails for want of them is ours.
enum class Trouble : bool { none, look_ups };
Advice advice_for(const store::DomainWait& wait, std::string_view nexthop, Trouble trouble);
Advice advice_for(const store::Wait& wait, Trouble trouble);  // of its first domain, for all of them

// Tries again what waits there.
std::string retry_command(const store::Wait& wait);
// The failure on one line, in the words of log and queue: reason, host, reply, none of them twice. "": nothing failed yet.
std::string said_of(const store::DomainWait& wait);
// One domain's advice.
std::string to_html(const Advice& advice);
// The section of the status page.
std::string waiting_html(const monitor::Survey& survey, Trouble trouble, Time now);

}  // namespace hoplock::page
