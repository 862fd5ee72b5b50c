// SPDX-License-Identifier: Apache-2.0
// What a test's own peers cannot do without.
#pragma once
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace hoplock::support {

// Throws, with what errno says.
inline void must(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace hoplock::support
