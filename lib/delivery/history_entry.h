// SPDX-License-Identifier: Apache-2.0
// An attempt as the history keeps it: one JSON object a line, with recipients who fared alike on one line. Made from the values that the
// log's lines are made from, under keys of its own: they are on disk, and `hoplock trace` reads them.
#pragma once
#include <string>
#include <vector>

#include "delivery/attempt.h"
#include "delivery/lines.h"

namespace hoplock::delivery {

// Without what the history knows of the message anyway: id, sender and, but for `to` of a group, the recipients.
std::string to_history(const HopLine& line);
// What was said at each host that took no mail, or not for all.
std::vector<std::string> transcripts(const Attempt& attempt);

// Its hops and what was said there, then its recipients.
std::string history_entry(const Attempt& attempt, const std::vector<RecipientLine>& recipients);
// Of recipients that ended without an attempt.
std::string history_entry(const std::vector<RecipientLine>& recipients);

}  // namespace hoplock::delivery
