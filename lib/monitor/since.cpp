// SPDX-License-Identifier: Apache-2.0
#include "monitor/since.h"

#include <boost/json/parse.hpp>
#include <ranges>
#include <string_view>

#include "base/ascii.h"

namespace hoplock::monitor {

namespace {

std::string_view word_of(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

// Why the attempt of this event failed at the domain; nothing: it tells of something else.
std::optional<std::string> failure_in(const store::Traced::Entry& entry, const std::string& domain) {
  for (const std::string_view line : split(entry.text, '\n')) {
    if (line.find("\"deferred\"") == std::string_view::npos) continue;
    error_code bad;
    const auto value = boost::json::parse(line, bad);
    if (bad || !value.is_object()) continue;
    const auto& event = value.get_object();
    if (word_of(event, "event") == "deferred" && word_of(event, "domain") == domain)
      return std::string(word_of(event, "reason"));
  }
  return std::nullopt;
}

}  // namespace

std::optional<Time> failing_since(const store::Traced& story, const store::DomainWait& wait) {
  std::optional<Time> since;
  for (const auto& entry : std::views::reverse(story.events)) {
    const auto failure = failure_in(entry, wait.domain);
    if (!failure) continue;
    if (*failure != wait.reason) break;
    since = entry.at;
  }
  return since;
}

}  // namespace hoplock::monitor
