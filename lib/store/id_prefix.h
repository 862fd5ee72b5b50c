// SPDX-License-Identifier: Apache-2.0
// The ids whose text begins in a certain way, as a range: people type the first characters.
#pragma once
#include <optional>
#include <string_view>
#include <utility>

#include "store/id.h"

namespace hoplock::store {

// First and last of the range; nothing when no id can begin so.
std::optional<std::pair<Id, Id>> ids_beginning_with(std::string_view prefix);

}  // namespace hoplock::store
