// SPDX-License-Identifier: Apache-2.0
// How many messages those who may not relay brought our postmaster of late: everybody may complain (RFC 5321 section 4.5.1), and nobody
// fills the disk with it (DUR-04). A period begins with its first message. Bounded in memory by what it lets through.
#pragma once
#include <chrono>
#include <cstddef>
#include <map>

#include "base/ip.h"
#include "net/condition.h"

namespace hoplock::listener {

class Strangers {
 public:
  static constexpr std::chrono::hours period{24};
  static constexpr std::size_t most = 200;         // messages in a period
  static constexpr std::size_t most_of_site = 20;  // of these

  bool is_full(const Ip& site, net::SteadyTime now);
  // A message from there that is about to be stored. False: it is one too many.
  bool take(const Ip& site, net::SteadyTime now);
  // One that was not stored after all.
  void give_back(const Ip& site);

 private:
  net::SteadyTime since_{};
  std::size_t taken_ = 0;
  std::map<Ip, std::size_t> by_site_;
};

}  // namespace hoplock::listener
