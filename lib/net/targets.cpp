// SPDX-License-Identifier: Apache-2.0
#include "net/targets.h"

namespace hoplock::net {

Targets choose_targets(const std::vector<dns::Answer>& answers, Internal internal) {
  Targets found;
  for (const dns::Answer& answer : answers) {
    found.exists = found.exists || answer.status != dns::Status::no_name;
    if (answer.failed()) found.failures += (found.failures.empty() ? "" : "; ") + answer.why;
    std::size_t taken = 0;
    for (const Ip& ip : answer.all<Ip>()) {
      if (internal == Internal::refuse && ip.is_internal()) {
        found.refused = ip.text();
      } else if (taken < Targets::most_of_a_family) {
        found.addresses.push_back(ip);
        ++taken;
      }
    }
  }
  return found;
}

}  // namespace hoplock::net
