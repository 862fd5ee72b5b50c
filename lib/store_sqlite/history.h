// SPDX-License-Identifier: Apache-2.0
// What happened to each message, one row an event, kept for a while after it left the queue: accepted, each attempt, what operators
// did, which notices were made. A row's text is one or more JSON objects, one a line, as those wrote them that know what happened;
// nothing here reads them. Written in the transaction of the event itself.
//
// The rows of a message lie together under its id (history.id = message.id << 15 | n). Who sent and who received is found through
// `party`, whose key is two hashes: of the domain, and below it of the local part. So one row serves the look-up by address and the
// one by domain; it may point to a message too many, never to one too few.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/job.h"
#include "store/admin.h"
#include "store/draft.h"
#include "store/history.h"
#include "store/stored.h"

namespace hoplock::store_sqlite {

using namespace store;

// --- on the disk thread, inside jobs

void record_accepted(disk::Tx& tx, const Draft& draft);
// Accepted as any message, and told in the history of the message it is about.
void record_notice(disk::Tx& tx, const RoutedNotice& placed, const Draft& draft);
void record_act(disk::Tx& tx, const AdminBatch& act, const AdminResult& result);
// Behind what is known of the message. At most 32,000 events are kept of one.
void record(disk::Tx& tx, Id id, Time at, std::string_view text);

// Forgets messages that left the queue before `before` and have had no event since, one slice of it: its cost is that of what is
// forgotten, for a message's own first event tells under which keys `party` has it. Where to go on, or nothing at the end,
// where a slice of `party` is looked through for rows that lead nowhere all the same, each time at another place.
std::optional<PruneFrom> prune_history(disk::Tx& tx, Time before, const PruneFrom& from);

}  // namespace hoplock::store_sqlite
