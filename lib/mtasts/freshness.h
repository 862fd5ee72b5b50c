// SPDX-License-Identifier: Apache-2.0
// How long a policy holds, when it is looked after, and when a failed fetch may be tried again: RFC 8461 sections 3.2, 3.3, 5.1,
// 10.2. Rules over times; `now` comes in as an argument, and who keeps the rows is not known here.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "mtasts/policy.h"

namespace hoplock::mtasts {

// The policy that a domain's last successful fetch brought. Its lifetime counts from that fetch alone (STS-29): a TXT record that
// changes, vanishes or breaks does not touch it (STS-30), nor does a fetch that fails (STS-31).
struct Held {
  std::string id;  // of the TXT record that led to the fetch
  Time fetched;
  Seconds max_age{0};
};

// The fetches that failed since the last one that succeeded.
struct Failures {
  unsigned count = 0;  // in a row, whatever the id
  Time last;           // when the latest of them ended; meaningless while count is 0
  std::string id;      // the id under which it was tried
};

struct Freshness {
  std::optional<Held> held;
  Failures failures;
};

// A clock that was set back leaves times that lie ahead. They count from now on: so a policy holds no longer than its max_age from
// the moment that this was noticed, and no wait lasts longer than it should. Write the result back where it differs.
Freshness settled(Freshness row, Time now);

// When the policy ends; at that moment it is no longer live.
Time expires(const Held& held);
// STS-31. A `fetched` ahead of now by more than max_age is not believed, so that an unsettled row is not immortal either.
bool is_live(const Held& held, Time now);

// STS-12: after a failed fetch the same id waits 5 minutes, doubling to an hour; another id waits 5 minutes, so that an id that
// changes with every answer forces no more fetches than that. A domain whose last fetch succeeded never waits.
Time may_fetch_at(const Failures& failures, std::string_view id);

// STS-28: what a delivery attempt that found the TXT record `id` must do first. `wait` means that a fetch is due, but too soon
// after a failed one.
enum class Need : std::uint8_t { nothing, fetch, wait };
Need need(const Freshness& row, std::string_view id, Time now);

// STS-32: when a held policy is fetched again without a delivery asking: `every` (mta_sts.refresh) after its fetch, and no later
// than half of its life, earlier by up to a fifth as `jitter` (0 to 1) says, not before failed fetches may be repeated. Nothing: it
// lives too short to be looked after as often as it would need. REQUIRES: the row is settled; one row gets one jitter, kept or made
// from its domain.
std::optional<Time> refresh_at(const Freshness& row, Seconds every, double jitter);

}  // namespace hoplock::mtasts
