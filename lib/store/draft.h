// SPDX-License-Identifier: Apache-2.0
// What goes into the store, with the places that the queue found for it, and what the store answers.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/actions.h"
#include "store/ledger.h"
#include "store/message.h"
#include "store/results.h"

namespace hoplock::store {

// A message that is about to be committed.
struct Draft {
  Id id;
  Time received;
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;               // with the last one
  std::optional<std::string> last_chunk;  // what has not streamed ahead
  bool streamed = false;                  // earlier chunks are stored already
  Envelope envelope;
  std::vector<NewRecipient> recipients;
  std::vector<std::string> destinations;  // of the recipients, one each
  std::optional<ReportMark> mark;         // of the report that this is the mail of
};

// What a commit learnt of one destination.
struct Enqueued {
  std::string destination;
  bool alone = false;  // nothing else waits there
  std::optional<Backoff> backoff;
  bool kept = true;  // the recipients there are leased to this process; else they wait for lease(), whoever asks
};

struct RoutedNotice {
  Notice notice;
  Id id;
  std::string destination;
};
struct EnqueuedNotice {
  std::shared_ptr<Draft> draft;
  std::vector<Enqueued> enqueued;
};

// Results, their notices routed. `unnamed`: for each of results.settled, the recipients of the lease that it does not name.
struct RoutedResults {
  Results results;
  std::vector<RoutedNotice> notices;
  std::vector<std::vector<std::uint32_t>> unnamed;
};
struct Applied {
  std::vector<EnqueuedNotice> notices;
  std::vector<std::optional<ReturnedReport>>
      given_up;             // of results.given_up, in its order; nothing: no such mail is known
  std::vector<Id> left;     // of messages that went, what could not go with them: to be discarded
  std::vector<Lease> lost;  // another process had taken these over: it sends, or sent, them again
};

}  // namespace hoplock::store
