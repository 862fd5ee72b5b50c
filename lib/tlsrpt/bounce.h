// SPDX-License-Identifier: Apache-2.0
// A notice (RFC 3464) that a mail with one of our reports came back, hours after its mailbox' server had taken it. It reads what anybody
// may have written to the reports' sender, so it says only what the notice claims: whoever asks compares the report's id, which nobody
// knows but those who got the report.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace hoplock::tlsrpt {

struct Bounce {
  std::string message_id;  // of the mail that came back, without angle brackets
  std::string report_id;   // likewise
  std::string why;         // what its server said, else the status; printable ASCII
  bool operator==(const Bounce&) const = default;
};

inline constexpr std::size_t most_of_bounce = 128U
                                              << 10U;  // octets from its beginning: what stands behind them is not read

// Nothing: it tells of no failure (a delay, an answering machine), or not of which report.
std::optional<Bounce> parse_bounce(std::string_view content);

}  // namespace hoplock::tlsrpt
