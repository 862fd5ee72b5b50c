// SPDX-License-Identifier: Apache-2.0
// Rdata of every type that is parsed; the first octet chooses it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dns/records.h"

using namespace hoplock::dns;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rdata(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      (void)parse_mx(rdata);
      break;
    case 1:
      if (parse_a(rdata).has_value() != (rdata.size() == 4)) std::abort();
      break;
    case 2:
      if (parse_aaaa(rdata).has_value() != (rdata.size() == 16)) std::abort();
      break;
    case 3:
      (void)parse_cname(rdata);
      break;
    case 4:
      if (parse_tlsa(rdata).data.size() + (rdata.size() < 3 ? 0 : 3) > rdata.size()) std::abort();
      break;
    case 5:
      (void)parse_ptr(rdata);
      break;
    default:
      if (const auto text = parse_txt(rdata); text && text->size() >= rdata.size()) std::abort();
  }
  return 0;
}
