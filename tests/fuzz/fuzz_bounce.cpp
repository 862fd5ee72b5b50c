// SPDX-License-Identifier: Apache-2.0
// Notices that a report came back: what is read from them is short, printable, and about a failure that they tell of.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tlsrpt/bounce.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string content(reinterpret_cast<const char*>(data), size);
  const auto bounce = hoplock::tlsrpt::parse_bounce(content);
  if (!bounce) return 0;
  const bool plain = std::all_of(bounce->why.begin(), bounce->why.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!plain || bounce->why.empty() || bounce->why.size() > 500) std::abort();
  if (bounce->message_id.empty() || bounce->report_id.empty() || bounce->report_id.size() > 8192) std::abort();
  return 0;
}
