// SPDX-License-Identifier: Apache-2.0
// What an MX answer makes of a domain: RFC 5321 section 5.1, RFC 7505. Pure; asks nothing, shuffles nothing.
#pragma once
#include <optional>
#include <variant>
#include <vector>

#include "route/router.h"

namespace hoplock::route {

using Candidates = std::variant<std::vector<Host>, NoHosts>;

// All hosts of the answer, by ascending preference; the domain itself after a definite "no MX records" (MX-01). A failed look-up
// never gives hosts (MX-02). Names that are literals are still among them: our own place in the list is looked for first (MX-09).
Candidates candidates(const dns::Answer& mx, std::uint16_t port);

// Without our own record and everything not better than it; `own` is the least preference at which we stand (MX-09).
Candidates without_self(std::vector<Host> hosts, std::optional<std::uint16_t> own);

// Without names that are address literals (MX-17), each name once.
Candidates without_literals(std::vector<Host> hosts);

// Of a set of any size, those of which anything is looked up, in order: an attempt, what it asks and what is told of it have bounds that do
// not grow with the set (BND-02). Hosts that an enforced policy rules out take no place from the others (MX-29).
inline constexpr std::size_t most_hosts = 30;
inline constexpr std::size_t most_ruled_out = 5;
struct Cut {
  std::vector<Host> hosts;
  std::size_t left_out = 0;
};
Cut cut(std::vector<Host> hosts, const hop::StsFact& sts);

// While our own validation does not work (DNS-04).
NoHosts not_validating(const std::string& why);

}  // namespace hoplock::route
