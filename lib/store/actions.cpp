// SPDX-License-Identifier: Apache-2.0
#include "store/actions.h"

namespace hoplock::store {

std::string_view to_text(Action action) {
  switch (action) {
    case Action::retry:
      return "retry";
    case Action::hold:
      return "hold";
    case Action::release:
      return "release";
    case Action::remove:
      return "remove";
    case Action::bounce:
      return "bounce";
  }
  return "";
}

}  // namespace hoplock::store
