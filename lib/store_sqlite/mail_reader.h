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
#include "store/looks.h"
#include "store/views.h"

namespace hoplock::store_sqlite {

using namespace store;

class MailReader {
 public:
  static Result<MailReader> open(const std::filesystem::path& database);

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

  // --- store/looks.h: bounded, whatever waits

  // Of these counts the first next hops, with what their domains wait for.
  Result<std::vector<Wait>> waits(const Stats& stats, std::size_t most);
  // Nothing: no mail waits for that domain. Counts to 100,000.
  Result<std::optional<DomainWait>> wait_of(const std::string& domain);
  Result<Recent> recent(const PartyQuery& query);
  // No event: nothing is known of the message.
  Result<Tail> tail(Id id, std::size_t most);

 private:
  explicit MailReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
