// SPDX-License-Identifier: Apache-2.0
// Which https hosts answer, kept in memory: few reports at a time for one host, and none for a while when it is silent, so that an
// endpoint that hangs costs its own reports time and nobody else's. Belongs to the loop.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "net/condition.h"

namespace hoplock::reports {

class Endpoints {
 public:
  static constexpr std::size_t most_inside = 2;  // posts to one host at a time

  // Waits for a place. A time: the host is held off until then, and no place was taken; nothing: leave() must follow.
  boost::asio::awaitable<std::optional<Time>> enter(std::string host, Time now);
  enum class Heard : std::uint8_t { something, nothing };
  void leave(const std::string& host, Heard heard, Time now);

 private:
  struct Host {
    std::size_t inside = 0;
    unsigned silences = 0;  // in a row
    Time until{};           // held off
    net::Condition left;
  };
  void tidy(Time now);
  std::map<std::string, Host> hosts_;
};

}  // namespace hoplock::reports
