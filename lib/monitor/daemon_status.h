// SPDX-License-Identifier: Apache-2.0
// What the daemon's services say of themselves at the moment of a request. Values; the daemon fills them in.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "base/time.h"
#include "monitor/cluster_status.h"
#include "store/message.h"

namespace hoplock::monitor {

struct DaemonStatus {
  std::string hostname;
  Time started{};
  Time now{};

  std::uint64_t connections = 0;  // of clients, since the start
  std::size_t open_connections = 0;
  bool accepts = true;                         // node.accept
  std::size_t listeners = 0;                   // addresses that clients can connect to
  std::vector<std::string> missing_listeners;  // why others are not listened on
  struct Places {                              // for clients
    std::size_t limit = 0;
    std::size_t strangers = 0;  // held by clients that may not relay
    std::uint64_t refused = 0;  // for want of a place, since the start
    std::uint64_t gave_way = 0;
    bool full = false;  // a client was refused in the last minute
  } places;
  std::size_t workers = 0;       // outbound sessions
  std::size_t destinations = 0;  // that these lead to, or that have work
  bool stalled = false;          // results of deliveries cannot be stored

  std::optional<ClusterStatus> cluster;  // nothing: the store is this daemon's alone
  std::uint64_t free_octets = 0;
  std::uint64_t min_free_octets = 0;
  Result<> accepting;  // new mail
  Result<> store;      // the last transaction
  Histogram commits{{}};
  std::uint64_t database_octets = 0;  // of the store's files
  std::uint64_t log_octets = 0;
  std::optional<std::string> dns_silence;  // that nobody answers, and what to do
  std::optional<std::string> validation_failure;
  Result<> descriptors;  // one more can be had
  struct Damage {
    store::Id id;
    Time found{};
  };
  std::vector<Damage> damaged;  // found since the start
  struct Certificate {          // that we present, or take clients by
    std::string use;            // listener, client, client-ca, http
    std::string subject;        // with `use` it is unique
    Time expires{};
    bool replaced = false;  // of authorities: its file holds one that ends later, so its end keeps nobody out for good
    auto operator<=>(const Certificate&) const = default;
  };
  std::vector<Certificate> certificates;
  std::uint64_t resident_octets = 0;
  double processor_seconds = 0;
  std::string log_problem;              // "": lines come through
  std::uint64_t log_lines_dropped = 0;  // since the start
};

}  // namespace hoplock::monitor
