// SPDX-License-Identifier: Apache-2.0
// Events as JSON for what is not a log: the history of messages keeps them so.
#pragma once
#include <string>
#include <string_view>

#include "base/log.h"

namespace hoplock {

// {"event":"delivered","to":…}: without time and level, which have columns of their own there.
std::string to_json(const Event& event);
// A JSON string with its quotes.
std::string json_string(std::string_view text);

}  // namespace hoplock
