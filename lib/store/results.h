// SPDX-License-Identifier: Apache-2.0
// What comes back from delivery, to be stored in one transaction: ends of leases, changes of destinations, and the notices that tell of
// the ends.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "statistics/rows.h"
#include "store/ledger.h"
#include "store/message.h"

namespace hoplock::store {

// A notice as composed: what stands before and behind the message that it is about, and whether that goes between.
struct NoticeText {
  enum class Between : std::uint8_t { nothing, message };
  std::string head;
  std::string tail;
  Between between = Between::nothing;
  Body body = Body::seven_bit;
  // utf8: it is one in UTF-8, for hosts with SMTPUTF8
  enum class Octets : std::uint8_t { ascii, utf8 } octets = Octets::ascii;
};

// A message of our own about one that is queued, written in the transaction that settles what it tells of.
struct Notice {
  enum class Kind : std::uint8_t { end, delay };  // a delay is told once
  Id about;
  std::vector<std::uint32_t> seqs;  // it tells of these; no notice when an operator removed them all meanwhile
  Kind kind = Kind::end;
  std::string what;  // for the history: "failed"
  Envelope envelope;
  NewRecipient recipient;
  // Called on the disk thread, perhaps more than once, with the beginning of that message; touches nothing else.
  std::function<NoticeText(std::string_view beginning)> compose;
};

struct Results {
  Time now;
  std::vector<Notice> notices;  // come first
  std::vector<Settled> settled;
  std::vector<DestinationChange> destinations;
  // For the ledger: the sessions of these attempts, and reports whose mail came to its end undelivered.
  std::shared_ptr<const LedgerCounts> sessions;  // null: none
  std::vector<GivenUpReport> given_up;
  // For the statistics.
  std::shared_ptr<const statistics::Counts> deliveries;  // null: none
};

}  // namespace hoplock::store
