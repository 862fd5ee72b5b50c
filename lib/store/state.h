// SPDX-License-Identifier: Apache-2.0
// The states of a recipient and their words.
#pragma once
#include <cstdint>
#include <string_view>

namespace hoplock::store {

// As CONTRACT names them; `active` is a lease and so not stored. `removed`: an operator removed it while it was under
// way; it goes when the lease ends. The numbers are on disk (recipient.state, DUR-06): a word may be added, none renumbered.
enum class State : std::uint8_t {
  queued = 0,
  deferred = 1,
  held = 2,
  bounced = 3,
  expired = 4,
  delivered = 5,
  removed = 6
};
std::string_view to_text(State state);

}  // namespace hoplock::store
