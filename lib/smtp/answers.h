// SPDX-License-Identifier: Apache-2.0
// The replies that the parts of Session have in common. For this module's own sources.
#pragma once
#include <string>
#include <string_view>

#include "smtp/session.h"

namespace hoplock::smtp {

inline Answer answer(int code, EnhancedStatus status, std::string_view text, Action action = Action::none) {
  return Answer{Reply(code, status, std::string(text)), action};
}
inline Answer out_of_order(std::string_view text) { return answer(503, {5, 5, 1}, text); }
inline Answer bad_argument(std::string_view text) { return answer(501, {5, 5, 4}, text); }
inline Answer ok() { return answer(250, {2, 0, 0}, "Ok"); }

}  // namespace hoplock::smtp
