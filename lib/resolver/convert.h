// SPDX-License-Identifier: Apache-2.0
// From what libunbound hands over to an Answer of facts: RFC 4035 section 4.3, RFC 7672 section 2.1.1. Any rcode but NOERROR and
// NXDOMAIN, any record that does not parse and anything bogus is a failed look-up, and its data is dropped (DNS-06).
#pragma once
#include <unbound.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "dns/answer.h"

namespace hoplock::resolver {

constexpr std::size_t max_aliases = 12;  // links in one chain (DNS-13); setup.cpp lets libunbound go as far

// An Answer that says why nothing could be found out.
dns::Answer failed(dns::Name name, dns::Type type, std::string why);

// REQUIRES: `result` is what libunbound gave for this question.
dns::Answer to_answer(dns::Name name, dns::Type type, const ub_result& result);

// How many CNAME records the answer section of a DNS message holds; nothing for a message that is cut short or malformed.
std::optional<std::size_t> count_aliases(std::string_view message);

}  // namespace hoplock::resolver
