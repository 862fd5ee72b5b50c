// SPDX-License-Identifier: Apache-2.0
// hoplock.yaml: whatever the text, complaints or a configuration that prints and reads back as itself.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/reader.h"
#include "config/show.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16384) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto loaded = hoplock::config::read_text(text, "fuzz.yaml", "/etc/hoplock");
  if (!loaded.errors.empty()) return 0;
  const std::string shown = hoplock::config::to_yaml(loaded.config);
  const auto again = hoplock::config::read_text(shown, "shown.yaml", "/etc/hoplock");
  if (!again.errors.empty() || hoplock::config::to_yaml(again.config) != shown) std::abort();
  return 0;
}
