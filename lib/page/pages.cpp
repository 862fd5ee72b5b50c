// SPDX-License-Identifier: Apache-2.0
#include "page/pages.h"

#include <chrono>
#include <utility>

#include "base/ascii.h"
#include "base/version.h"
#include "monitor/health.h"
#include "page/assets.h"
#include "page/frame.h"
#include "page/front.h"
#include "page/markup.h"
#include "page/pictures.h"
#include "page/rules.h"

namespace hoplock::page {

namespace asio = boost::asio;

namespace {

// Only where there is no survey yet: else the last one serves, while the next is made.
constexpr std::chrono::milliseconds patience{3000};
constexpr std::size_t longest_word = 320;  // an address has no more octets (RFC 5321 section 4.5.3.1)

// What stands in a query behind "q=".
std::string word_in(std::string_view query, std::string_view name) {
  for (const std::string_view pair : split(query, '&'))
    if (pair.starts_with(name)) return std::string(trim(url_decoded(pair.substr(name.size()))));
  return "";
}

std::string sought_in(std::string_view query) {
  const std::string word = word_in(query, "q=");
  const bool in_brackets = word.size() >= 2 && word.front() == '<' && word.back() == '>';
  return in_brackets ? word.substr(1, word.size() - 2) : word;
}

http::Reply elsewhere(std::string path) {
  http::Reply reply;
  reply.status = 303;
  reply.body = "303 See Other: " + path + "\n";
  reply.location = std::move(path);
  return reply;
}

std::string paragraph(std::string_view before, const std::string& word, std::string_view after) {
  return "<h1>Nothing found</h1>\n<p>" + std::string(before) + foreign(word) + std::string(after) + "</p>\n";
}

}  // namespace

Frame Pages::frame(const std::string& title) const {
  const auto now = std::chrono::steady_clock::now();
  const auto status = parts_.status();
  const auto survey = parts_.surveyor.last();
  const auto fetches = parts_.counters.fetches_last_hour(now);
  const auto wrong = monitor::problems(status, survey.get(), fetches);
  const auto last_hour = parts_.counters.last_hour(now);
  const View view{status, survey.get(), wrong, last_hour, fetches, usual_oldest_};
  Frame frame;
  frame.hostname = status.hostname;
  frame.title = title;
  frame.mood = verdict_of(view).mood;
  frame.foot = "hoplock " + escaped(HOPLOCK_VERSION) + ", at " + moment_html(status.now, status.now);
  return frame;
}

http::Reply Pages::told(const std::string& title, const std::string& html, unsigned status) const {
  return html_reply(in_frame(frame(title), "<section>\n" + html + "</section>\n"), status);
}

asio::awaitable<http::Reply> Pages::front(std::string span_word) {
  const bool known = parts_.surveyor.last() != nullptr;
  const auto survey = co_await parts_.surveyor.look(known ? std::chrono::milliseconds(0) : patience);
  const auto status = parts_.status();
  const auto now = std::chrono::steady_clock::now();
  const auto fetches = parts_.counters.fetches_last_hour(now);
  const auto wrong = monitor::problems(status, survey.get(), fetches);
  const auto last_hour = parts_.counters.last_hour(now);
  const statistics::Span span = span_of(span_word);
  const auto over_time = co_await parts_.lookups.figures(span, status.now);
  const bool drawn = over_time && over_time->shown;
  const std::string pictures = drawn ? pictures_html(*over_time->shown, span)
                                     : no_pictures_html(over_time ? over_time->error : "too many ask at once");
  if (over_time && over_time->week) usual_oldest_ = usual_oldest(*over_time->week);
  const View view{status, survey.get(), wrong, last_hour, fetches, usual_oldest_};
  co_return html_reply(to_html(view, pictures));
}

asio::awaitable<http::Reply> Pages::domain(std::string name) {
  const auto parsed = dns::Name::parse(name);
  if (!parsed || parsed->is_root()) co_return told("Not found", paragraph("", name, " is no domain."), 404);
  const auto status = parts_.status();
  const auto look = co_await parts_.lookups.domain(*parsed, status.now);
  if (!look) co_return told("Busy", "<h1>Too many ask at once</h1>\n<p>Try again in a moment.</p>\n", 503);
  const route::Table& table = parts_.routes();
  const auto rules = rules_for(*parsed, table, status.now);
  DomainView view{*look, rules, table.destination(*parsed, status.now), Trouble::none, status.now};
  if (status.dns_silence || status.validation_failure) view.trouble = Trouble::look_ups;
  Frame all = frame(parsed->text());
  all.sought = parsed->text();
  const Known known = known_of(*look);
  const unsigned code = known == Known::something ? 200 : (known == Known::nothing ? 404 : 503);
  co_return html_reply(in_frame(all, domain_html(view)), code);
}

asio::awaitable<http::Reply> Pages::message(std::string name) {
  const auto id = store::Id::parse(name);
  if (!id) co_return told("Not found", paragraph("", name, " is no message's ID."), 404);
  const auto look = co_await parts_.lookups.message(*id, parts_.active());
  if (!look) co_return told("Busy", "<h1>Too many ask at once</h1>\n<p>Try again in a moment.</p>\n", 503);
  const bool none = !look->queued && look->story.events.empty();
  const bool read = look->unread.history.empty() && look->unread.queue.empty();
  if (none && read)
    co_return told("Not found",
                   paragraph("Nothing is known of message ", name, ": it never was here, or its history is over."),
                   404);
  Frame all = frame(id->text());
  all.sought = id->text();
  co_return html_reply(in_frame(all, message_html(*look, parts_.status().now)), none ? 503 : 200);
}

asio::awaitable<http::Reply> Pages::find(std::string word) {
  if (word.empty() || word.size() > longest_word)
    co_return told("Search", "<h1>Search</h1>\n<p>A message's ID or its beginning, an address, or a domain.</p>\n",
                   200);
  const auto sought = co_await parts_.lookups.sought(word);
  if (!sought) co_return told("Busy", "<h1>Too many ask at once</h1>\n<p>Try again in a moment.</p>\n", 503);
  if (sought->ids.size() == 1) co_return elsewhere("/message/" + sought->ids.front().text());
  if (sought->ids.empty() && sought->domain) co_return elsewhere("/domain/" + url_encoded(sought->domain->text()));
  const Time now = parts_.status().now;
  std::string html = "<section data-part=\"found\">\n<h1>" + foreign(word) + "</h1>\n";
  if (!sought->error.empty()) html += "<p>It could not be read whole: " + foreign(sought->error) + "</p>\n";
  for (const store::Id id : sought->ids) html += "<p>" + message_link(id.text()) + "</p>\n";
  if (!sought->stories.empty()) html += messages_html(sought->stories, now);
  const bool nothing = sought->ids.empty() && sought->stories.empty();
  const bool read = sought->error.empty();
  if (nothing && read) html += "<p>Nothing is known of it in the time that the history keeps.</p>\n";
  Frame all = frame(word);
  all.sought = word;
  co_return html_reply(in_frame(all, html + "</section>\n"), !nothing ? 200 : (read ? 404 : 503));
}

asio::awaitable<http::Reply> Pages::answer(http::Request request) {
  constexpr std::string_view domains = "/domain/", messages = "/message/";
  const std::string& path = request.path;
  if (path == "/") co_return co_await front(word_in(request.query, "span="));
  if (const auto asset = asset_at(path)) {
    http::Reply reply;
    reply.type = asset->type;
    reply.body = asset->body;
    co_return reply;
  }
  if (path == "/find") co_return co_await find(sought_in(request.query));
  if (path.starts_with(domains)) co_return co_await domain(url_decoded(path.substr(domains.size())));
  if (path.starts_with(messages)) co_return co_await message(url_decoded(path.substr(messages.size())));
  co_return told("Not found",
                 "<h1>Nothing here</h1>\n<p>There are <a href=\"/\">the status page</a>, /metrics and /healthz.</p>\n",
                 404);
}

}  // namespace hoplock::page
