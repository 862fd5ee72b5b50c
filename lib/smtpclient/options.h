// SPDX-License-Identifier: Apache-2.0
// What a session is opened with, whatever host it leads to: our name and addresses, and how long anything may take.
#pragma once
#include <chrono>
#include <optional>

#include "base/ip.h"
#include "dns/name.h"

namespace hoplock::smtpclient {

struct Options {
  dns::Name hostname;  // said in EHLO
  std::optional<Ip> source_ipv4;
  std::optional<Ip> source_ipv6;
  std::chrono::milliseconds connect_timeout{30'000};
  std::chrono::milliseconds command_timeout{std::chrono::minutes{5}};
  std::chrono::milliseconds data_timeout{std::chrono::minutes{10}};  // for the answer to the final dot
};

}  // namespace hoplock::smtpclient
