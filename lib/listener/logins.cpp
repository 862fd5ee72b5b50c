// SPDX-License-Identifier: Apache-2.0
#include "listener/logins.h"

#include <algorithm>

namespace hoplock::listener {

namespace {
constexpr std::chrono::milliseconds longest{30000};
constexpr unsigned most_of_user = 10;  // doubts that others can raise about a user
}  // namespace

Logins::Rank Logins::rank(const Ip& site, const std::string& user, net::SteadyTime now) const {
  Rank rank;
  if (pairs_.has({site, user}, now)) rank.pair = Rank::Pair::known;
  if (sites_.has(site, now) || users_.has(user, now)) rank.part = Rank::Part::known;
  rank.doubts = failed_sites_.of(site, now) + std::min(most_of_user, failed_users_.of(user, now));
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
