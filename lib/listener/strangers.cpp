// SPDX-License-Identifier: Apache-2.0
#include "listener/strangers.h"

namespace hoplock::listener {

bool Strangers::is_full(const Ip& site, net::SteadyTime now) {
  if (taken_ == 0 || now - since_ >= period) {
    since_ = now;
    taken_ = 0;
    by_site_.clear();
  }
  const auto found = by_site_.find(site);
  return taken_ >= most || (found != by_site_.end() && found->second >= most_of_site);
}

bool Strangers::take(const Ip& site, net::SteadyTime now) {
  if (is_full(site, now)) return false;
  ++by_site_[site];
  ++taken_;
  return true;
}

void Strangers::give_back(const Ip& site) {
  const auto found = by_site_.find(site);
  if (found == by_site_.end()) return;  // of a period that is over
  --taken_;
  if (--found->second == 0) by_site_.erase(found);
}

}  // namespace hoplock::listener
