// SPDX-License-Identifier: Apache-2.0
// The addresses of one host: A, AAAA, or both.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "resolver/resolver.h"

namespace hoplock::resolver {

enum class Families : std::uint8_t { both, v4, v6 };
// Both are asked side by side.
boost::asio::awaitable<std::vector<dns::Answer>> find_addresses(Resolver& resolver, dns::Name name, Families families);
// What the answers hold, in their order.
std::vector<Ip> addresses_in(const std::vector<dns::Answer>& answers);

}  // namespace hoplock::resolver
