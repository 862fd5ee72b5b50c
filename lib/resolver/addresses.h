// SPDX-License-Identifier: Apache-2.0
// The addresses of one host: A, AAAA, or both.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <vector>

#include "resolver/resolver.h"

namespace hoplock::resolver {

enum class Families : std::uint8_t { both, v4, v6 };
// Both are asked side by side.
boost::asio::awaitable<std::vector<dns::Answer>> find_addresses(Resolver& resolver, dns::Name name, Families families);

}  // namespace hoplock::resolver
