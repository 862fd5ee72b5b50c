// SPDX-License-Identifier: Apache-2.0
// The TXT records at `_mta-sts.<domain>`, one a line: whatever they hold, at most one id of letters and digits comes out, and what is
// said about them fits on a line.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/ascii.h"
#include "mtasts/record.h"

using namespace hoplock;
using State = mtasts::Choice::State;

namespace {
void demand(bool truth) {
  if (!truth) std::abort();
}

bool is_id(const std::string& id) {
  for (const char c : id) {
    if (!is_alpha(c) && !is_digit(c)) return false;
  }
  return !id.empty() && id.size() <= 32;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> texts;
  std::size_t good = 0;
  for (const auto text : split(input, '\n')) {
    texts.emplace_back(text);
    const auto record = mtasts::parse_record(text);
    if (!record) continue;
    ++good;
    demand(is_id(record->id) && text.starts_with("v=STSv1"));
    demand(mtasts::parse_record("v=STSv1; id=" + record->id)->id == record->id);
  }
  const auto choice = mtasts::choose_record(texts);
  demand((choice.state == State::valid) == is_id(choice.id));
  demand(choice.state != State::valid || good == 1);
  demand(choice.state != State::none || good == 0);
  demand(choice.state != State::invalid || !choice.why.empty());
  demand(choice.why.find_first_of("\r\n") == std::string::npos && choice.why.size() < 300);
  return 0;
}
