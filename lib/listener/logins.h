// SPDX-License-Identifier: Apache-2.0
// Who logged in lately and who guessed wrong, by site (places.h) and by user: how long a wrong login's answer is held back, and whose
// password is looked at first. A right login speaks for its own site and user from then on; the wrong ones it made stay counted, so
// that an account of one's own is no help to guess at others'. Bounded.
#pragma once
#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/ip.h"
#include "listener/recent.h"
#include "net/condition.h"

namespace hoplock::listener {

// Failures under one key, forgotten after a quarter of an hour without a new one.
template <class Key>
class FailureCounts {
 public:
  static constexpr std::size_t most = 10000;
  static constexpr std::chrono::minutes memory{15};
  unsigned of(const Key& key, net::SteadyTime now) const {
    const auto found = counts_.find(key);
    return found == counts_.end() || now - found->second.last > memory ? 0 : found->second.count;
  }
  // How many there were before this one.
  unsigned add(const Key& key, net::SteadyTime now) {
    const unsigned before = of(key, now);
    if (counts_.size() >= most && counts_.count(key) == 0) make_room(now);
    counts_[key] = {before + 1, now};
    return before;
  }
  std::size_t size() const { return counts_.size(); }

 private:
  struct Failures {
    unsigned count = 0;
    net::SteadyTime last;
  };
  // The old ones, else the one with the fewest: many new keys do not wipe out who failed often.
  void make_room(net::SteadyTime now) {
    std::erase_if(counts_, [now](const auto& one) { return now - one.second.last > memory; });
    if (counts_.size() < most) return;
    counts_.erase(std::min_element(counts_.begin(), counts_.end(),
                                   [](auto& a, auto& b) { return a.second.count < b.second.count; }));
  }
  std::map<Key, Failures> counts_;
};

class Logins {
 public:
  using Duration = std::chrono::milliseconds;

  // The smaller, the sooner. What others guess about a user makes that user no later: a guesser could keep anybody out.
  struct Rank {
    enum class Known : std::uint8_t {
      pair,
      site,
      user,
      nobody
    } known = Known::nobody;  // logged in lately; pair: that user from that site
    unsigned doubts = 0;      // failures of the site of late
    auto operator<=>(const Rank&) const = default;
  };
  Rank rank(const Ip& site, const std::string& user, net::SteadyTime now) const;

  void right(const Ip& site, const std::string& user, net::SteadyTime now);
  // How long the answer is held back: `first`, doubled with each failure of the site or the user, at most half a minute.
  Duration wrong(const Ip& site, const std::string& user, net::SteadyTime now, Duration first);
  // Nobody could say: that counts for the site, which asked for too much.
  Duration undecided(const Ip& site, net::SteadyTime now, Duration first);

  bool is_known(const Ip& site, net::SteadyTime now) const { return sites_.has(site, now); }
  // It proved by certificate that it may relay.
  void vouch(const Ip& site, net::SteadyTime now) { sites_.add(site, now); }
  std::size_t size() const { return failed_sites_.size() + failed_users_.size(); }

 private:
  static Duration pause(unsigned failures, Duration first);
  Recent<Ip> sites_;
  Recent<std::string> users_;
  Recent<std::pair<Ip, std::string>> pairs_;
  FailureCounts<Ip> failed_sites_;
  FailureCounts<std::string> failed_users_;
};

}  // namespace hoplock::listener
