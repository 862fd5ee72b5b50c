// SPDX-License-Identifier: Apache-2.0
// A destination that is held off: what whoever looks for some of them goes by.
#pragma once
#include <string>

namespace hoplock::queue {

struct Held {
  std::string destination;
  std::string reply;  // that it is held for
};

}  // namespace hoplock::queue
