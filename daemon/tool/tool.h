// SPDX-License-Identifier: Apache-2.0
// The operator's tool as a function: words in, text out, exit code back. `hoplock.cpp` is its only caller beside the tests.
#pragma once
#include <cstdint>
#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/time.h"

namespace hoplock::daemon::tool {

// Where the output goes. `width` only when standard output is a terminal; then nothing raw is ever written to it.
struct Console {
  std::ostream& out;
  std::ostream& err;
  std::optional<std::size_t> width;
  Time now;
  std::istream* in = nullptr;  // set when a person can answer: standard input and output are terminals
  enum class Colour : std::uint8_t { none, ansi } colour = Colour::none;
};

// The exit code (sysexits). Without the program's name in `words`.
int run(std::vector<std::string> words, Console console);

}  // namespace hoplock::daemon::tool
