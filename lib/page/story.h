// SPDX-License-Identifier: Apache-2.0
// A message's history as values: what the JSON lines of its rows say, in the keys of delivery/history_entry.h. Text in them is of foreign
// origin. Pure.
#pragma once
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/looks.h"

namespace hoplock::page {

struct StoryEvent {
  Time at{};
  std::string name;  // "accepted", "delivered", "conversation"
  boost::json::object all;

  std::string text(std::string_view key) const;               // "" where there is none
  std::vector<std::string> list(std::string_view key) const;  // a text alone is a list of one
};

struct Story {
  store::Id id;
  std::string from;  // "<>": the empty sender
  std::vector<std::string> to;
  std::optional<Time> received;  // nothing: the history knows nothing of it
  std::vector<StoryEvent> events;
  std::uint64_t left_out = 0;  // behind the first event

  // How it ended so far: "delivered", "bounced", "expired", "removed" or "deferred" by the recipient that fared worst, each by what
  // became of it last; where that is not known of one, by the worst of all. "": it was not tried.
  std::string_view ending() const;
};
Story story_of(const store::Tail& tail);

// "delivered"; of a host that was refused "refused", or "let pass" where the rule is only watched
std::string word_of(const StoryEvent& event);
// "mx.example.org[192.0.2.1]"
std::string host_of(const StoryEvent& event);
// "DANE, TLSv1.3 TLS_AES_256_GCM_SHA384, proved by dane-ee (TLSA 3 1 1)"
std::string proof_of(const StoryEvent& event);

}  // namespace hoplock::page
