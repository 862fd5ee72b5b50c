// SPDX-License-Identifier: Apache-2.0
// What the status page reads of the queue: where mail waits, and the newest messages of a domain or an address. Every read is bounded,
// however much is queued: it looks at the front of an index or at so many rows, and says where it stopped.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/views.h"

namespace hoplock::store {

// What waits for one domain, and why.
struct DomainWait {
  std::string domain;
  Stats::Count count;                       // recipients, held ones among them
  std::string status, reply, reason, host;  // of the failure that it waits for; all empty: nothing failed yet
  std::optional<Time> last;                 // attempt
  std::optional<Time> next;                 // attempt; nothing: all of it is held
  std::uint32_t attempts =
      0;                    // of the recipient that waits in front, or of the next hop where that has failed as a whole
  std::optional<Id> tried;  // the oldest message that was tried in vain
  std::optional<Time> since;  // since when it fails so; for who reads that message's history
};

// One next hop and reason.
struct Wait {
  std::string nexthop;  // as queued: a domain, or "route:" and hosts
  std::string reason;   // as Stats::NextHop has it
  Stats::Count count;
  enum class Extent : std::uint8_t {
    part,
    whole
  } extent = Extent::part;  // whole: the next hop failed, so that all of its mail waits
  std::size_t domains = 0;
  std::vector<DomainWait> shown;  // of them, most first; at most most_domains

  static constexpr std::size_t most_domains = 10;
};

// Which messages: of an address, or else of a domain.
struct PartyQuery {
  std::string address;
  std::string domain;
  std::size_t most = 200;
};
struct Recent {
  std::vector<Id> ids;  // newest first; a few may be of somebody else (history.h)
  enum class Extent : std::uint8_t { all, part } extent = Extent::all;  // part: there are more, or there may be
};

// The first event of a message, and the newest of the others.
struct Tail {
  Traced traced;
  std::uint64_t left_out = 0;  // events between the first and the others
};

}  // namespace hoplock::store
