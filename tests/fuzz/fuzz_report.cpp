// SPDX-License-Identifier: Apache-2.0
// The strict reader of reports: what it takes is written again, and then read as the same; the reader of others' reports takes anything;
// and gunzip keeps within its limit.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/support/report_reader.h"
#include "tlsrpt/foreign.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/json.h"

using namespace hoplock::tlsrpt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto report = parse_report(text)) {
    const std::string written = to_json(*report);
    const auto again = parse_report(written);
    if (!again || to_json(*again) != written) std::abort();
  }
  static_cast<void>(read_foreign(text));
  if (const auto plain = gunzip(text, 100'000); plain && plain->size() > 100'000) std::abort();
  return 0;
}
