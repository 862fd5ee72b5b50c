// SPDX-License-Identifier: Apache-2.0
// The notations of hoplock.yaml's values: paths, durations, sizes, endpoints, hosts, dates, clock times. Each type parses from
// its text with an error that says what is allowed, and prints itself in the same notation.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"
#include "dns/pattern.h"

namespace hoplock::config {

// A path of a file that must exist when named ("" is: not given). Relative paths are relative to the configuration
// file.
struct InputFile {
  std::string path;
  bool operator==(const InputFile&) const = default;
};
// A path that hoplock creates.
struct OutputPath {
  std::string path;
  bool operator==(const OutputPath&) const = default;
};

// "500ms 30s 5m 4h 5d"; one number, one unit, at most 10 years. It is printed in the unit that it was written in.
struct Duration {
  Milliseconds value{0};
  Milliseconds unit{0};  // 0: the largest that divides the value
  constexpr Duration() = default;
  constexpr explicit Duration(Milliseconds length) : value(length) {}
  template <class Rep, class Period>
  constexpr explicit Duration(std::chrono::duration<Rep, Period> length)
      : value(length), unit(std::chrono::duration<Rep, Period>(1)) {}
  static Result<Duration> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Duration& other) const { return value <=> other.value; }
  bool operator==(const Duration& other) const { return value == other.value; }
};

// "64KiB 50MiB 2GiB 512B"; octets.
struct Size {
  std::uint64_t octets = 0;
  static Result<Size> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Size&) const = default;
};

// "127.0.0.1:2525" or "[::1]:2525".
struct Endpoint {
  Ip ip;
  std::uint16_t port = 0;
  static Result<Endpoint> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Endpoint&) const = default;
};

// A resolver to ask: "192.0.2.53" (port 53) or "192.0.2.54@5353".
struct Forwarder {
  Ip ip;
  std::uint16_t port = 53;
  static Result<Forwarder> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Forwarder&) const = default;
};

// A next hop: "relay.example:587", "relay.example" (port 25), "[192.0.2.1]:25"; "[name]" is refused (MX-16).
struct Host {
  std::variant<dns::Name, Ip> target;
  std::uint16_t port = 25;
  static Result<Host> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Host&) const = default;
};

// "contoso.com", "*.contoso.com" or "*".
struct Pattern : dns::Pattern {
  static Result<Pattern> parse(std::string_view text);
  std::string text() const { return to_text(*this); }
};

// "2027-01-31".
struct Date {
  std::chrono::sys_days day{};
  static Result<Date> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Date&) const = default;
};

// "00:30", UTC.
struct TimeOfDay {
  std::chrono::minutes since_midnight{0};
  static Result<TimeOfDay> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const TimeOfDay&) const = default;
};

// "500/h": so many in a second, minute, hour or day.
struct Rate {
  std::uint64_t amount = 0;
  std::chrono::seconds period{0};
  static Result<Rate> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const Rate&) const = default;
};

}  // namespace hoplock::config
