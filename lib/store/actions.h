// SPDX-License-Identifier: Apache-2.0
// What an operator does to queued mail, as values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dns/name.h"
#include "store/message.h"

namespace hoplock::store {

// retry: due now, held ones stay held, the holds of their destinations end; hold: waits for release; release: due now;
// remove: gone; bounce: its end is told to the sender, which is delivery's work: Queue::pick, never Queue::act.
enum class Action : std::uint8_t { retry, hold, release, remove, bounce };
std::string_view to_text(Action action);

// Exactly one of the four. By domain: acts on the recipients there only; by sender: "" is the empty sender.
struct Selection {
  enum class By : std::uint8_t { ids, domain, sender, all };
  By by = By::ids;
  std::vector<Id> ids;
  dns::Name domain;
  std::string sender;
  std::string by_whom;  // for the history
};

struct Affected {
  std::uint64_t messages = 0;
  std::uint64_t recipients = 0;
  std::uint64_t active = 0;  // of `messages`: under way, so it takes effect when the attempt ends
  std::vector<Id> ids;       // the first 1000, for the log
};

// Leases on selected messages, due or held; one job a message, of its recipients that were not under way.
struct LeasedBySelection {
  std::vector<Job> jobs;
  std::uint64_t active = 0;  // messages that have selected recipients under way, which are left alone
};

// A recipient under way.
struct Lease {
  Id id;
  std::uint32_t seq = 0;
  auto operator<=>(const Lease&) const = default;
};

}  // namespace hoplock::store
