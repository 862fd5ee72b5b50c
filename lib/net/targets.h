// SPDX-License-Identifier: Apache-2.0
// Which addresses an HTTPS request may go to whose host foreign DNS names: a policy host (STS-11), a report endpoint (RPT-42). Such
// a name must not lead into our own network unless the operator says so. Pure; sentences are the caller's.
#pragma once
#include <string>
#include <vector>

#include "base/ip.h"
#include "dns/answer.h"

namespace hoplock::net {

enum class Internal : std::uint8_t { refuse, allow };  // addresses of our own network, see Ip::is_internal

struct Targets {
  static constexpr std::size_t most_of_a_family = 4;

  std::vector<Ip> addresses;  // in the order of the answers
  std::string refused;        // an internal address that was left out; empty: none was
  std::string failures;       // of look-ups; empty: none failed
  bool exists = false;        // some answer knows the name
};
Targets choose_targets(const std::vector<dns::Answer>& answers, Internal internal);

}  // namespace hoplock::net
