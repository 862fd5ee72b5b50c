// SPDX-License-Identifier: Apache-2.0
#include "page/domain.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "mtasts/policy.h"
#include "page/chart.h"
#include "page/markup.h"
#include "page/message.h"

namespace hoplock::page {

namespace {

constexpr std::size_t longest_said_there = 1000;
constexpr std::size_t most_failures = 10;
constexpr std::size_t most_hosts = 20;
constexpr std::size_t most_messages = 25;

bool is_attempt(const StoryEvent& event) {
  return event.name == "delivered" || event.name == "deferred" || event.name == "bounced" || event.name == "expired" ||
         event.name == "hop";
}

bool is_of(const StoryEvent& event, const DomainLook& look) {
  return is_attempt(event) && event.text("domain") == look.domain.text();
}

std::string section(std::string_view name, std::string_view heading, const std::string& html) {
  return "<section data-part=\"" + std::string(name) + "\">\n<h2>" + std::string(heading) + "</h2>\n" + html +
         "</section>\n";
}

std::string not_read(std::string_view what, const std::string& why) {
  return dim(std::string(what) + " could not be read: " + foreign(why));
}

std::string waiting(const DomainView& view) {
  const std::string& unread = view.look.unread.mail;
  if (!view.look.wait && !unread.empty()) return not_read("Whether mail waits", unread);
  if (!view.look.wait) return "<p>No mail waits for this domain.</p>\n";
  const store::DomainWait& wait = *view.look.wait;
  std::string html = "<p>Mail for " + counted(wait.count.count, "recipient") + " waits";
  if (wait.count.oldest) html += ", the oldest for " + age(view.now - *wait.count.oldest);
  if (const auto since = wait.since ? wait.since : wait.last) html += "; failing since " + moment_html(since, view.now);
  html += wait.next ? "; next try " + moment_html(std::max(*wait.next, view.now), view.now) : "; all of it is held";
  html += ".</p>\n";
  if (const auto text = said_of(wait); !text.empty()) html += "<p>" + foreign(text, longest_said_there) + "</p>\n";
  return html + to_html(advice_for(wait, view.nexthop, view.trouble));
}

std::string policy_facts(const DomainLook& look, Time now) {
  const auto& row = look.policy;
  if (!row && !look.unread.policy.empty()) return not_read("MTA-STS: what is kept", look.unread.policy);
  if (!row) return dim("MTA-STS: no policy is kept, and no fetch failed.");
  std::string html = "<dl class=\"facts\">\n<dt>MTA-STS</dt><dd>";
  const auto policy =
      row->text ? mtasts::parse_policy(*row->text) : Result<mtasts::Policy>(bad_input("no policy is kept"));
  if (policy) {
    html += "mode " + std::string(to_text(policy->mode));
    for (const auto& one : policy->mx) html += (&one == &policy->mx.front() ? ", mx " : ", ") + foreign(to_text(one));
  } else {
    html += foreign(policy.error().detail);
  }
  html += "</dd>\n<dt>last looked at</dt><dd>" + moment_html(row->checked, now) + "</dd>\n";
  if (row->freshness.held)
    html += "<dt>id, and until when</dt><dd>" + foreign(row->freshness.held->id) + ", " +
            moment_html(expires(*row->freshness.held), now) + "</dd>\n";
  if (row->problem)
    html += "<dt>the last fetch failed</dt><dd>" +
            foreign(std::string(to_text(row->problem->reason)) + ": " + row->problem->text) + "</dd>\n";
  return html + "</dl>\n";
}

std::string why_of(const StoryEvent& event) {
  const std::string reason = event.text("reason");
  return reason.empty() ? "" : (event.name == "delivered" ? " in spite of " : ": ") + foreign(reason);
}

// The newest attempt at each host.
std::string hosts_table(const DomainView& view) {
  std::map<std::pair<std::string, std::string>, const StoryEvent*>
      by_host;  // a hostile domain names new ones each time
  for (const Story& story : view.look.stories) {
    for (const StoryEvent& event : story.events) {
      const std::string mx = event.text("mx");
      if (mx.empty() || !is_of(event, view.look)) continue;
      const StoryEvent*& last = by_host[{mx, event.text("ip")}];
      if (last == nullptr || last->at <= event.at) last = &event;
    }
  }
  if (by_host.empty() && !view.look.unread.mail.empty()) return not_read("The history", view.look.unread.mail);
  if (by_host.empty()) return dim("No host was tried in the time that the history keeps.");
  std::vector<const StoryEvent*> newest;
  for (const auto& [host, event] : by_host) newest.push_back(event);
  std::stable_sort(newest.begin(), newest.end(),
                   [](const StoryEvent* a, const StoryEvent* b) { return a->at > b->at; });
  Table table("Hosts", {"host", "last try", "how it went", "proof"});
  for (std::size_t i = 0; i < std::min(most_hosts, newest.size()); ++i) {
    const StoryEvent& event = *newest[i];
    table.row({unbroken(host_of(event)), moment_html(event.at, view.now), escaped(word_of(event)) + why_of(event),
               foreign(proof_of(event))});
  }
  std::string html = table.end();
  if (newest.size() > most_hosts) html += dim("and " + count(newest.size() - most_hosts) + " more");
  return html;
}

std::string over_time(const DomainView& view) {
  constexpr std::array<std::string_view, 5> names{"DANE", "MTA-STS", "verified", "encrypted", "in clear"};
  constexpr std::array<int, 5> colors{2, 1, 5, 3, 4};
  const DomainLook& look = view.look;
  const auto first = tlsrpt::day_of(view.now) - std::chrono::days(days_of_proofs - 1);
  if (!look.unread.deliveries.empty()) return not_read("What was delivered", look.unread.deliveries);
  if (look.delivered.empty())
    return dim("Nothing was delivered in the last " + std::to_string(days_of_proofs) + " days.");
  Chart chart;
  chart.kind = Chart::Kind::stacked;
  chart.id = "by-proof";
  chart.title = "Delivered recipients a day, by what proved the host";
  chart.first = Time(first);
  chart.step = std::chrono::days(1);
  for (std::size_t i = 0; i < names.size(); ++i) {
    Chart::Row row{std::string(names[i]), colors[i], {}};
    for (int n = 0; n < days_of_proofs; ++n) {
      const auto day = first + std::chrono::days(n);
      const auto counts = look.delivered.find(day);
      const bool known = look.counted_since && day >= *look.counted_since;
      if (counts != look.delivered.end())
        row.values.emplace_back(static_cast<double>(counts->second[i]));
      else
        row.values.push_back(known ? std::optional(0.) : std::nullopt);
    }
    chart.rows.push_back(std::move(row));
  }
  return to_svg(chart) + "<p>" + command_html("hoplock audit --domain " + look.domain.text()) + "</p>\n";
}

// With what was said there, in the same row of the history.
std::string failures(const DomainView& view) {
  std::string html;
  std::size_t told = 0;
  for (const Story& story : view.look.stories) {
    for (auto event = story.events.rbegin(); event != story.events.rend() && told < most_failures; ++event) {
      if (!is_of(*event, view.look) || event->name == "delivered") continue;
      ++told;
      html += "<li class=\"" + std::string(event->name == "bounced" || event->name == "expired" ? "bad" : "attention") +
              "\">" + moment_html(event->at, view.now) + " <b>" + escaped(word_of(*event)) + "</b> at " +
              foreign(host_of(*event)) + ", message " + message_link(story.id.text());
      html += "<p>" + foreign(event->text("reply"), longest_said_there) + "</p>";
      const auto talk = std::find_if(story.events.begin(), story.events.end(), [&](const StoryEvent& one) {
        return one.name == "conversation" && one.at == event->at && one.text("mx") == event->text("mx");
      });
      if (talk != story.events.end()) {
        html += "<details data-key=\"said " + story.id.text() + std::to_string(told) +
                "\"><summary>what was said</summary><pre>";
        for (const std::string& line : talk->list("lines")) html += foreign(line, longest_said_there) + "\n";
        html += "</pre></details>";
      }
      html += "</li>\n";
    }
  }
  if (html.empty() && !view.look.unread.mail.empty()) return not_read("The history", view.look.unread.mail);
  return html.empty() ? dim("No failure in the messages looked at.") : "<ol class=\"time\">\n" + html + "</ol>\n";
}

std::string reports_table(const DomainLook& look) {
  const std::string& why = look.unread.reports;
  if (look.reports.empty())
    return why.empty() ? dim("No report was counted for this domain.") : not_read("What was counted", why);
  const std::string unread = why.empty() ? "" : not_read("Older ones", why);
  Table table("TLS reports", {"day", "report", "#sessions", "#failed", "sent to"});
  for (const auto& row : look.reports) {
    std::string to;
    for (const auto& one : row.destinations)
      to += (to.empty() ? "" : ", ") + one.rua + (one.error.empty() ? "" : " (" + one.error + ")");
    if (to.empty()) to = row.account.error;
    table.row({tlsrpt::to_text(row.account.key.day), escaped(to_text(row.account.state)), count(row.account.sessions),
               count(row.account.failures), foreign(to, longest_said_there)});
  }
  return table.end() + unread + "<p>" +
         command_html("hoplock tlsrpt show --day " + tlsrpt::to_text(look.reports.front().account.key.day) +
                      " --domain " + look.domain.text()) +
         "</p>\n";
}

}  // namespace

Known known_of(const DomainLook& look) {
  const bool none =
      look.stories.empty() && !look.wait && !look.policy && look.reports.empty() && look.delivered.empty();
  if (!none) return Known::something;
  const DomainLook::Unread& unread = look.unread;
  const bool read = unread.mail.empty() && unread.policy.empty() && unread.reports.empty() && unread.deliveries.empty();
  return read ? Known::nothing : Known::unread;
}

std::string domain_html(const DomainView& view) {
  const DomainLook& look = view.look;
  const std::string name = look.domain.text();
  std::string html = "<section data-part=\"domain\">\n<h1>" + foreign(name) + "</h1>\n" + waiting(view);
  if (!look.wait) html += "<p>" + command_html("hoplock check " + name) + "</p>\n";
  html += "</section>\n";
  html += section("published", "What it publishes, by the last look", policy_facts(look, view.now) + hosts_table(view));
  std::string rules;
  for (const std::string& one : view.rules) rules += "<p>" + foreign(one) + "</p>\n";
  html += section("rules", "Our rules that apply", rules);
  html += section("by-policy", "Deliveries by policy", over_time(view));
  html += section("failures", "Failures", failures(view));
  html += section("reports", "TLS reports", reports_table(look));
  std::vector<Story> newest(look.stories.begin(), look.stories.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                             most_messages, look.stories.size())));
  html += section("messages", "Newest messages",
                  !newest.empty()            ? messages_html(newest, view.now)
                  : look.unread.mail.empty() ? dim("None in the time that the history keeps.")
                                             : not_read("The history", look.unread.mail));
  return html;
}

}  // namespace hoplock::page
