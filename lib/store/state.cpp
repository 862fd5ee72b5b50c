// SPDX-License-Identifier: Apache-2.0
#include "store/state.h"

#include <array>

namespace hoplock::store {
namespace {

constexpr std::array<std::string_view, 7> words = {"queued",  "deferred",  "held",   "bounced",
                                                   "expired", "delivered", "removed"};

}  // namespace

std::string_view to_text(State state) {
  const auto index = static_cast<std::size_t>(state);
  return index < words.size() ? words[index] : "held";  // no state of ours: nothing is done with it, as with a held one
}

}  // namespace hoplock::store
