// SPDX-License-Identifier: Apache-2.0
// An EHLO reply: bounded, upper-case mechanisms.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "smtp/capabilities.h"

using namespace hoplock::smtp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reply reply(250, std::nullopt, std::string(reinterpret_cast<const char*>(data), size));
  const Capabilities peer = Capabilities::parse(reply);
  if (!peer.extended || peer.auth.size() > 50 || (peer.size_limit && (!peer.size || *peer.size_limit == 0)))
    std::abort();
  for (const std::string& mechanism : peer.auth) {
    if (mechanism.empty() || mechanism.find_first_of(" \t\r\n") != std::string::npos) std::abort();
    if (std::any_of(mechanism.begin(), mechanism.end(), [](char c) { return c >= 'a' && c <= 'z'; })) std::abort();
  }
  return 0;
}
