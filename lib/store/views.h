// SPDX-License-Identifier: Apache-2.0
// What readers tell of the store: messages with their recipients, counts of what waits, the history of messages.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/actions.h"
#include "store/message.h"

namespace hoplock::store {

struct RecipientView {
  std::uint32_t seq = 0;
  std::string address;
  std::string domain;
  std::string destination;
  State state = State::queued;
  bool active = false;
  std::uint32_t attempts = 0;
  std::optional<Time> next;  // of queued and deferred ones: the later of its own time and its destination's hold
  std::optional<Time> last;
  std::string status, reply, reason, host;
  std::string node;  // that has it, where several share the queue; "": none, or there is only one
  // What its next hop as a whole waits for, where that decides `next`: the last failure there. Empty: nothing of the kind.
  struct Hop {
    std::string status, reply, reason, host;
  } hop;
  // CONTRACT's: "active" while it is under way, else that of its state.
  std::string_view word() const;
};

struct MessageView {
  Id id;
  Envelope envelope;
  Time received;
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;
  std::vector<RecipientView> recipients;
  // CONTRACT: that of the most alive recipient: "active", "queued", "deferred", "held", then the ended ones.
  std::string_view state() const;
};

struct Filter {
  std::optional<dns::Name> domain;
  std::optional<std::string> sender;
  std::string state;          // a word of CONTRACT, "" for any
  std::vector<Lease> active;  // sorted
};

struct Stats {
  struct Count {
    std::uint64_t count = 0;  // recipients
    std::optional<Time> oldest;
  };
  struct State {
    std::string state;
    Count count;
  };
  struct Domain {
    std::string domain;
    Count count;         // that wait or are held
    std::string reason;  // of the destination's hold, or of its oldest deferred recipient
    std::string nexthop;
  };
  struct NextHop {
    std::string name;
    std::string reason;  // of its domains' mail; "" where nothing failed yet
    Count count;
  };
  std::uint64_t messages = 0;
  std::optional<Time> oldest;
  std::vector<State> states;    // those that occur
  std::vector<Domain> domains;  // most first
  std::vector<NextHop> hops;    // by next hop and reason, most first
  struct Reason {
    std::string reason;
    Count count;  // that wait where this is the domain's reason
  };
  std::vector<Reason> reasons;  // most first
};

// One of id, address and domain; the last two match senders and recipients alike, and may match a few messages too many.
struct TraceQuery {
  std::optional<Id> id;
  std::string address;
  std::string domain;
  std::optional<Time> since;  // accepted then or later
};
struct Traced {
  struct Entry {
    Time at;
    std::string text;  // JSON objects, one a line
  };
  Id id;
  std::vector<Entry> events;
};

enum class Go : std::uint8_t { on, stop };

}  // namespace hoplock::store
