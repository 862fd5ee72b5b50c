// SPDX-License-Identifier: Apache-2.0
// What the operator may set about delivery: `delivery:` of the configuration but for what routing takes of it.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "delivery/source.h"
#include "dns/name.h"
#include "queue/schedule.h"
#include "route/options.h"
#include "smtpclient/options.h"

namespace hoplock::delivery {

// Of sessions, for TLS reports.
struct Counting {
  bool enabled = false;
  std::optional<Ip>
      public_ipv4;  // what the world sees of us behind NAT; nothing: the session's own address, when that is public
  std::optional<Ip> public_ipv6;
  std::vector<dns::Pattern> except;  // domains that are told nothing, whatever they publish
};

// The header field `TLS-Required: No` (RFC 8689 section 3).
enum class TlsRequiredNo : std::uint8_t { honor, ignore };

// Sessions are opened with smtpclient::Options, but where a rule of `sources` says otherwise.
struct Options : smtpclient::Options {
  std::vector<SourceRule> sources;        // the first that takes a message says where it leaves from
  std::size_t sessions = 200;             // at once
  std::size_t sessions_per_domain = 20;   // for one destination
  std::size_t sessions_per_host = 20;     // to one address
  std::size_t addresses_per_attempt = 5;  // connections of one attempt
  std::size_t sessions_per_attempt = 2;   // of these, such that got a banner
  std::chrono::milliseconds attempt_timeout{std::chrono::minutes{30}};
  bool reputation_hold = true;
  std::size_t messages_per_session = 100;
  std::chrono::milliseconds idle_session{5'000};
  queue::Retry retry;
  Milliseconds expire{std::chrono::hours{24 * 5}};
  Milliseconds expire_bounces{std::chrono::hours{24}};  // mail with the empty sender
  Milliseconds delay_notice{std::chrono::hours{4}};     // when the sender is told that it takes long; 0: never
  std::string postmaster;                               // whom notices are from; "": nobody is told anything
  TlsRequiredNo tls_required_no = TlsRequiredNo::honor;
  Counting counting;
};

}  // namespace hoplock::delivery
