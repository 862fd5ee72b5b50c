// SPDX-License-Identifier: Apache-2.0
// Tells in the log whether names can be looked up and validated: `dns-failed` while nobody answers on port 53, `dnssec-failed` while
// somebody does and validation fails all the same. The two want different hands, so only one of them is told at a time. Owns what the
// health word `dns` says.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "base/log.h"
#include "net/condition.h"
#include "probe/name_servers.h"
#include "resolver/unbound.h"

namespace hoplock::daemon {

class DnsWatch {
 public:
  // REQUIRES: resolver and log outlive it, and it its coroutines.
  DnsWatch(resolver::Unbound& resolver, Log& log) : resolver_(resolver), log_(log) {}
  DnsWatch(const DnsWatch&) = delete;
  DnsWatch& operator=(const DnsWatch&) = delete;

  // Whose servers are asked, and what comes of it when nobody answers, or nothing is validated ("mail routed by MX waits"); at the start
  // and at a reload.
  struct Consequences {
    std::string of_silence;
    std::string of_failure;
  };
  void set(resolver::Options options, Consequences consequences);
  // Looks at once, then whenever validation fails or three look-ups in a row did (once a minute at most), and every 30 s while nobody
  // answers. Until it is cancelled.
  boost::asio::awaitable<void> listen();
  // The resolver's own check of validation. Until it is cancelled.
  boost::asio::awaitable<void> validate();
  // What a look-up came to. One that failed may be the name's own fault; several in a row are a reason to look.
  void worked();
  void failed();
  // That nobody answers; nothing: somebody does, as far as is known.
  const std::optional<std::string>& silence() const { return silence_; }

 private:
  void doubt();
  void heard(const std::optional<std::string>& failure);
  std::chrono::seconds take(const std::optional<probe::Silence>& found);
  void end_silence();
  void tell_validation();
  resolver::Unbound& resolver_;
  Log& log_;
  resolver::Options options_;
  Consequences consequences_;
  net::Condition wake_;
  bool doubtful_ = true;  // to be looked at now
  bool checked_ = false;  // the resolver has looked once
  int failures_ = 0;      // look-ups in a row
  std::chrono::steady_clock::time_point next_doubt_{};
  std::optional<std::string> silence_;
  std::optional<std::optional<std::string>> told_;  // of validation: nothing yet, or the last word
};

// The resolver of those who route mail: what their look-ups come to is told to the watch.
class WatchedResolver final : public resolver::Resolver {
 public:
  // REQUIRES: both outlive it, and it its look-ups.
  WatchedResolver(resolver::Resolver& resolver, DnsWatch& watch) : resolver_(resolver), watch_(watch) {}
  boost::asio::awaitable<dns::Answer> find(dns::Name name, dns::Type type) override;
  std::optional<std::string> validation_failure() const override { return resolver_.validation_failure(); }

 private:
  resolver::Resolver& resolver_;
  DnsWatch& watch_;
};

}  // namespace hoplock::daemon
