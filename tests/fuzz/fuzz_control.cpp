// SPDX-License-Identifier: Apache-2.0
// Lines on the control socket, both ways: whatever comes is read or refused, and what was read comes out the same again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/protocol.h"

using namespace hoplock::control;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (const auto request = parse_request(line)) {
    const std::string text = to_json(*request);
    const auto again = parse_request(text);
    if (!again || to_json(*again) != text) std::abort();
  }
  (void)parse_affected(line);
  (void)parse_active(line);
  (void)parse_status(line);
  return 0;
}
