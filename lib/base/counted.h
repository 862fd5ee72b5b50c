// SPDX-License-Identifier: Apache-2.0
// What metrics count, as values: each is made from what happened, beside the line that the log has of it and never from that line. A key of
// the log may be renamed, and no metric changes. The texts are words of closed lists (CONTRACT, "The words for a hop's security"), "" where
// a word does not apply; never a domain or an address.
#pragma once
#include <cstdint>
#include <string>
#include <variant>

#include "base/time.h"

namespace hoplock::counted {

// A recipient's attempt, or its end without one.
struct Attempt {
  std::string outcome;  // "delivered", "deferred", "bounced", "expired"
  std::string policy;
  std::string tls;
  std::string auth;
  std::string reason;
  Seconds delay{0};  // delivered: since the message was accepted
  bool operator==(const Attempt&) const = default;
};
// A host that was refused before the next one was tried, or relaxed; or all those that no line of their own tells of.
struct RefusedHop {
  std::string policy;
  std::string reason;
  std::string action;
  bool operator==(const RefusedHop&) const = default;
};
// A message from a client.
struct Accepted {
  std::string tls;
  std::uint64_t recipients = 0;
  std::uint64_t octets = 0;
  bool operator==(const Accepted&) const = default;
};
// A reply of 4xx or 5xx to a client.
struct Rejected {
  int code = 0;
  bool operator==(const Rejected&) const = default;
};
// Something happened to an MTA-STS policy.
struct StsPolicy {
  std::string action;
  bool operator==(const StsPolicy&) const = default;
};
// Something happened to a TLS report.
struct Report {
  std::string action;
  bool operator==(const Report&) const = default;
};
// A receiver's limit of sessions is another one.
struct SessionLimit {
  enum class Way : std::uint8_t { cut, grown } way = Way::cut;
  bool operator==(const SessionLimit&) const = default;
};
// What has no words.
enum class Once : std::uint8_t { report_bounced, reputation_held, notice_dropped, body_damaged, gave_way };

using Value = std::variant<Attempt, RefusedHop, Accepted, Rejected, StsPolicy, Report, SessionLimit, Once>;

}  // namespace hoplock::counted
