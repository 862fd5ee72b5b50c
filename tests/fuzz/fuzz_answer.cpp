// SPDX-License-Identifier: Apache-2.0
// DNS messages, as far as this program reads them itself: the aliases of an answer section.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "resolver/convert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  const auto aliases = hoplock::resolver::count_aliases(message);
  // A record takes eleven octets at least, so there are never more than would fit.
  if (aliases && *aliases * 11 > size) std::abort();
  return 0;
}
