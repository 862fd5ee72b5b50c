// SPDX-License-Identifier: Apache-2.0
// A header scan: the same facts in every split, bounded.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <tuple>

#include "message/header_scan.h"

using namespace hoplock::message;

namespace {
auto scan(std::string_view content, std::size_t step) {
  HeaderScan header("relay.example.net");
  while (!content.empty()) {
    header.feed(content.substr(0, step));
    content.remove_prefix(std::min(step, content.size()));
  }
  header.finish();
  if (header.in_header()) std::abort();
  const HeaderFacts& f = header.facts();
  return std::tuple(f.fields, f.received, f.received_by_us, f.message_id, f.from_fields, f.from, f.tls_required,
                    f.tls_required_value, f.eight_bit_header, f.eight_bit);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  const auto whole = scan(content, 65536);
  if (whole != scan(content, 1) || whole != scan(content, 5)) std::abort();
  const auto& [fields, received, by_us, message_id, from_fields, from, tls, tls_value, eight_header, eight] = whole;
  if (by_us > received || received + from_fields + tls > fields || (eight_header && !eight)) std::abort();
  if (message_id.size() > HeaderScan::max_value || from.size() > HeaderScan::max_value ||
      tls_value.size() > HeaderScan::max_value)
    std::abort();
  return 0;
}
