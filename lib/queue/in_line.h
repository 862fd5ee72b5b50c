// SPDX-License-Identifier: Apache-2.0
// A destination whose mail is due and waits for a session: what an operator is told of it.
#pragma once
#include <optional>
#include <string>

#include "base/time.h"

namespace hoplock::queue {

struct InLine {
  std::string destination;
  std::string why;            // "all 20 sessions to 192.0.2.1 are in use"
  std::optional<Time> until;  // where a clock decides it
};

}  // namespace hoplock::queue
