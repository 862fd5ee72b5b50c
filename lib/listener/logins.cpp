// SPDX-License-Identifier: Apache-2.0
#include "listener/logins.h"

#include <algorithm>

namespace hoplock::listener {

namespace {
constexpr std::chrono::milliseconds longest{30000};
}  // namespace

Logins::Rank Logins::rank(const Ip& site, const std::string& user, net::SteadyTime now) const {
  Rank rank;
  rank.known = pairs_.has({site, user}, now) ? Rank::Known::pair
               : sites_.has(site, now)       ? Rank::Known::site
               : users_.has(user, now)       ? Rank::Known::user
                                             : Rank::Known::nobody;
  rank.doubts = failed_sites_.of(site, now);
  return rank;
}

void Logins::right(const Ip& site, const std::string& user, net::SteadyTime now) {
  sites_.add(site, now);
  users_.add(user, now);
  pairs_.add({site, user}, now);
}

Logins::Duration Logins::wrong(const Ip& site, const std::string& user, net::SteadyTime now, Duration first) {
  const unsigned before = failed_sites_.add(site, now);
  return pause(std::max(before, failed_users_.add(user, now)), first);
}

Logins::Duration Logins::undecided(const Ip& site, net::SteadyTime now, Duration first) {
  return pause(failed_sites_.add(site, now), first);
}

Logins::Duration Logins::pause(unsigned failures, Duration first) {
  return std::min(longest, first * (1U << std::min(failures, 15U)));
}

}  // namespace hoplock::listener
