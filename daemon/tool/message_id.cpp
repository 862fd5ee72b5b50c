// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/message_id.h"

#include "store/id_prefix.h"

namespace hoplock::daemon::tool {

Result<NamedMessage> named_message(store::MailReader& reader, std::string_view word) {
  constexpr std::size_t shown = 5;
  NamedMessage named;
  named.id = store::Id::parse(word);
  if (named.id) return named;
  const std::string quoted = "'" + std::string(word) + "'";
  named.why = "there is no message " + quoted + " in the queue";
  if (word.size() < least_prefix || !store::ids_beginning_with(word)) return named;
  const auto found = reader.beginning_with(word, shown);
  if (!found) return found.error();
  if (found->size() == 1) named.id = found->front();
  if (found->size() < 2) return named;
  named.why = "several messages begin with " + quoted + ":";
  for (const store::Id id : *found) named.why += " " + id.text();
  if (found->size() == shown) named.why += " …";
  return named;
}

}  // namespace hoplock::daemon::tool
