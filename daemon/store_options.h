// SPDX-License-Identifier: Apache-2.0
// From `store`, the keys that begin with it and `node` to the options of lib/postgres, and the tables that a database has. Pure mappings.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "postgres/migrations.h"
#include "postgres/node.h"
#include "postgres/options.h"

namespace hoplock::daemon {

// NodeOptions::sources of a node that sends no mail (node.deliver).
inline constexpr std::string_view sends_nothing = "none";

// REQUIRES: config.store is no SQLite.
postgres::Options postgres_options(const config::Config& config);
postgres::NodeOptions node_options(const config::Config& config);
// For people: the file, or the servers.
std::string store_name(const config::Config& config);
// In the order in which they came to be: a database counts how many of the list it has had.
std::vector<postgres::Migration> postgres_migrations();

}  // namespace hoplock::daemon
