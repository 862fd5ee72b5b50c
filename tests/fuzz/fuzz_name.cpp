// SPDX-License-Identifier: Apache-2.0
// Names as text and from wire format: what is accepted is canonical, and parses to itself.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dns/name.h"

using hoplock::dns::Name;

namespace {
void check(const Name& name) {
  const auto again = Name::parse(name.text());
  if (!again || *again != name || name.text().size() > 253 || name.text().empty()) std::abort();
  for (const char c : name.text()) {
    if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z')) std::abort();
  }
  if (!name.is_within(name.parent()) || (!name.is_root() && name.parent().labels() + 1 != name.labels())) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto name = Name::parse(input)) check(*name);
  if (const auto name = Name::from_wire(input)) check(*name);
  return 0;
}
