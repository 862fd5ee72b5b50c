// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/trace_view.h"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <map>

#include "base/ascii.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return "";
  if (value->is_string()) return std::string(value->as_string());
  if (value->is_int64()) return std::to_string(value->as_int64());
  return "";
}

std::vector<std::string> list_of(const json::object& object, std::string_view key) {
  std::vector<std::string> all;
  const auto* value = object.if_contains(key);
  if (value == nullptr) return all;
  if (value->is_string()) all.emplace_back(value->as_string());
  if (value->is_array()) {
    for (const auto& one : value->as_array()) {
      if (one.is_string()) all.emplace_back(one.as_string());
    }
  }
  return all;
}

std::string joined_words(const std::vector<std::string>& all) {
  constexpr std::size_t most = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), most); ++i) text += (i == 0 ? "" : ", ") + printable(all[i]);
  if (all.size() > most) text += " and " + std::to_string(all.size() - most) + " more";
  return text;
}

std::string_view domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view{} : address.substr(at + 1);
}

bool fits(const std::string& address, const TraceSubject& subject) {
  if (subject.by == TraceSubject::By::domain) return equals_ignoring_case(domain_of(address), subject.domain);
  return equals_ignoring_case(address == "<>" ? "" : address, subject.address);
}

// How a message ended whose queue row is gone: by its worst recipient.
std::string_view ending_of(const json::array& events) {
  constexpr std::array<std::string_view, 4> worst_first{"remove", "expired", "bounced", "delivered"};
  for (const auto word : worst_first) {
    for (const auto& event : events) {
      if (text_of(event.as_object(), "event") == word) return word == "remove" ? "removed" : word;
    }
  }
  return "";
}

json::array events_of(const store::Traced& traced) {
  json::array events;
  for (const auto& entry : traced.events) {
    for (const std::string_view line : split(entry.text, '\n')) {
      error_code bad;
      auto value = json::parse(line, bad);
      if (bad || !value.is_object()) continue;
      json::object event;
      event["time"] = to_rfc3339(entry.at);
      for (auto& [key, one] : value.as_object()) event[key] = std::move(one);
      events.push_back(std::move(event));
    }
  }
  return events;
}

// --- the story

std::string where(const json::object& event) {
  const std::string mx = text_of(event, "mx"), ip = text_of(event, "ip");
  if (mx.empty()) return "";
  return ip.empty() || mx == "[" + ip + "]" ? mx : mx + "[" + ip + "]";
}

// "policy dane, TLSv1.3 TLS_AES_256_GCM_SHA384, auth dane-ee (3 1 1), certificate 12ab…"
std::string security(const json::object& event) {
  std::string text = "policy " + text_of(event, "policy");
  const std::string tls = text_of(event, "tls");
  text += tls == "none" || tls.empty() ? ", no TLS" : ", " + tls;
  if (const auto cipher = text_of(event, "cipher"); !cipher.empty()) text += " " + cipher;
  if (const auto auth = text_of(event, "auth"); !auth.empty()) text += ", auth " + auth;
  if (const auto tlsa = text_of(event, "tlsa"); !tlsa.empty()) text += " (TLSA " + tlsa + ")";
  if (const auto mx = text_of(event, "mx_dnssec"); !mx.empty()) text += ", MX " + mx;
  if (const auto cert = text_of(event, "cert"); !cert.empty()) text += ", certificate key " + cert;
  if (const auto src = text_of(event, "src"); !src.empty()) text += ", from " + src;
  return text;
}

void say(const Console& console, const json::object& event, const std::string& text) {
  console.out << "  " << text_of(event, "time") << "  " << printable(text) << '\n';
}
// Below what was said; at a terminal broken between words, of which none is cut: a key's digest is of no use otherwise.
void add(const Console& console, const std::string& text) {
  constexpr std::size_t beside_time = 28, below_time = 6, roomy = 120;
  if (text.empty()) return;
  const std::string margin(console.width.value_or(roomy) < roomy ? below_time : beside_time, ' ');
  const std::string tame = printable(text);
  if (!console.width) {
    console.out << margin << tame << '\n';
    return;
  }
  std::size_t used = 0;
  for (const std::string_view word : split(tame, ' ')) {
    const bool fits = used > 0 && used + 1 + columns(word) <= *console.width;
    console.out << (fits ? " " : used > 0 ? "\n" + margin : margin) << word;
    used = (fits ? used + 1 : margin.size()) + columns(word);
  }
  console.out << '\n';
}

void tell_attempt(const Console& console, const json::object& event, const std::string& name) {
  const std::string host = where(event);
  const std::string to = joined_words(list_of(event, "to"));
  say(console, event,
      (name == "hop" ? "refused" : name) + (to.empty() ? "" : " " + to) + (host.empty() ? "" : " at " + host));
  if (!host.empty()) add(console, security(event));
  const std::string reason = text_of(event, "reason"), reply = text_of(event, "reply");
  add(console, reason.empty() || reply.find(reason) != std::string::npos ? reply : reason + ": " + reply);
  if (const auto next = text_of(event, "next"); !next.empty()) add(console, "next attempt " + next);
  if (const auto action = text_of(event, "action"); name == "hop" && !action.empty()) add(console, "then: " + action);
  if (const auto note = text_of(event, "note"); !note.empty()) add(console, "note: " + note);
}

void tell_conversation(const Console& console, const json::object& event) {
  say(console, event, "said at " + where(event));
  for (const std::string& line : list_of(event, "lines")) add(console, line);
}

void tell(const Console& console, const json::object& event) {
  const std::string name = text_of(event, "event");
  if (name == "accepted") {
    const std::string msgid = text_of(event, "msgid");
    say(console, event, "accepted from " + text_of(event, "client") + (msgid.empty() ? "" : ", Message-ID " + msgid));
  } else if (name == "notice") {
    say(console, event,
        "told " + joined_words(list_of(event, "to")) + " (" + text_of(event, "action") + ") with message " +
            text_of(event, "as"));
  } else if (name == "retry" || name == "hold" || name == "release" || name == "remove" || name == "bounce") {
    say(console, event, name + " by " + text_of(event, "by"));
  } else if (name == "conversation") {
    tell_conversation(console, event);
  } else {
    tell_attempt(console, event, name);
  }
}

}  // namespace

bool is_about(const json::object& story, const TraceSubject& subject) {
  if (subject.by == TraceSubject::By::id) return true;
  if (fits(text_of(story, "from"), subject)) return true;
  const auto to = list_of(story, "to");
  return std::any_of(to.begin(), to.end(), [&](const std::string& one) { return fits(one, subject); });
}

json::object to_json(const store::Traced& traced, std::string_view state_in_queue) {
  json::object story;
  json::array events = events_of(traced);
  story["id"] = traced.id.text();
  for (const char* key : {"from", "to", "size", "client", "msgid", "envid"}) {
    const auto* value = events.empty() ? nullptr : events.front().as_object().if_contains(key);
    story[key] = value == nullptr ? json::value() : *value;
  }
  story["received"] = events.empty() ? json::value() : events.front().as_object().at("time");
  story["state"] = text_or_null(state_in_queue.empty() ? ending_of(events) : state_in_queue);
  story["queued"] = !state_in_queue.empty();
  story["events"] = std::move(events);
  return story;
}

json::array attempts_of(const store::Traced& traced) {
  constexpr std::array<std::string_view, 4> outcomes{"delivered", "deferred", "bounced", "expired"};
  json::array attempts;
  for (const json::value& value : events_of(traced)) {
    const json::object& event = value.as_object();
    const std::string outcome = text_of(event, "event");
    if (std::find(outcomes.begin(), outcomes.end(), outcome) == outcomes.end()) continue;
    for (const std::string& to : list_of(event, "to")) {
      json::object attempt;
      attempt["time"] = event.at("time");
      attempt["to"] = clean(to);
      const auto* number = event.if_contains("attempt");
      attempt["attempt"] = number == nullptr ? json::value() : *number;
      attempt["outcome"] = clean(outcome);
      attempt["host"] = text_or_null(where(event));
      for (const char* key : {"policy", "tls", "auth", "cert", "dsn", "reply", "reason"})
        attempt[key] = text_or_null(text_of(event, key));
      attempts.push_back(std::move(attempt));
    }
  }
  return attempts;
}

void print_story(const Console& console, const json::object& story) {
  console.out << text_of(story, "id") << "  from " << printable(text_of(story, "from")) << "  to "
              << joined_words(list_of(story, "to")) << "  " << text_of(story, "state") << '\n';
  for (const auto& event : story.at("events").as_array()) tell(console, event.as_object());
  const auto* waiting = story.if_contains("waiting");
  if (waiting == nullptr) return;
  for (const auto& one : waiting->as_array()) {
    const json::object& recipient = one.as_object();
    const std::string next = text_of(recipient, "next"), hop = text_of(recipient, "nexthop");
    console.out << "  " << text_of(recipient, "state") << "  " << printable(text_of(recipient, "to"))
                << (next.empty() ? "" : ", next attempt " + next) << (hop.empty() ? "" : " at " + printable(hop))
                << '\n';
    add(console, text_of(recipient, "why"));
  }
}

}  // namespace hoplock::daemon::tool
