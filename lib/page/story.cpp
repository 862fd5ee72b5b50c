// SPDX-License-Identifier: Apache-2.0
#include "page/story.h"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <map>
#include <utility>

#include "base/ascii.h"

namespace hoplock::page {

std::string StoryEvent::text(std::string_view key) const {
  const auto* value = all.if_contains(key);
  if (value == nullptr) return "";
  if (value->is_string()) return std::string(value->get_string());
  if (value->is_int64()) return std::to_string(value->get_int64());
  return "";
}

std::vector<std::string> StoryEvent::list(std::string_view key) const {
  std::vector<std::string> texts;
  const auto* value = all.if_contains(key);
  if (value == nullptr) return texts;
  if (value->is_string()) texts.emplace_back(value->get_string());
  if (value->is_array()) {
    for (const auto& one : value->get_array())
      if (one.is_string()) texts.emplace_back(one.get_string());
  }
  return texts;
}

std::string_view Story::ending() const {
  constexpr std::array<std::string_view, 5> worst_first{"remove", "expired", "bounced", "deferred", "delivered"};
  const auto rank = [&](const StoryEvent& event) {
    return static_cast<std::size_t>(std::find(worst_first.begin(), worst_first.end(), event.name) -
                                    worst_first.begin());
  };
  std::map<std::string, std::size_t> last;  // of each recipient
  bool removed = false;
  for (const StoryEvent& event : events) {
    removed = removed || rank(event) == 0;
    if (rank(event) == worst_first.size()) continue;
    for (const std::string& one : event.list("to")) last[one] = rank(event);
  }
  const bool told =
      !to.empty() && std::all_of(to.begin(), to.end(), [&](const auto& one) { return last.contains(one); });
  if (told && !removed) {
    const auto worst =
        std::min_element(last.begin(), last.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return worst_first[worst->second];
  }
  for (const auto word : worst_first) {
    const bool happened =
        std::any_of(events.begin(), events.end(), [&](const StoryEvent& event) { return event.name == word; });
    if (happened) return word == "remove" ? "removed" : word;
  }
  return "";
}

Story story_of(const store::Tail& tail) {
  Story story;
  story.id = tail.traced.id;
  story.left_out = tail.left_out;
  for (const auto& entry : tail.traced.events) {
    for (const std::string_view line : split(entry.text, '\n')) {
      error_code bad;
      auto value = boost::json::parse(line, bad);
      if (bad || !value.is_object()) continue;
      StoryEvent event;
      event.at = entry.at;
      event.all = std::move(value.get_object());
      event.name = event.text("event");
      story.events.push_back(std::move(event));
    }
  }
  if (story.events.empty()) return story;
  const StoryEvent& first = story.events.front();
  story.received = first.at;
  story.from = first.text("from");
  story.to = first.list("to");
  return story;
}

std::string word_of(const StoryEvent& event) {
  if (event.name != "hop") return event.name;
  return event.text("action") == "audit" ? "let pass" : "refused";
}

std::string host_of(const StoryEvent& event) {
  const std::string mx = event.text("mx"), ip = event.text("ip");
  return mx.empty() || ip.empty() || mx == "[" + ip + "]" ? mx : mx + "[" + ip + "]";
}

std::string proof_of(const StoryEvent& event) {
  std::string text = event.text("policy");
  const auto add = [&text](const std::string& more) {
    if (!more.empty()) text += (text.empty() ? "" : ", ") + more;
  };
  const std::string tls = event.text("tls"), cipher = event.text("cipher"), auth = event.text("auth"),
                    tlsa = event.text("tlsa");
  if (!event.text("mx").empty())
    add(tls.empty() || tls == "none" ? "in clear" : tls + (cipher.empty() ? "" : " " + cipher));
  if (!auth.empty())
    add(auth == "none" ? "nothing proves who it is"
                       : "proved by " + auth + (tlsa.empty() ? "" : " (TLSA " + tlsa + ")"));
  if (const auto mx = event.text("mx_dnssec"); !mx.empty()) add("MX " + mx);
  return text;
}

}  // namespace hoplock::page
