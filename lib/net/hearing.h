// SPDX-License-Identifier: Apache-2.0
// Whether anybody answers over UDP at all: one question to several addresses at once, put again each second, until the first answer
// comes, all have refused, or the time is over. Who it was and what was said is nobody's business here.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "net/condition.h"
#include "net/stream.h"

namespace hoplock::net {

struct Hearing {
  bool answered = false;
  std::string silence;  // how nobody answered: "no answer", or what the system says of the last one that refused
};

// `is_answer`: whether a datagram from one of them answers the question. REQUIRES: `to` has one element at least.
boost::asio::awaitable<Hearing> hear(std::vector<Endpoint> to, std::string question,
                                     std::function<bool(std::string_view)> is_answer, SteadyTime deadline);

}  // namespace hoplock::net
