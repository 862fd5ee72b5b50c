// SPDX-License-Identifier: Apache-2.0
// The queue that several nodes share as the operator's tool and the status page read it: with the role that only reads, a page at a time, so
// that no snapshot is held open, with or without running daemons. Leases are known of the daemon that is asked; what another node has says
// its name.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "postgres/blocking.h"
#include "store/readers.h"

namespace hoplock::store_postgres {

using namespace store;

class PostgresMailReader final : public store::MailReader {
 public:
  explicit PostgresMailReader(postgres::BlockingConnection connection) : connection_(std::move(connection)) {}

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
  // Some ids of a list, and where the next ones begin.
  struct Page {
    std::vector<std::int64_t> ids;
    std::optional<std::int64_t> next;
  };
  Result<Page> page(const Filter& filter, std::int64_t after);
  Result<std::vector<MessageView>> messages(const std::vector<std::int64_t>& ids, const std::vector<Lease>& active);
  Result<> trace_all(const std::vector<std::int64_t>& ids, const std::function<Go(const Traced&)>& call);
  Result<std::vector<Id>> newest_of(const std::string& needle, std::size_t most);

  postgres::BlockingConnection connection_;
};

}  // namespace hoplock::store_postgres
