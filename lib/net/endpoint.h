// SPDX-License-Identifier: Apache-2.0
// Endpoint from and to Asio's.
#pragma once
#include <boost/asio/ip/tcp.hpp>

#include "net/stream.h"

namespace hoplock::net {

boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint);
// IPv4-mapped addresses become IPv4.
Endpoint from_asio(const boost::asio::ip::tcp::endpoint& endpoint);
// Nothing where it is none of TCP.
Endpoint from_asio(const boost::asio::generic::stream_protocol::endpoint& endpoint);

}  // namespace hoplock::net
