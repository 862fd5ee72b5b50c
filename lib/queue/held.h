// SPDX-License-Identifier: Apache-2.0
// A destination that is held off, or where mail waits: what whoever looks for some of them goes by.
#pragma once
#include <string>

namespace hoplock::queue {

struct Held {
  std::string destination;
  std::string reply;  // that it is held for
};

struct Waiting {
  std::string destination;
  bool held = false;
  std::string reason;  // that it is held for, or was last
};

}  // namespace hoplock::queue
