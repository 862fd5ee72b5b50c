// SPDX-License-Identifier: Apache-2.0
#include "page/waiting.h"

#include <optional>
#include <utility>
#include <vector>

#include "dsn/explain.h"
#include "hop/names.h"
#include "monitor/health.h"
#include "page/markup.h"
#include "probe/finding.h"
#include "route/table.h"

namespace hoplock::page {

namespace {

constexpr std::size_t longest_reply = 600;

Side side_of(const std::optional<hop::Reason>& reason, std::string_view nexthop, Trouble trouble) {
  if (route::has_hosts(nexthop)) return Side::ours;
  if (!reason) return Side::theirs;
  const auto kind = hop::kind(*reason);
  const bool by_look_up = kind == hop::Kind::lookup || *reason == hop::Reason::dnssec_invalid;
  return by_look_up && trouble == Trouble::look_ups ? Side::ours : Side::theirs;
}

// What explain() has to say: what happened, and what their side would have to mend.
struct Explained {
  std::string what, mend;
};
Explained explained(const store::DomainWait& wait, const std::optional<hop::Reason>& reason) {
  dsn::Recipient recipient;
  recipient.status = wait.status;
  recipient.reply = wait.reply;
  recipient.host = wait.host;
  recipient.reason = reason;
  const auto sentences = dsn::explain(recipient);
  Explained told;
  if (!sentences.empty()) told.what = sentences.front();
  if (sentences.size() > 1) told.mend = sentences[1];
  return told;
}

std::string to_tell(const store::DomainWait& wait, const std::optional<hop::Reason>& reason, const Explained& told) {
  const auto since = wait.since ? wait.since : wait.last;
  std::string text = "Our mail to " + wait.domain + " waits" + (since ? ", since " + to_rfc3339(*since) : "") + ": ";
  text += std::string(reason ? probe::words_of(reason) : "the mail servers refuse us") + " (" + said_of(wait) + ").";
  if (!told.mend.empty()) text += " " + told.mend;
  return text;
}

std::string to_do(std::string_view nexthop, const std::string& retry) {
  if (!route::has_hosts(nexthop)) return "Our own DNS look-ups do not work: mend them, and this mail goes by itself.";
  return "The host is one of our own routes: have it take mail from us again, then run: " + retry;
}

Advice advise(const store::DomainWait& wait, std::string_view nexthop, Trouble trouble, const std::string& retry) {
  Advice advice;
  advice.command = "hoplock check " + wait.domain;
  if (wait.reason.empty() && wait.reply.empty()) {
    advice.why = "Nothing failed yet: it waits for its first try, or for its turn.";
    advice.command.clear();
    return advice;
  }
  const auto reason = hop::parse_reason(wait.reason);
  const Explained told = explained(wait, reason);
  advice.side = side_of(reason, nexthop, trouble);
  advice.why = told.what.empty() ? capital(probe::words_of(reason.value_or(hop::Reason::smtp_reply))) + "." : told.what;
  advice.tell = advice.side == Side::ours ? to_do(nexthop, retry) : to_tell(wait, reason, told);
  return advice;
}

// The word of log and queue; where that only says that there was a reply, with its codes.
std::string reason_of(const store::Wait& wait) {
  if (wait.reason.empty()) return "not tried yet";
  if (hop::parse_reason(wait.reason) != hop::Reason::smtp_reply || wait.shown.empty()) return wait.reason;
  const std::string& reply = wait.shown.front().reply;
  const auto codes = reply.substr(0, reply.find_first_not_of("0123456789. "));
  return codes.size() > 20 ? wait.reason : wait.reason + " " + codes;
}

std::string_view words(Side side) {
  switch (side) {
    case Side::theirs:
      return "theirs to mend";
    case Side::ours:
      return "ours to mend";
    case Side::nobody:
      break;
  }
  return "";
}

std::string side_html(Side side) {
  if (side == Side::nobody) return "";
  return "<span class=\"side " + std::string(side == Side::ours ? "ours" : "theirs") + "\">" +
         std::string(words(side)) + "</span>";
}

std::string domain_rows(const store::Wait& wait, Time now) {
  Table table("Domains behind this next hop", {"domain", "#recipients", "why", "since", "next try"});
  for (const store::DomainWait& one : wait.shown) {
    table.row({domain_link(one.domain), count(one.count.count), foreign(said_of(one), longest_reply),
               moment_html(one.since ? one.since : one.last, now),
               one.next ? moment_html(one.next <= now ? now : one.next, now) : "held"});
  }
  std::string html = table.end();
  if (wait.domains > wait.shown.size())
    html +=
        dim("and " + counted(wait.domains - wait.shown.size(), "more domain") + ": <code>hoplock queue stats</code>");
  return html;
}

std::string summary(const store::Wait& wait, Side side, Time now) {
  std::string html = "<summary><span class=\"who\">" + foreign(route::next_hop(wait.nexthop)) +
                     "</span> <b class=\"n\">" + count(wait.count.count) + "</b> ";
  const auto since = monitor::since(wait);
  html += "<span class=\"why\">" + foreign(reason_of(wait), 120) + "</span> ";
  html += "<span class=\"dim\">" +
          (since ? "since " + moment_html(since, now) : "oldest " + age(now - wait.count.oldest.value_or(now))) +
          "</span> ";
  return html + side_html(side) + "</summary>\n";
}

std::string wait_html(const store::Wait& wait, Trouble trouble, Time now) {
  const Advice advice = advice_for(wait, trouble);
  std::string html = "<li><details data-key=\"" + escaped("wait " + wait.nexthop + " " + wait.reason) + "\">" +
                     summary(wait, advice.side, now);
  html += "<div class=\"inside\">" + to_html(advice) + domain_rows(wait, now) + "</div>";
  return html + "</details></li>\n";
}

}  // namespace

std::string retry_command(const store::Wait& wait) {
  if (wait.domains != 1 || wait.shown.empty()) return "hoplock queue retry --all";
  return "hoplock queue retry --domain " + wait.shown.front().domain;
}

std::string said_of(const store::DomainWait& wait) {
  std::string text = wait.reply;
  const auto put_before = [&text](const std::string& word, std::string_view between) {
    if (!word.empty() && text.find(word) == std::string::npos)
      text = word + (text.empty() ? "" : std::string(between) + text);
  };
  put_before(wait.host, ": ");
  put_before(wait.reason, ", ");
  return text;
}

Advice advice_for(const store::DomainWait& wait, std::string_view nexthop, Trouble trouble) {
  return advise(wait, nexthop, trouble, "hoplock queue retry --domain " + wait.domain);
}

Advice advice_for(const store::Wait& wait, Trouble trouble) {
  return wait.shown.empty() ? Advice{} : advise(wait.shown.front(), wait.nexthop, trouble, retry_command(wait));
}

std::string to_html(const Advice& advice) {
  if (advice.why.empty()) return "";
  std::string html = "<p>" + foreign(advice.why, longest_reply);
  if (!advice.command.empty()) html += " " + command_html(advice.command);
  html += "</p>\n";
  if (advice.tell.empty()) return html;
  const bool ours = advice.side == Side::ours;
  html += std::string("<p class=\"label\">") + (ours ? "What to do" : "What to tell the partner") + "</p>\n";
  return html + "<blockquote>" + foreign(advice.tell, 1500) + "</blockquote>\n";
}

std::string waiting_html(const monitor::Survey& survey, Trouble trouble, Time now) {
  std::string html =
      "<section data-part=\"waiting\" aria-labelledby=\"waiting\">\n<h2 id=\"waiting\">Where mail waits</h2>\n";
  if (!survey.unread.queue.empty())
    return html + dim("It could not be read: " + foreign(survey.unread.queue)) + "</section>\n";
  if (survey.waits.empty()) return html + dim("No mail waits.") + "</section>\n";
  html += "<ul class=\"waits\">\n";
  for (const store::Wait& wait : survey.waits) html += wait_html(wait, trouble, now);
  html += "</ul>\n";
  if (survey.hops > survey.waits.size())
    html += dim("and " + count(survey.hops - survey.waits.size()) + " more: <code>hoplock queue stats</code>");
  return html + "</section>\n";
}

}  // namespace hoplock::page
