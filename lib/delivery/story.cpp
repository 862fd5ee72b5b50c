// SPDX-License-Identifier: Apache-2.0
#include "delivery/story.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/event_json.h"

namespace hoplock::delivery {

namespace {

constexpr std::size_t most_story_octets =
    16U << 10U;  // of the conversations of an attempt: servers may be many, and talk much

// Without what the history knows of the message anyway.
Event without_message(const Event& event) {
  Event out(event.level(), event.name());
  for (const auto& field : event.fields()) {
    if (field.key == "id" || field.key == "from" || field.key == "to") continue;
    if (field.bare)
      out.add_bare(field.key, field.value);
    else
      out.add(field.key, field.value);
  }
  return out;
}

// "mx-not-in-policy 20, dns-failure 8"
std::string reasons_of(const std::vector<Event>& hops) {
  std::map<std::string, std::size_t> counts;
  for (const Event& hop : hops) ++counts[hop.get("reason").empty() ? "no-address" : std::string(hop.get("reason"))];
  std::string text;
  for (const auto& [reason, count] : counts) text += (text.empty() ? "" : ", ") + reason + " " + std::to_string(count);
  return text;
}

}  // namespace

std::vector<Event> within_bounds(std::vector<Event> hops) {
  if (hops.size() <= most_hops) return hops;
  std::vector<char> kept(hops.size(), 0);
  std::size_t places = most_hops - 1;
  kept.back() = 1;
  const auto keep = [&](bool contacted) {
    for (std::size_t i = 0; i + 1 < hops.size() && places > 0; ++i) {
      const bool counts = hops[i].name() != "hop" || !hops[i].get("ip").empty();
      if (kept[i] != 0 || counts != contacted) continue;
      kept[i] = 1;
      --places;
    }
  };
  keep(true);
  keep(false);
  std::vector<Event> out;
  std::vector<Event> rest;
  for (std::size_t i = 0; i < hops.size(); ++i) (kept[i] != 0 ? out : rest).push_back(std::move(hops[i]));
  Event count(Level::warn, "hop");
  count.add("id", std::string(rest.front().get("id"))).add("domain", std::string(rest.front().get("domain")));
  count.add("count", static_cast<std::int64_t>(rest.size()));
  count.add("reply", std::to_string(rest.size()) + " more hosts were refused: " + reasons_of(rest));
  count.add("action", std::string(rest.back().get("action")));
  out.push_back(std::move(count));
  return out;
}

std::vector<Event> conversations(const Attempt& attempt) {
  std::vector<Event> events;
  std::size_t octets = 0;
  for (std::size_t i = 0; i < attempt.hops.size() && octets < most_story_octets; ++i) {
    const Hop& hop = attempt.hops[i];
    const bool failed =
        std::any_of(attempt.recipients.begin(), attempt.recipients.end(),
                    [&](const RecipientOutcome& one) { return one.hop == i && one.fate != Fate::delivered; });
    if ((!failed && !hop.refusal) || hop.conversation.lines().empty()) continue;
    std::string lines;
    for (const std::string& line : hop.conversation.lines()) lines += (lines.empty() ? "[" : ",") + json_string(line);
    octets += lines.size();
    Event event(Level::info, "conversation");
    event.add("mx", hop.mx);
    if (hop.ip) event.add("ip", hop.ip->text());
    event.add_bare("lines", lines + "]");
    events.push_back(std::move(event));
  }
  return events;
}

std::string story(const std::vector<Event>& hops, const std::vector<Event>& recipients) {
  std::string out;
  for (const Event& hop : hops) out += (out.empty() ? "" : "\n") + to_json(without_message(hop));
  std::vector<std::pair<std::string, std::string>> groups;  // what became of them, and who they are
  for (const Event& one : recipients) {
    std::string text = to_json(without_message(one));
    std::string who = json_string(one.get("to"));
    if (!groups.empty() && groups.back().first == text) {
      groups.back().second += "," + who;
    } else {
      groups.emplace_back(std::move(text), std::move(who));
    }
  }
  for (auto& [text, who] : groups) {
    text.pop_back();  // its closing brace
    out += (out.empty() ? "" : "\n") + text + ",\"to\":[" + who + "]}";
  }
  return out;
}

}  // namespace hoplock::delivery
