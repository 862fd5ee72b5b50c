// SPDX-License-Identifier: Apache-2.0
// The queue as the operator's tool reads it: straight from the database file, with or without a running daemon, in
// short reads that never keep the daemon from writing. Leases are the daemon's: give it the list of active recipients,
// or none.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "disk/db.h"
#include "queue/actions.h"
#include "queue/message.h"

namespace hoplock::queue {

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
  // What its next hop as a whole waits for, where that decides `next`: the last failure there. Empty: nothing of the kind.
  struct Hop {
    std::string status, reply, reason, host;
  } hop;
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

struct Wait;  // looks.h
struct DomainWait;
struct PartyQuery;
struct Recent;
struct Tail;

class Reader {
 public:
  static Result<Reader> open(const std::filesystem::path& database);

  // Oldest first, one call a message.
  Result<> list(const Filter& filter, const std::function<Go(const MessageView&)>& call);
  Result<std::optional<MessageView>> show(Id id, const std::vector<Lease>& active);
  // Messages whose id begins so, in the queue or its history, at most `most` of them.
  Result<std::vector<Id>> beginning_with(std::string_view prefix, std::size_t most);
  // Chunk by chunk, checksums verified.
  Result<> body(Id id, const std::function<Go(std::string_view)>& call);
  // Oldest first, one call a message.
  Result<> trace(const TraceQuery& query, const std::function<Go(const Traced&)>& call);
  // What happened to messages that were accepted since then, the latest message first, one call an event's text; in short reads.
  Result<> history(Time since, const std::function<Go(Time accepted, std::string_view text)>& call);
  Result<Stats> stats(const std::vector<Lease>& active);
  // Messages that are held because their body proved damaged, oldest first.
  Result<std::vector<Id>> damaged(std::size_t most);

  // --- looks.h: bounded, whatever waits

  // Of these counts the first next hops, with what their domains wait for.
  Result<std::vector<Wait>> waits(const Stats& stats, std::size_t most);
  // Nothing: no mail waits for that domain. Counts to 100,000.
  Result<std::optional<DomainWait>> wait_of(const std::string& domain);
  Result<Recent> recent(const PartyQuery& query);
  // No event: nothing is known of the message.
  Result<Tail> tail(Id id, std::size_t most);

 private:
  explicit Reader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::queue
