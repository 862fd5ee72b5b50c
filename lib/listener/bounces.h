// SPDX-License-Identifier: Apache-2.0
// Where bounces of TLS reports go before they are thrown away (RPT-40, RPT-47).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>
#include <string>

namespace hoplock::listener {

// Gets the beginning of what came back; its sender gets the answer afterwards.
using BounceSink = std::function<boost::asio::awaitable<void>(std::string content)>;
inline constexpr std::size_t most_of_bounce = 128U << 10U;  // octets

}  // namespace hoplock::listener
