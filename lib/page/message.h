// SPDX-License-Identifier: Apache-2.0
// A message's page: who, to whom, how it stands, and its history as a timeline. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "page/story.h"
#include "store/readers.h"

namespace hoplock::page {

// What was read of one message.
struct MessageLook {
  Story story;
  std::optional<store::MessageView> queued;  // nothing: it is not in the queue any more
  // Why a part could not be read; "": it was. Of one that was not nothing is known.
  struct Unread {
    std::string history, queue;
  } unread;
};
std::string message_html(const MessageLook& look, Time now);
// The timeline alone; conversations fold.
std::string timeline_html(const Story& story, Time now);
// A list of messages, newest first.
std::string messages_html(const std::vector<Story>& stories, Time now);

}  // namespace hoplock::page
