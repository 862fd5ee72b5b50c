// SPDX-License-Identifier: Apache-2.0
// A log server as a target of a LogPump: RFC 5424 messages over TLS (RFC 5425) or TCP (RFC 6587), each with its length before it, or
// over UDP (RFC 5426). One connection, used by the pump's thread alone; it never waits longer than a tenth of a second. A server that
// is away, refuses, shows a wrong certificate or stands still costs lines only once the pump's queue is full. A message that was under
// way when the connection broke goes out again as a whole; what the server had not read by then nobody knows (the protocol has no
// answers). Names are looked up by whoever has the SyslogPlace: /etc/resolv.conf is never read.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/log.h"
#include "config/syslog.h"
#include "daemon/log_pump.h"
#include "resolver/resolver.h"

namespace hoplock::daemon {

struct SyslogOptions {
  config::Syslog server;
  std::string ca_file;   // who may sign the server's certificate; read at each connection
  std::string hostname;  // ours, in each message
  bool operator==(const SyslogOptions&) const = default;
};

// One message without its frame; `line` is what a file would get, and has no newline in it.
struct SyslogOrigin {
  std::string hostname;
  std::int64_t process = 0;
};
std::string to_syslog(const Event& event, std::string_view line, const SyslogOrigin& origin, Time time);

// Where the server is. Any thread.
class SyslogPlace {
 public:
  explicit SyslogPlace(const config::Syslog& server);
  // Nothing to look up where the server is named by its address.
  const std::optional<dns::Name>& name() const { return name_; }
  std::vector<Ip> addresses() const;
  void set(std::vector<Ip> addresses);

 private:
  std::optional<dns::Name> name_;
  mutable std::mutex mutex_;
  std::vector<Ip> addresses_;
};

// Looks the server's name up, again and again, until nobody has the place any more. An answer without addresses changes nothing.
// REQUIRES: `resolver` outlives it.
boost::asio::awaitable<void> follow_syslog(std::weak_ptr<SyslogPlace> place, resolver::Resolver& resolver);

// Hears why the server cannot be had, once for each reason until it can; "": now it can. Called by the pump's thread.
using SyslogNews = std::function<void(const std::string& error)>;
std::shared_ptr<LogTarget> make_syslog_target(SyslogOptions options, std::shared_ptr<SyslogPlace> place,
                                              SyslogNews news);
// For lines that are not wanted any more.
std::shared_ptr<LogTarget> make_no_target();

}  // namespace hoplock::daemon
