// SPDX-License-Identifier: Apache-2.0
// Where the queue is kept, as `store` says it, and what the keys beside it say of how a node reaches a store that several share.
// Values only: nothing here connects, and whether a server answers is not known before the start.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hoplock::config {

// "sqlite", or a PostgreSQL database as libpq writes it: "postgresql://user@host:port,host2:port/database", with host, port, passfile,
// sslcert and sslkey behind a "?". It never holds a password: one in the URL is refused, and no complaint repeats any part of the URL
// that could be one.
struct StorePlace {
  std::string url;                 // for libpq as it is; "": SQLite, in data_dir
  std::vector<std::string> hosts;  // without ports; "/run/postgresql": a Unix socket; none: the socket that libpq knows
  std::string passfile;            // absolute paths; "": not given
  std::string certificate;         // both or neither
  std::string key;

  static Result<StorePlace> parse(std::string_view text);
  std::string text() const { return is_sqlite() ? "sqlite" : url; }
  bool is_sqlite() const { return url.empty(); }
  // Whether nothing that is said to it leaves this machine.
  bool is_local() const;
  bool operator==(const StorePlace&) const = default;
};

// How the server's certificate is held against the name it was reached under. off: no TLS.
enum class StoreTls : std::uint8_t { verify_full, verify_ca, off };
// What a commit waits for: a synchronous standby, that standby where there is one, or this server alone.
enum class StoreSynchronous : std::uint8_t { require, prefer, local };

// `store` and the keys that begin with it.
struct StoreSettings {
  StorePlace place;
  std::string password_file;  // one line; "": none, or the URL's
  StoreTls tls = StoreTls::verify_full;
  std::string ca_file;  // "": tls.ca_file
  StoreSynchronous synchronous = StoreSynchronous::require;
  bool operator==(const StoreSettings&) const = default;
};

// `node`: what this one is called and does among those that share a store.
struct NodeSettings {
  std::string name;  // "": hostname
  bool accept = true;
  bool deliver = true;
  bool operator==(const NodeSettings&) const = default;
};
// Letters, digits, dots, dashes and underscores.
bool is_node_name(std::string_view text);

}  // namespace hoplock::config
