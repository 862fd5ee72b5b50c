// SPDX-License-Identifier: Apache-2.0
#include "page/message.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

#include "page/markup.h"

namespace hoplock::page {

namespace {

constexpr std::size_t longest_said = 1000;
constexpr std::size_t most_recipients = 100;
constexpr std::size_t most_named = 5;  // of an event's recipients
constexpr std::size_t most_said =
    256 * 1024;  // octets of all conversations, the newest first: a page is made in one step

std::string fact(std::string_view name, const std::string& html) {
  return html.empty() ? "" : "<dt>" + std::string(name) + "</dt><dd>" + html + "</dd>\n";
}

std::string address_html(const std::string& address) {
  if (address.find('@') == std::string::npos) return foreign(address);
  return link_html("/find?q=" + url_encoded(address), address);
}

std::string recipients_html(const std::vector<std::string>& to, std::size_t most) {
  std::string html;
  for (std::size_t i = 0; i < std::min(most, to.size()); ++i) html += (i == 0 ? "" : ", ") + address_html(to[i]);
  if (to.size() > most) html += " and " + count(to.size() - most) + " more";
  return html;
}

std::string_view mood_of(const std::string& event) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> moods{{{"delivered", "good"},
                                                                                {"deferred", "attention"},
                                                                                {"hop", "attention"},
                                                                                {"hold", "attention"},
                                                                                {"bounced", "bad"},
                                                                                {"bounce", "bad"},
                                                                                {"expired", "bad"},
                                                                                {"remove", "bad"}}};
  const auto* const found =
      std::find_if(moods.begin(), moods.end(), [&](const auto& one) { return one.first == event; });
  return found == moods.end() ? "" : found->second;
}

std::string title_of(const StoryEvent& event) {
  const std::string& name = event.name;
  const std::string host = host_of(event), to = recipients_html(event.list("to"), most_named);
  if (name == "accepted") return "<b>accepted</b> from " + foreign(event.text("client"));
  if (name == "notice")
    return "<b>told</b> " + to + " (" + foreign(event.text("action")) + ") with message " +
           message_link(event.text("as"));
  if (name == "conversation") return "<b>said</b> at " + foreign(host);
  if (!event.text("by").empty() && host.empty()) return "<b>" + escaped(name) + "</b> by " + foreign(event.text("by"));
  return "<b>" + escaped(word_of(event)) + "</b>" + (to.empty() ? "" : " " + to) +
         (host.empty() ? "" : " at " + foreign(host));
}

// Since when conversations are shown: those before would make the page too long.
Time said_since(const Story& story) {
  std::size_t octets = 0;
  for (const StoryEvent& event : std::views::reverse(story.events)) {
    if (event.name != "conversation") continue;
    for (const std::string& line : event.list("lines")) octets += line.size();
    if (octets > most_said) return event.at + Milliseconds(1);
  }
  return Time{};
}

std::string lines_html(const StoryEvent& event, const std::string& key, Time now) {
  std::string html = "<details data-key=\"" + key + "\"><summary>" + moment_html(event.at, now) + " " +
                     title_of(event) + "</summary><pre>";
  for (const std::string& line : event.list("lines")) html += foreign(line, longest_said) + "\n";
  return html + "</pre></details>";
}

std::string more_of(const StoryEvent& event) {
  std::string html;
  if (const auto proof = proof_of(event); !proof.empty()) html += dim(foreign(proof));
  const std::string reason = event.text("reason"), reply = event.text("reply");
  const bool twice = reason.empty() || reply.find(reason) != std::string::npos;
  const std::string because = event.name == "delivered" ? "in spite of " + reason : reason;
  if (const auto why = twice ? reply : because + (reply.empty() ? "" : ": " + reply); !why.empty())
    html += "<p>" + foreign(why, longest_said) + "</p>\n";
  if (const auto next = event.text("next"); !next.empty()) html += dim("next attempt " + foreign(next));
  if (const auto cert = event.text("cert"); !cert.empty())
    html += dim("certificate key <code>" + escaped(cert) + "</code>");
  if (const auto note = event.text("note"); !note.empty()) html += dim("note: " + foreign(note));
  if (const auto id = event.text("msgid"); !id.empty()) html += dim("Message-ID " + foreign(id));
  return html;
}

std::string waiting_rows(const store::MessageView& message, Time now) {
  Table table("Recipients in the queue", {"recipient", "state", "#attempts", "next try", "next hop", "why"});
  std::size_t rows = 0;
  for (const auto& one : message.recipients) {
    if (++rows > most_recipients) break;
    const std::string own = one.reply.empty() ? one.reason : one.reply;
    const std::string hop = one.hop.reply.empty() ? one.hop.reason : one.hop.reply;
    table.row({address_html(one.address), std::string(one.active ? "active" : store::to_text(one.state)),
               count(one.attempts), moment_html(one.next, now), domain_link(one.domain),
               foreign(own.empty() ? hop : own, longest_said)});
  }
  std::string html = "<h2>Recipients</h2>\n" + table.end();
  if (message.recipients.size() > most_recipients)
    html += dim("and " + count(message.recipients.size() - most_recipients) +
                " more: " + command_html("hoplock queue show " + message.id.text()));
  return html;
}

// What is known of it, and no more.
std::string standing_of(const MessageLook& look) {
  if (look.queued) return std::string(look.queued->state()) + ", in the queue";
  const std::string ending(look.story.ending());
  const std::string place = look.unread.queue.empty() ? "gone from the queue" : "whether it is queued is not known";
  return ending.empty() ? place : ending + ", " + place;
}

}  // namespace

std::string timeline_html(const Story& story, Time now) {
  std::string html = "<ol class=\"time\">\n";
  std::size_t number = 0;
  const Time since = said_since(story);
  for (const StoryEvent& event : story.events) {
    html += "<li class=\"" + std::string(mood_of(event.name)) + "\">";
    if (event.name == "conversation" && event.at < since)
      html +=
          moment_html(event.at, now) + " " + title_of(event) + ": " + command_html("hoplock trace " + story.id.text());
    else if (event.name == "conversation")
      html += lines_html(
          event, story.id.text() + " " + std::to_string(to_millis(event.at)) + " " + std::to_string(number), now);
    else
      html += moment_html(event.at, now) + " " + title_of(event) + more_of(event);
    html += "</li>\n";
    if (number++ == 0 && story.left_out > 0)
      html += "<li>" + counted(story.left_out, "event") +
              " between: " + command_html("hoplock trace " + story.id.text()) + "</li>\n";
  }
  return html + "</ol>\n";
}

std::string messages_html(const std::vector<Story>& stories, Time now) {
  Table table("Messages", {"accepted", "ID", "from", "to", "how it stands"});
  for (const Story& one : stories) {
    const auto ending = one.ending();
    table.row({moment_html(one.received, now), message_link(one.id.text()), address_html(one.from),
               recipients_html(one.to, 3), ending.empty() ? "not tried yet" : std::string(ending)});
  }
  return table.end();
}

std::string message_html(const MessageLook& look, Time now) {
  const Story& story = look.story;
  const std::string id = story.id.text();
  std::string html =
      "<section data-part=\"message\">\n<h1>Message <code>" + id + "</code></h1>\n<dl class=\"facts\">\n";
  html += fact("how it stands", escaped(standing_of(look)));
  html += fact("from", address_html(look.queued && !look.queued->envelope.sender.empty() ? look.queued->envelope.sender
                                                                                         : story.from));
  html += fact("to", recipients_html(story.to, most_recipients));
  html += fact("accepted", moment_html(look.queued ? std::optional(look.queued->received) : story.received, now));
  if (look.queued) html += fact("size", octets(look.queued->size));
  html += "</dl>\n";
  if (!look.unread.queue.empty()) html += "<p>The queue could not be read: " + foreign(look.unread.queue) + "</p>\n";
  if (look.queued) html += waiting_rows(*look.queued, now);
  html += "<h2>What happened</h2>\n";
  if (!look.unread.history.empty()) html += dim("The history could not be read: " + foreign(look.unread.history));
  if (!story.events.empty()) html += timeline_html(story, now);
  if (story.events.empty() && look.unread.history.empty()) html += dim("The history knows nothing of it.");
  return html + "</section>\n";
}

}  // namespace hoplock::page
