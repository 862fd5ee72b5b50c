// SPDX-License-Identifier: Apache-2.0
// The whole of hoplock.yaml as one value. What a key sets is a member of the Options of the module that it is for, and its default is that
// member's own; what no module has stands here. Which key sets which member is the table of keys.h. What Options hold beside that (names and
// paths that follow from others, what the system must be asked for) is left empty: daemon/options.h fills it in.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "config/store.h"
#include "delivery/options.h"
#include "listener/options.h"
#include "net/options.h"
#include "queue/options.h"
#include "reports/options.h"
#include "resolver/options.h"
#include "route/options.h"

namespace hoplock::config {

enum class LogFormat : std::uint8_t { logfmt, json };
enum class DkimSign : std::uint8_t { when_published, always };

struct LogSettings {
  Level level = Level::info;
  LogFormat format = LogFormat::logfmt;
  std::string file = "-";  // "-": standard error
  std::string syslog;
};

// At 127.0.0.1:2525, for this machine, unless it says otherwise.
struct Listener : listener::Address {
  Listener();
  bool auth = false;  // without it `users_file` counts for nothing
};

struct Dkim {
  dns::Name domain;
  std::string selector;
  std::string key;  // a file
  DkimSign sign = DkimSign::when_published;
  bool operator==(const Dkim&) const = default;
};

struct TlsRpt : reports::SenderOptions {
  std::string organization;
  std::string contact;
};

struct Http {
  std::optional<net::Endpoint> address;
  std::vector<std::string> hosts;
  net::CertificateFiles certificate;
  std::string users_file;
  std::string trusted_proxy_header;
};

struct Config {
  Config();

  dns::Name hostname;  // root until the reader or the daemon fills in the system's name
  std::string postmaster;
  std::string data_dir = "/var/lib/hoplock";
  std::string control_socket = "control.sock";  // relative to data_dir
  StoreSettings store;
  NodeSettings node;
  Milliseconds shutdown_timeout{10'000};
  LogSettings log;
  std::vector<Listener> listeners{Listener()};
  listener::Limits limits;
  listener::SendersLimit senders_limit;
  queue::Options queue;
  resolver::Options dns;
  net::TlsOptions tls;
  route::Options route;
  route::FetchOptions fetch;
  route::PolicyOptions policies;
  delivery::Options delivery;
  std::vector<Dkim> dkim;
  TlsRpt tls_rpt;
  Milliseconds history{std::chrono::days{30}};
  Http http;

  // In which unit a duration is shown, by key: as it was written. The largest that divides it where none is noted.
  std::map<std::string, Milliseconds> units;
};

}  // namespace hoplock::config
