// SPDX-License-Identifier: Apache-2.0
// What `hoplock doctor` looks at, one remark each. The machine's part needs no network; the other asks it, for some seconds at most.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/tool/commands.h"

namespace hoplock::daemon::tool {

struct Remark {
  enum class State : std::uint8_t { good, note, bad };  // note: worth knowing, nothing to mend at once
  std::string about;
  State state = State::good;
  std::string text;
  std::string advice{};  // what to do; "" where nothing is
};
std::string_view to_text(Remark::State state);

// Configuration, daemon, clock, files, space, certificates, what waits.
std::vector<Remark> examine_machine(const Call& call);
// DNS, our name and addresses, ports 25 and 443 outward, key records, next hops. At most 14 s in all, and 10 s when nobody answers on port 53.
std::vector<Remark> examine_network(const Call& call);

}  // namespace hoplock::daemon::tool
