// SPDX-License-Identifier: Apache-2.0
// The notations of hoplock.yaml's values: durations, sizes, endpoints, next hops, dates, rates. Each is parsed from its text with an error
// that says what is allowed, and printed in the same notation. Beside them the views by which the table of keys (keys.h) says of a member
// what its type does not.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "listener/options.h"
#include "resolver/options.h"
#include "route/options.h"

namespace hoplock::config {

// "500ms 30s 5m 4h 5d"; one number, one unit, at most 10 years. It is printed in the unit that it was written in.
struct Duration {
  Milliseconds value{0};
  Milliseconds unit{0};  // 0: the largest that divides the value
  static Result<Duration> parse(std::string_view text);
  std::string text() const;
};

// "64KiB 50MiB 2GiB 512B"; octets.
Result<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t octets);
// "127.0.0.1:2525" or "[::1]:2525".
Result<net::Endpoint> parse_endpoint(std::string_view text);
// A resolver to ask: "192.0.2.53" (port 53) or "192.0.2.54@5353".
Result<resolver::Forwarder> parse_forwarder(std::string_view text);
std::string text_of(const resolver::Forwarder& forwarder);
// "relay.example:587", "relay.example" (port 25), "[192.0.2.1]:25"; "[name]" is refused (MX-16).
Result<route::NextHop> parse_next_hop(std::string_view text);
std::string text_of(const route::NextHop& hop);
// "contoso.com", "*.contoso.com" or "*".
Result<dns::Pattern> parse_pattern(std::string_view text);
std::string text_of(const dns::Pattern& pattern);
// "2027-01-31".
Result<std::chrono::sys_days> parse_date(std::string_view text);
std::string text_of(std::chrono::sys_days day);
// "00:30", after midnight UTC.
Result<Milliseconds> parse_time_of_day(std::string_view text);
std::string time_of_day_text(Milliseconds since_midnight);
// "500/h": so many in a second, minute, hour or day.
Result<listener::Rate> parse_rate(std::string_view text);
std::string text_of(const listener::Rate& rate);
std::string text_of(const route::Rate& rate);

enum class FileKind : std::uint8_t { certificate, key, password, other };

// A file that must exist when named ("": not given), and a path that hoplock creates. Relative ones are relative to the configuration file.
struct File {
  std::string& path;
  FileKind kind = FileKind::other;
};
struct Path {
  std::string& path;
};
struct Size {
  std::uint64_t& octets;
};
struct TimeOfDay {
  Milliseconds& since_midnight;
};
// A duration of more than nothing.
struct Positive {
  Milliseconds& length;
};
// Domain patterns, kept as names: "*.contoso.com" is one whose first label is "*".
struct Names {
  std::vector<dns::Name>& names;
};
struct Ipv4 {
  std::optional<Ip>& ip;
};
struct Ipv6 {
  std::optional<Ip>& ip;
};

}  // namespace hoplock::config
