// SPDX-License-Identifier: Apache-2.0
// What the queue asks of the store for operators, for changed routes and clocks, and to know that all is well.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/actions.h"
#include "store/message.h"

namespace hoplock::store {

// What the last process left.
struct Recovered {
  std::int64_t last_id = 0;
  // This process gives out the ids that leave `slot` when divided by `slots`; others may give out the rest.
  std::int64_t slot = 0;
  std::int64_t slots = 1;
  std::optional<Time> seen;  // the clock, about
  bool rebasing = false;     // the last process did not come to the end of it
  std::vector<Id> drafts;    // some
};

// Work that is done a part at a time, each of which keeps nobody waiting.
enum class More : bool { no, yes };

// One batch of an operator's action.
struct AdminBatch {
  Action action = Action::retry;
  Selection selection;  // by domain: only recipients there
  std::vector<Id> ids;
  std::vector<Lease> leased;  // sorted
  Time now;
};
struct AdminResult {
  Affected affected;
  std::vector<std::string> destinations;  // where something is due now
  std::vector<Id> left;                   // as in Applied
};

// Where the next page of a selection begins; by sender and of all, `key` is the last message's id.
struct SelectionCursor {
  std::int64_t state = -1;
  std::int64_t due = 0;
  std::int64_t key = 0;
};
struct SelectionPage {
  std::vector<Id> ids;
  std::optional<SelectionCursor> next;  // nothing: that was the last one
};

// Where a domain's mail goes.
struct RoutedDomain {
  std::int64_t id = 0;
  dns::Name domain;
  std::string destination;
};

// How far a look at the rows that find mail came.
struct Inspection {
  enum class At : std::uint8_t { within, next, end } at = At::within;  // some rows; the next of them; all
  std::optional<Error> unread;  // something could not be read, and was passed over
};
// Bodies that were read and held against their checksums.
struct Verified {
  std::vector<Id> damaged;
  std::size_t octets = 0;
  bool end = false;
  std::optional<Error> unread;
};

}  // namespace hoplock::store
