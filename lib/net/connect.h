// SPDX-License-Identifier: Apache-2.0
// Opens a TCP connection. Which address, and what an error means for the mail, is the caller's.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>

#include "net/stream.h"

namespace hoplock::net {

// The stream comes with `deadline` set. Codes: errc::timed_out, connection_refused, host_unreachable,
// network_unreachable, address_not_available (the source address is not ours), operation_canceled.
boost::asio::awaitable<Result<Stream>> connect(Endpoint to, SteadyTime deadline,
                                               std::optional<Ip> source = std::nullopt);

}  // namespace hoplock::net
