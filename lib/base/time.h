// SPDX-License-Identifier: Apache-2.0
// Wall-clock time as everything in hoplock stores and prints it: UTC, milliseconds. Pure modules take `now` as an
// argument.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hoplock {

using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
using Time = std::chrono::sys_time<Milliseconds>;

// "2026-11-21T19:14:09.123Z" (RFC 3339).
std::string to_rfc3339(Time time);
// The inverse; also takes whole seconds. Nothing else, no offsets.
std::optional<Time> parse_rfc3339(std::string_view text);

inline std::int64_t to_millis(Time time) { return time.time_since_epoch().count(); }
inline Time from_millis(std::int64_t millis) { return Time{Milliseconds{millis}}; }

}  // namespace hoplock
