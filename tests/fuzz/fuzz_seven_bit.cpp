// SPDX-License-Identifier: Apache-2.0
// Conversion to 7-bit MIME. Held: the outcome does not depend on the split, what comes out is 7-bit lines, and converting it again
// changes nothing.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "message/seven_bit.h"

using namespace hoplock::message;

namespace {

void require(bool held) {
  if (!held) std::abort();
}

std::string run(SevenBit& reader, std::string_view octets, std::size_t step) {
  std::string out;
  for (; !octets.empty(); octets.remove_prefix(std::min(step, octets.size()))) reader.feed(octets.substr(0, step), out);
  reader.finish(out);
  return out;
}

SevenBitPlan plan_of(std::string_view octets, std::size_t step) {
  SevenBit first;
  require(run(first, octets, step).empty());
  return first.plan();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view octets(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = data[0] % 61 + 1U;
  const SevenBitPlan plan = plan_of(octets, step), whole = plan_of(octets, octets.size() + 1);
  require(plan.obstacle == whole.obstacle && plan.encode == whole.encode);
  if (plan.obstacle != Obstacle::none) return 0;
  SevenBit second(plan);
  const std::string out = run(second, octets, step);
  for (std::size_t i = 0; i < out.size(); ++i) {
    require(static_cast<unsigned char>(out[i]) < 0x80 && out[i] != '\0');
    if (out[i] == '\n') require(i > 0 && out[i - 1] == '\r');
  }
  return 0;
}
