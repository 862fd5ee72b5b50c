// SPDX-License-Identifier: Apache-2.0
// The certificates that a peer sent in its handshake, as they came.
#pragma once
#include <string>
#include <vector>

#include "net/stream.h"

namespace hoplock::net {

// DER, leaf first; empty in clear. For people who look at a live host; what a check needs, ClientTls takes by itself.
std::vector<std::string> peer_chain(const Stream& stream);

}  // namespace hoplock::net
