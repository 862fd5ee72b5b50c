// SPDX-License-Identifier: Apache-2.0
// `hoplock tlsa HOST --next NEW.pem`: where a host's change to its next certificate stands, and the one step that comes next. Senders
// that hold the host to DANE refuse it while its certificate matches no record that they know, and they know a record set for as long as
// its TTL says (RFC 7671 section 8.1): first the record, then the wait, then the certificate, then the old record goes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "daemon/tool/commands.h"
#include "dns/records.h"
#include "probe/certificate.h"
#include "probe/live.h"

namespace hoplock::daemon::tool {

// What was found out.
struct Renewal {
  dns::Tlsa wanted;                      // the next certificate's record
  std::optional<dns::Tlsa> current{};    // of what the host presents; nothing: it could not be asked
  std::vector<dns::Tlsa> next_in_dns{};  // that the next certificate matches
  std::vector<dns::Tlsa> rest_in_dns{};  // that it does not
  std::size_t addresses = 0;             // of the host, that could be asked
  std::size_t with_next = 0;             // of these, that present the next certificate
  std::size_t unreachable = 0;           // that could not
  std::optional<Time> since{};           // the operator's word: when the record was published
  Seconds ttl{0};
};

struct RenewalStep {
  enum class State : std::uint8_t { publish, broken, wait, install, remove, done } state = State::publish;
  std::string text;
  std::vector<dns::Tlsa> records{};  // to publish, or to remove
  std::optional<Time> not_before{};
};
std::string_view to_text(RenewalStep::State state);

// Pure.
RenewalStep next_step(const Renewal& found, Time now);

// Exit 0 only when nothing is left to do. REQUIRES: --next is given; `target` is whom it is about.
int tlsa_next(const Call& call, probe::Parameters parameters, const probe::LiveTarget& target);

}  // namespace hoplock::daemon::tool
