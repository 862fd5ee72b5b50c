// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/sts_view.h"

#include <optional>
#include <string_view>

#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

std::optional<mtasts::Policy> parsed(const store::PolicyRow& row) {
  if (!row.text) return std::nullopt;
  auto policy = mtasts::parse_policy(*row.text);
  return policy ? std::optional(std::move(*policy)) : std::nullopt;
}

std::string ago(Time time, Time now) { return time <= now ? age(now - time) + " ago" : "in " + age(time - now); }

json::value failures_of(const store::PolicyRow& row) {
  const auto& failures = row.freshness.failures;
  if (failures.count == 0) return {};
  json::object to;
  to["count"] = failures.count;
  to["last"] = time_or_null(failures.last);
  to["id"] = text_or_null(failures.id);
  return to;
}

// Line by line, each made printable.
void print_policy(const Console& console, std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    console.out << "  " << printable(line) << '\n';
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

}  // namespace

std::string policy_text(const mtasts::Policy& policy) {
  std::string text(mtasts::to_text(policy.mode));
  std::string_view before = " for ";
  for (const auto& one : policy.mx) {
    text += std::string(before) + printable(mtasts::to_text(one));
    before = ", ";
  }
  return text;
}

json::array patterns(const mtasts::Policy& policy) {
  json::array all;
  for (const auto& one : policy.mx) all.emplace_back(clean(mtasts::to_text(one)));
  return all;
}

std::string mode_of(const store::PolicyRow& row) {
  const auto policy = parsed(row);
  return policy ? std::string(mtasts::to_text(policy->mode)) : "-";
}

std::string error_of(const store::PolicyRow& row) {
  return row.problem ? std::string(to_text(row.problem->reason)) + ": " + row.problem->text : "";
}

std::string expiry(const store::PolicyRow& row, Time now) {
  return row.freshness.held ? ago(mtasts::expires(*row.freshness.held), now) : "";
}

json::object to_json(const store::PolicyRow& row) {
  const auto& held = row.freshness.held;
  const auto policy = parsed(row);
  json::object to;
  to["domain"] = clean(row.domain.text());
  to["id"] = held ? text_or_null(held->id) : json::value();
  to["mode"] = policy ? json::value(mtasts::to_text(policy->mode)) : json::value();
  to["max_age"] = held ? json::value(held->max_age.count()) : json::value();
  to["fetched"] = held ? time_or_null(held->fetched) : json::value();
  to["expires"] = held ? time_or_null(mtasts::expires(*held)) : json::value();
  to["checked"] = time_or_null(row.checked);
  to["error"] = text_or_null(error_of(row));
  return to;
}

json::object to_full_json(const store::PolicyRow& row) {
  json::object to = to_json(row);
  const auto policy = parsed(row);
  to["mx"] = policy ? json::value(patterns(*policy)) : json::value();
  to["policy"] = row.text ? json::value(clean(*row.text)) : json::value();
  to["failures"] = failures_of(row);
  return to;
}

json::object to_json(const route::PolicyEvent& news) {
  json::object to;
  to["domain"] = clean(news.domain.text());
  to["action"] = to_text(news.action);
  to["id"] = text_or_null(news.id);
  to["mode"] = news.mode ? json::value(mtasts::to_text(*news.mode)) : json::value();
  to["max_age"] = news.mode ? json::value(news.max_age.count()) : json::value();
  to["expires"] = time_or_null(news.expires);
  to["error"] = text_or_null(news.error);
  return to;
}

void print(const Console& console, const store::PolicyRow& row) {
  auto& out = console.out;
  const auto& [held, failures] = row.freshness;
  out << "Domain:    " << printable(row.domain.text()) << '\n';
  if (held) {
    const Time end = mtasts::expires(*held);
    out << "Id:        " << printable(held->id) << "\nMode:      " << mode_of(row)
        << "\nFetched:   " << moment(held->fetched) << " (" << ago(held->fetched, console.now)
        << ")\nExpires:   " << moment(end) << " ("
        << (mtasts::is_live(*held, console.now) ? ago(end, console.now) : "no longer in force") << ")\n";
  } else {
    out << "Mode:      no policy was ever fetched\n";
  }
  out << "Checked:   " << moment(row.checked) << " (" << ago(row.checked, console.now) << ")\n";
  if (failures.count > 0) {
    out << "Failed:    " << failures.count << (failures.count == 1 ? " time" : " times") << ", at last "
        << moment(failures.last);
    if (!failures.id.empty()) out << " under id " << printable(failures.id);
    out << "\nError:     " << printable(error_of(row)) << '\n';
  }
  if (!row.text) return;
  out << "Policy:\n";
  print_policy(console, *row.text);
}

std::string to_text(const route::PolicyEvent& news, Time now) {
  std::string text = news.domain.text() + ": " + std::string(route::to_text(news.action));
  if (news.action == route::PolicyEvent::Action::failed) return text + ": " + news.error;
  if (news.mode) text += ": " + std::string(mtasts::to_text(*news.mode));
  if (!news.id.empty()) text += ", id " + news.id;
  if (news.expires) text += ", until " + moment(*news.expires) + " (" + ago(*news.expires, now) + ")";
  return news.error.empty() ? text : text + "; " + news.error;
}

}  // namespace hoplock::daemon::tool
