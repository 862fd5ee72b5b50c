// SPDX-License-Identifier: Apache-2.0
// Who refused a recipient while speaking for itself alone: 521 to this recipient (RFC 7504), or our address under IPv6. Another host may
// take the mail; where every host that might refused it so, the last word is final (MX-24). Pure.
#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "delivery/attempt.h"
#include "smtp/settle.h"

namespace hoplock::delivery {

class HostRefusals {
 public:
  struct Refusal {
    std::size_t hop;  // of the attempt, as an index
    smtp::RecipientFate fate;
  };
  void add(std::size_t recipient, Refusal refusal);
  // These hops are all that there are, and each refused it so, or takes nobody's mail: the last refusal; null: not so.
  const Refusal* everywhere(std::size_t recipient, const std::vector<Hop>& hops) const;
  // The last one of this recipient came from there.
  bool is_last_at(std::size_t recipient, std::size_t hop) const;
  // The hops from this one on are gone.
  void forget_from(std::size_t hop);

 private:
  std::map<std::size_t, std::vector<Refusal>> by_recipient_;
};

}  // namespace hoplock::delivery
