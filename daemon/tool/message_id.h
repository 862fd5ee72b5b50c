// SPDX-License-Identifier: Apache-2.0
// A message as people name it: by its ID, or by the beginning of it where only one message's ID begins so.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "store/readers.h"

namespace hoplock::daemon::tool {

inline constexpr std::size_t least_prefix = 3;  // characters

struct NamedMessage {
  std::optional<store::Id> id;
  std::string why;  // without an id: a sentence for people
};
// A whole ID stands for itself, known or not. Reads only for a prefix.
Result<NamedMessage> named_message(store::MailReader& reader, std::string_view word);

}  // namespace hoplock::daemon::tool
