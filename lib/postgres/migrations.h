// SPDX-License-Identifier: Apache-2.0
// The shape of the database over time, as disk/migrations.h has it for a file. Modules own their tables and export migrations; whoever
// builds the daemon lists them in the order in which they came to be, and hoplock_meta.version counts how many of the list the database
// has had. Only forward, under the lock of its row: of several nodes that start at once one migrates, the others find it done.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "postgres/blocking.h"

namespace hoplock::postgres {

namespace asio = boost::asio;
class Connection;

struct Migration {
  std::string_view name;                     // "mail: first tables"
  std::vector<std::string_view> statements;  // one each; static storage
  // The oldest version of this list whose programs go on working with the database afterwards: nodes are upgraded one at a time.
  int readable_from = 1;
};

// The tables of nodes and writers (node.h): the first of the list.
const Migration& node_tables();

struct Meta {
  int version = 0;
  int readable_from = 0;
  std::string installation;             // a UUID, made with the first migration
  std::optional<std::string> moved_to;  // where the mail went: `store copy`
};

// Applies what is missing, all of it in one transaction. Errors: not_supported: newer than `migrations` and not readable by them;
// permission_denied: the role may not (`hoplock store migrate` with another one).
Result<Meta> migrate(BlockingConnection& connection, const std::vector<Migration>& migrations);
asio::awaitable<Result<Meta>> migrate(Connection& connection, const std::vector<Migration>& migrations);
// What there is, changed by nothing; version 0: no tables of ours.
Result<Meta> examine(BlockingConnection& connection);

}  // namespace hoplock::postgres
