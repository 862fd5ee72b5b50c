// SPDX-License-Identifier: Apache-2.0
#include "monitor/page.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "base/version.h"

namespace hoplock::monitor {

namespace {

constexpr std::size_t longest_text = 300;
constexpr std::size_t most_rows = 40;  // of the last hour

constexpr std::string_view head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="30">
<style>
:root { color-scheme: light dark; --line: #d5d8dc; --dim: #5c6670; --good: #16703a; --bad: #b3201b; --back: #fff; --text: #16191d }
@media (prefers-color-scheme: dark) { :root { --line: #363c44; --dim: #9aa5b1; --good: #5fd38d; --bad: #ff7b72; --back: #14171a; --text: #e3e6ea } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 66rem; margin: 1.5rem auto; padding: 0 1rem; background: var(--back); color: var(--text) }
h1 { font-size: 1.35rem; margin: 0 0 .2rem } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem }
p { margin: .2rem 0 } .dim { color: var(--dim) } .good { color: var(--good) } .bad { color: var(--bad) }
.verdict { font-size: 1.15rem; font-weight: 600; margin: .8rem 0 .3rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .22rem .8rem .22rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere }
th { font-weight: 600; color: var(--dim) } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal }
</style>
)";

std::string count(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), "\u2009");  // thin space
  return digits;
}

std::string octets(std::uint64_t number) {
  constexpr std::array<std::string_view, 5> units = {" B", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  for (; number >= 10240 && unit + 1 < units.size(); ++unit) number /= 1024;
  return count(number) + std::string(units[unit]);
}

std::string age(Milliseconds time) {
  const std::int64_t s = std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(time).count());
  const auto two = [](std::int64_t a, std::string_view x, std::int64_t b, std::string_view y) {
    return std::to_string(a) + std::string(x) + (b == 0 ? "" : " " + std::to_string(b) + std::string(y));
  };
  if (s < 60) return std::to_string(s) + " s";
  if (s < 3600) return two(s / 60, " min", s % 60, " s");
  if (s < 86400) return two(s / 3600, " h", s % 3600 / 60, " min");
  return two(s / 86400, " d", s % 86400 / 3600, " h");
}

std::string age_of(const std::optional<Time>& oldest, Time now) { return oldest ? age(now - *oldest) : ""; }

// Rows of cells that are HTML already. A heading that begins with '#' is of numbers.
class Table {
 public:
  explicit Table(const std::vector<std::string_view>& headings) {
    html_ = "<table>\n<tr>";
    for (const auto heading : headings) {
      numbers_.push_back(heading.starts_with('#'));
      html_ += numbers_.back() ? "<th class=\"n\">" : "<th>";
      html_ += escaped(heading.substr(numbers_.back() ? 1 : 0)) + "</th>";
    }
    html_ += "</tr>\n";
  }
  void row(const std::vector<std::string>& cells) {
    html_ += "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i)
      html_ += (numbers_[i] ? "<td class=\"n\">" : "<td>") + cells[i] + "</td>";
    html_ += "</tr>\n";
  }
  std::string end() { return html_ + "</table>\n"; }

 private:
  std::vector<bool> numbers_;
  std::string html_;
};

// Text that may change the writing direction keeps to itself.
std::string foreign(std::string_view text) { return text.empty() ? "" : "<bdi>" + escaped(text) + "</bdi>"; }

std::string dim(const std::string& html) { return "<p class=\"dim\">" + html + "</p>\n"; }

std::string health(const View& view) {
  if (view.problems.empty()) return "<p class=\"verdict good\">&#10003; All is well</p>\n";
  std::string html =
      "<p class=\"verdict bad\">&#10007; " +
      (view.problems.size() == 1 ? std::string("Something is") : count(view.problems.size()) + " things are") +
      " wrong</p>\n<ul>\n";
  for (const Problem& one : view.problems)
    html += "<li class=\"bad\"><b>" + escaped(one.name) + "</b>: " + foreign(one.text) + "</li>\n";
  return html + "</ul>\n";
}

std::string queue(const Survey& survey, Time now) {
  const queue::Stats& stats = survey.queue;
  std::string html = "<h2>Queue</h2>\n<p>" + count(stats.messages) + (stats.messages == 1 ? " message" : " messages");
  if (stats.oldest) html += ", the oldest " + age_of(stats.oldest, now) + " old";
  html += "</p>\n";
  if (stats.states.empty()) return html;
  Table table({"state", "#recipients", "#oldest"});
  for (const auto& one : stats.states)
    table.row({escaped(one.state), count(one.count.count), age_of(one.count.oldest, now)});
  return html + table.end();
}

std::string next_hops(const Survey& survey, Time now) {
  if (survey.queue.hops.empty()) return "";
  Table table({"next hop", "#recipients", "#oldest", "why it waits"});
  for (const auto& one : survey.queue.hops)
    table.row({foreign(one.name), count(one.count.count), age_of(one.count.oldest, now), foreign(one.reason)});
  std::string html = "<h2>Where mail waits</h2>\n" + table.end();
  const std::size_t shown = survey.queue.hops.size();
  if (survey.hops > shown) html += dim("and " + count(survey.hops - shown) + " more: <code>hoplock queue stats</code>");
  return html;
}

std::string domains(const Survey& survey, Time now) {
  if (survey.queue.domains.empty()) return "";
  Table table({"domain", "#recipients", "#oldest", "why it waits"});
  for (const auto& one : survey.queue.domains)
    table.row({foreign(one.domain), count(one.count.count), age_of(one.count.oldest, now), foreign(one.reason)});
  std::string html = "<h2>Domains whose mail waits</h2>\n" + table.end();
  const std::size_t shown = survey.queue.domains.size();
  if (survey.domains > shown)
    html += dim("and " + count(survey.domains - shown) + " more domains: <code>hoplock queue stats</code>");
  return html;
}

std::string last_hour(const View& view) {
  std::string html = "<h2>The last hour</h2>\n";
  if (view.last_hour.empty()) return html + dim("No delivery was attempted.");
  Table table({"#recipients", "outcome", "policy", "tls", "auth", "reason"});
  for (std::size_t i = 0; i < view.last_hour.size() && i < most_rows; ++i) {
    const auto& one = view.last_hour[i];
    table.row({count(one.count), escaped(one.outcome), escaped(one.policy), escaped(one.tls), escaped(one.auth),
               escaped(one.reason)});
  }
  html += table.end();
  if (view.last_hour.size() > most_rows)
    html += dim("and " + count(view.last_hour.size() - most_rows) + " rarer kinds");
  return html;
}

std::string policies(const View& view, const Survey& survey) {
  const auto& found = survey.policies;
  std::string html = "<h2>MTA-STS policies</h2>\n<p>" + count(found.in_force) + " in force, " + count(found.lapsed) +
                     " lapsed, " + count(found.failing) + " whose last fetch failed</p>\n";
  return html + dim("Fetches in the last hour: " + count(view.fetches.good) + " good, " + count(view.fetches.failed) +
                    " failed. <code>hoplock sts list</code>");
}

std::string reports(const Survey& survey) {
  const auto& found = survey.reports;
  std::string html = "<h2>TLS reports of yesterday</h2>\n";
  if (found.states.empty()) return html + dim("Nothing was counted.");
  html += "<p>" + count(found.sessions) + " sessions, of which " + count(found.failures) + " failed</p>\n";
  Table table({"report", "#domains"});
  for (const auto& one : found.states) table.row({escaped(to_text(one.state)), count(one.accounts)});
  return html + table.end() + dim("<code>hoplock tlsrpt list</code>");
}

std::string machine(const View& view) {
  const DaemonStatus& status = view.status;
  std::string html = "<h2>This process</h2>\n";
  Table table({"", "#"});
  table.row({"clients connected", count(status.open_connections)});
  table.row({"outbound sessions", count(status.lanes)});
  table.row({"free for mail", octets(status.free_octets)});
  table.row({"memory", octets(status.resident_octets)});
  return html + table.end();
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : to_one_line(text, longest_text)) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string to_html(const View& view) {
  const DaemonStatus& status = view.status;
  const std::string title = escaped(status.hostname);
  std::string html(head);
  html += "<title>" + std::string(view.problems.empty() ? "" : "\u2717 ") + title +
          " \u2013 hoplock</title>\n</head>\n<body>\n";
  html += "<h1>" + title + "</h1>\n";
  html += dim("hoplock " + escaped(HOPLOCK_VERSION) + ", up for " + age(status.now - status.started) + ", at " +
              to_rfc3339(status.now));
  html += health(view);
  if (view.survey != nullptr) {
    html += queue(*view.survey, status.now) + next_hops(*view.survey, status.now) + domains(*view.survey, status.now) +
            last_hour(view);
    html += policies(view, *view.survey) + reports(*view.survey) + machine(view);
    html += dim("The database was read " + age(status.now - view.survey->taken) + " ago.");
  } else {
    html += dim("The database is being read; reload in a moment.") + last_hour(view) + machine(view);
  }
  return html + "</body>\n</html>\n";
}

}  // namespace hoplock::monitor
