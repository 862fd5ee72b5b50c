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
#include "store/readers.h"

namespace hoplock::store_sqlite {

using namespace store;

class SqliteMailReader final : public store::MailReader {
 public:
  static Result<SqliteMailReader> open(const std::filesystem::path& database);

  Result<> list(const Filter& filter, const std::function<Go(const MessageView&)>& call) override;
  Result<std::optional<MessageView>> show(Id id, const std::vector<Lease>& active) override;
  Result<std::vector<Id>> beginning_with(std::string_view prefix, std::size_t most) override;
  Result<> body(Id id, const std::function<Go(std::string_view)>& call) override;
  Result<> trace(const TraceQuery& query, const std::function<Go(const Traced&)>& call) override;
  Result<> history(Time since, const std::function<Go(Time accepted, std::string_view text)>& call) override;
  Result<Stats> stats(const std::vector<Lease>& active) override;
  Result<std::vector<Id>> damaged(std::size_t most) override;

  Result<std::vector<Wait>> waits(const Stats& stats, std::size_t most) override;
  Result<std::optional<DomainWait>> wait_of(const std::string& domain) override;
  Result<Recent> recent(const PartyQuery& query) override;
  Result<Tail> tail(Id id, std::size_t most) override;

 private:
  explicit SqliteMailReader(disk::Database db) : db_(std::move(db)) {}
  disk::Database db_;
};

}  // namespace hoplock::store_sqlite
