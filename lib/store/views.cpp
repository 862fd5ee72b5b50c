// SPDX-License-Identifier: Apache-2.0
#include "store/views.h"

namespace hoplock::store {

// `removed` is not one of CONTRACT's words, its lease is not over.
std::string_view RecipientView::word() const { return active ? "active" : to_text(state); }

std::string_view MessageView::state() const {
  constexpr std::string_view order[] = {"active", "queued", "deferred", "held", "bounced", "expired", "delivered"};
  for (const auto candidate : order)
    for (const auto& recipient : recipients)
      if (recipient.word() == candidate) return candidate;
  return "removed";
}

}  // namespace hoplock::store
