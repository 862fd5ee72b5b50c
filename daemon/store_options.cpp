// SPDX-License-Identifier: Apache-2.0
#include "daemon/store_options.h"

#include <cstdint>
#include <filesystem>
#include <iterator>

#include "base/fnv1a.h"
#include "base/version.h"
#include "config/show.h"
#include "daemon/options.h"
#include "store_postgres/mail_tables.h"
#include "store_postgres/readers.h"
#include "store_postgres/tables.h"
#include "store_sqlite/readers.h"

namespace hoplock::daemon {

namespace {

postgres::Tls tls_of(config::StoreTls tls) {
  switch (tls) {
    case config::StoreTls::verify_full:
      break;
    case config::StoreTls::verify_ca:
      return postgres::Tls::verify_ca;
    case config::StoreTls::off:
      return postgres::Tls::off;
  }
  return postgres::Tls::verify_full;
}

postgres::Synchronous synchronous_of(config::StoreSynchronous synchronous) {
  switch (synchronous) {
    case config::StoreSynchronous::require:
      break;
    case config::StoreSynchronous::prefer:
      return postgres::Synchronous::prefer;
    case config::StoreSynchronous::local:
      return postgres::Synchronous::local;
  }
  return postgres::Synchronous::require;
}

// Of the routes alone, as they are printed, in hexadecimal digits.
std::string hash_of_routes(const config::Config& config) {
  config::Config only;
  only.route.routes = config.route.routes;
  const std::uint64_t hash = fnv1a(config::to_yaml(only));
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(hash >> shift) & 15U];
  return text;
}

// What its mail leaves from, for people.
std::string sources_of(const config::Config& config) {
  if (!config.node.deliver) return std::string(sends_nothing);
  std::string text;
  for (const auto& ip : {config.delivery.source_ipv4, config.delivery.source_ipv6})
    if (ip) text += (text.empty() ? "" : " ") + ip->text();
  return text.empty() ? "any" : text;
}

template <class T>
void append(std::vector<T>& to, std::vector<T> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

store::ReadersPtr readers(const config::Config& config) {
  if (config.store.place.is_sqlite()) return store_sqlite::readers_of(database_path(config));
  return store_postgres::readers_of(postgres_options(config));
}

std::string store_name(const config::Config& config) {
  if (config.store.place.is_sqlite()) return database_path(config);
  return postgres::describe(postgres_options(config));
}

postgres::Options postgres_options(const config::Config& config) {
  const config::StoreSettings& from = config.store;
  postgres::Options to;
  to.url = from.place.url;
  to.password_file = from.password_file;
  to.tls = tls_of(from.tls);
  to.ca_file = from.ca_file.empty() ? config.tls.ca_file : from.ca_file;
  to.synchronous = synchronous_of(from.synchronous);
  to.timeline_file = std::filesystem::path(config.data_dir) / "timeline";
  return to;
}

postgres::NodeOptions node_options(const config::Config& config) {
  postgres::NodeOptions to;
  to.name = config.node.name.empty() ? hostname(config).text() : config.node.name;
  to.version = HOPLOCK_VERSION;
  to.routes = hash_of_routes(config);
  to.sources = sources_of(config);
  append(to.free_leases, store_postgres::free_mail());
  append(to.free_leases, store_postgres::free_claims());
  return to;
}

std::vector<postgres::Migration> postgres_migrations() {
  std::vector<postgres::Migration> all{postgres::node_tables()};
  append(all, store_postgres::mail_migrations());
  append(all, store_postgres::ledger_migrations());
  append(all, store_postgres::policy_migrations());
  append(all, store_postgres::partner_migrations());
  append(all, store_postgres::statistics_migrations());
  return all;
}

}  // namespace hoplock::daemon
