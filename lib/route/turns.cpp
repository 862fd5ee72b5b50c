// SPDX-License-Identifier: Apache-2.0
#include "route/turns.h"

#include <chrono>
#include <utility>

namespace hoplock::route {

Turns::Turn::Turn(Turns& turns, dns::Name domain) : turns_(turns), domain_(std::move(domain)) {
  ++turns_.domains_[domain_].turns;
}

Turns::Turn::~Turn() {
  const auto domain = turns_.domains_.find(domain_);
  if (has_come_) --domain->second.under_way;
  if (--domain->second.turns == 0) {
    turns_.domains_.erase(domain);
  } else {
    domain->second.next.notify_one();
  }
}

boost::asio::awaitable<void> Turns::Turn::come() {
  Domain& domain = turns_.domains_.at(domain_);  // stays for as long as this turn does
  // The one that was woken may be cut off before it goes on: nobody relies on it.
  while (domain.under_way >= turns_.at_once_)
    co_await domain.next.wait_until(std::chrono::steady_clock::now() + std::chrono::seconds{1});
  ++domain.under_way;
  has_come_ = true;
}

}  // namespace hoplock::route
