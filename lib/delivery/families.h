// SPDX-License-Identifier: Apache-2.0
// Which address family lately failed, by host and for this machine as a whole: it goes second, so that a broken IPv6 costs one time-out
// and not one a message (RFC 8305 in spirit). Bounded, in memory, time is an argument.
#pragma once
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace hoplock::delivery {

class Families {
 public:
  using Clock = std::chrono::steady_clock;
  // What it says of the machine counts once for all hosts of one owner: dead addresses of one domain move nobody else's mail.
  void failed(const std::string& host, const Ip& ip, Clock::time_point now);
  void worked(const std::string& host, const Ip& ip);
  // The same addresses, those of a family that failed lately behind the others; within a family the order stays.
  std::vector<Ip> ordered(const std::string& host, std::vector<Ip> addresses, Clock::time_point now) const;

 private:
  struct Machine {
    Clock::time_point until{};
    std::set<std::string> owners;  // of the hosts that failed with no success between
  };
  bool is_bad(const std::string& host, bool v4, Clock::time_point now) const;
  std::map<std::pair<std::string, bool>, Clock::time_point> hosts_;  // and whether it is IPv4; until when
  std::map<bool, Machine> machine_;
};

// A refusal of the address that we come from rather than of the mail: another family may do better. `reply`: with its codes, for many say
// nothing but 5.7.25 (RFC 7372).
bool is_about_our_address(std::string_view reply);

}  // namespace hoplock::delivery
