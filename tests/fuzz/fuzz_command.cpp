// SPDX-License-Identifier: Apache-2.0
// One command line: views stay within the line, a well-formed MAIL or RCPT has a path.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "smtp/command.h"

using namespace hoplock::smtp;

namespace {
bool within(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string line(reinterpret_cast<const char*>(data), size);
  const Command command = parse_command(line);
  if (!within(command.argument, line) || !within(command.path, command.argument)) std::abort();
  for (const Parameter& parameter : command.parameters) {
    if (parameter.keyword.empty() || !within(parameter.keyword, line)) std::abort();
    if (parameter.value && (parameter.value->empty() || !within(*parameter.value, line))) std::abort();
  }
  const bool has_path = command.verb == Verb::mail || command.verb == Verb::rcpt;
  if (!has_path && (!command.path.empty() || !command.parameters.empty())) std::abort();
  return 0;
}
