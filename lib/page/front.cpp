// SPDX-License-Identifier: Apache-2.0
#include "page/front.h"

#include <algorithm>

#include "base/version.h"
#include "page/frame.h"
#include "page/markup.h"
#include "page/waiting.h"

namespace hoplock::page {

namespace {

using monitor::DaemonStatus;
using monitor::Survey;

constexpr std::size_t most_rows = 25;  // of the last hour
constexpr std::size_t longest_remark = 600;

std::string verdict_html(const Verdict& verdict) {
  std::string html = "<section data-part=\"verdict\" class=\"verdict " + std::string(to_text(verdict.mood)) +
                     "\" aria-live=\"polite\">\n<h1>" + foreign(verdict.sentence) + "</h1>\n";
  if (verdict.remarks.empty()) return html + "</section>\n";
  html += "<ul>\n";
  for (const Remark& one : verdict.remarks)
    html += "<li class=\"" + std::string(to_text(one.mood)) + "\">" + foreign(one.text, longest_remark) + ". " +
            command_html(one.command) +
            (one.problem.empty() ? ""
                                 : " <code title=\"in /healthz and the metrics\">" + escaped(one.problem) + "</code>") +
            "</li>\n";
  return html + "</ul>\n</section>\n";
}

std::string figure(const std::string& value, std::string_view name) {
  return "<div><dt>" + std::string(name) + "</dt><dd>" + value + "</dd></div>\n";
}

std::uint64_t last_hour_of(const View& view, std::string_view outcome) {
  std::uint64_t sum = 0;
  for (const auto& one : view.last_hour)
    if (one.outcome == outcome) sum += one.count;
  return sum;
}

std::string figures(const View& view) {
  std::string html = "<section data-part=\"figures\" aria-label=\"Figures\">\n<dl class=\"figures\">\n";
  if (view.survey != nullptr && !view.survey->unread.queue.empty()) {
    html += figure("not known", "messages queued");
  } else if (view.survey != nullptr) {
    const store::Stats& stats = view.survey->queue;
    html += figure(count(stats.messages), stats.messages == 1 ? "message queued" : "messages queued");
    html += figure(stats.oldest ? age(view.status.now - *stats.oldest) : "\u2013", "age of the oldest");
  }
  html += figure(count(last_hour_of(view, "delivered")), "delivered in the last hour");
  html += figure(count(last_hour_of(view, "deferred")), "put off in the last hour");
  html += figure(count(view.status.open_connections), "clients connected");
  html += figure(octets(view.status.free_octets), "free for mail");
  return html + "</dl>\n</section>\n";
}

std::string states(const Survey& survey, Time now) {
  if (survey.queue.states.empty()) return "";
  Table table("Queued recipients by state", {"state", "#recipients", "#oldest"});
  for (const auto& one : survey.queue.states)
    table.row({escaped(one.state), count(one.count.count), one.count.oldest ? age(now - *one.count.oldest) : ""});
  return "<section data-part=\"queue\" aria-labelledby=\"queue\">\n<h2 id=\"queue\">Queue</h2>\n" + table.end() +
         "</section>\n";
}

std::string last_hour(const View& view) {
  std::string html = "<section data-part=\"hour\" aria-labelledby=\"hour\">\n<h2 id=\"hour\">The last hour</h2>\n";
  if (view.last_hour.empty()) return html + dim("No delivery was attempted.") + "</section>\n";
  Table table("Attempts of the last hour", {"#recipients", "outcome", "policy", "tls", "auth", "reason"});
  for (std::size_t i = 0; i < view.last_hour.size() && i < most_rows; ++i) {
    const auto& one = view.last_hour[i];
    table.row({count(one.count), escaped(one.outcome), escaped(one.policy), escaped(one.tls), escaped(one.auth),
               escaped(one.reason)});
  }
  html += table.end();
  if (view.last_hour.size() > most_rows)
    html += dim("and " + count(view.last_hour.size() - most_rows) + " rarer kinds");
  return html + "</section>\n";
}

std::string policies(const View& view) {
  const auto& found = view.survey->policies;
  const std::string& unread = view.survey->unread.policies;
  const std::string kept = !unread.empty() ? "What is kept could not be read: " + foreign(unread)
                                           : count(found.in_force) + " in force, " + count(found.lapsed) + " lapsed, " +
                                                 count(found.failing) + " whose last fetch failed";
  return "<section data-part=\"policies\" aria-labelledby=\"policies\">\n<h2 id=\"policies\">MTA-STS "
         "policies</h2>\n<p>" +
         kept + ". Fetches in the last hour: " + count(view.fetches.good) + " good, " + count(view.fetches.failed) +
         " failed. <code>hoplock sts list</code></p>\n</section>\n";
}

std::string reports(const Survey& survey) {
  const auto& found = survey.reports;
  std::string html =
      "<section data-part=\"reports\" aria-labelledby=\"reports\">\n<h2 id=\"reports\">TLS reports of yesterday</h2>\n";
  if (!survey.unread.reports.empty())
    return html + dim("They could not be read: " + foreign(survey.unread.reports)) + "</section>\n";
  if (found.states.empty()) return html + dim("Nothing was counted.") + "</section>\n";
  html += "<p>" + counted(found.sessions, "session") + ", of which " + count(found.failures) +
          " failed. <code>hoplock tlsrpt list</code></p>\n";
  Table table("TLS reports of yesterday by state", {"report", "#domains"});
  for (const auto& one : found.states) table.row({escaped(to_text(one.state)), count(one.accounts)});
  return html + table.end() + "</section>\n";
}

std::string nodes(const DaemonStatus& status) {
  if (!status.cluster) return "";
  const monitor::ClusterStatus& cluster = *status.cluster;
  Table table("Nodes that share the store", {"node", "state", "version", "#last beat"});
  std::vector<const monitor::ClusterStatus::Node*> all;
  for (const auto& one : cluster.seen) all.push_back(&one);
  std::stable_sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->state < b->state; });
  for (std::size_t i = 0; i < all.size() && i < most_rows; ++i)
    table.row({foreign(all[i]->name) + (all[i]->self ? " (this one)" : ""), escaped(all[i]->state),
               escaped(all[i]->version), all[i]->state == "alive" ? age(all[i]->quiet) + " ago" : ""});
  return "<section data-part=\"nodes\" aria-labelledby=\"nodes\">\n<h2 id=\"nodes\">Nodes</h2>\n" + table.end() +
         "<p>" + foreign(cluster.server) + ": " +
         (cluster.synchronous ? "a synchronous standby has what is committed" : "no synchronous standby") +
         ". <code>hoplock nodes</code></p>\n</section>\n";
}

std::string machine(const DaemonStatus& status) {
  const auto fact = [](std::string_view name, const std::string& value) {
    return "<dt>" + std::string(name) + "</dt><dd>" + value + "</dd>\n";
  };
  const std::string facts = fact("outbound sessions", count(status.workers)) +
                            fact("next hops with work", count(status.destinations)) +
                            fact("memory", octets(status.resident_octets)) +
                            fact("database", octets(status.database_octets + status.log_octets));
  return "<section data-part=\"process\" aria-labelledby=\"process\">\n<h2 id=\"process\">This process</h2>\n<dl "
         "class=\"facts\">\n" +
         facts + "</dl>\n</section>\n";
}

}  // namespace

std::string to_html(const View& view, const std::string& pictures) {
  const DaemonStatus& status = view.status;
  const Verdict verdict = verdict_of(view);
  Frame frame;
  frame.hostname = status.hostname;
  frame.mood = verdict.mood;
  frame.title = verdict.mood == Mood::good ? "" : verdict.sentence;
  frame.foot = "hoplock " + escaped(HOPLOCK_VERSION) + ", up for " + age(status.now - status.started) + ", at " +
               moment_html(status.now, status.now);
  std::string main = verdict_html(verdict) + figures(view) + pictures;
  if (view.survey != nullptr) {
    const auto trouble = status.dns_silence || status.validation_failure ? Trouble::look_ups : Trouble::none;
    main += waiting_html(*view.survey, trouble, status.now) + states(*view.survey, status.now);
    main += last_hour(view) + policies(view) + reports(*view.survey) + nodes(status) + machine(status);
    const bool whole = view.survey->error.empty();
    frame.foot += whole ? ". The database was read " : ". Not all of the database could be read ";
    frame.foot += age(status.now - view.survey->taken) + " ago.";
  } else {
    main += last_hour(view) + nodes(status) + machine(status);
    frame.foot += ". The database is being read.";
  }
  return in_frame(frame, main);
}

}  // namespace hoplock::page
