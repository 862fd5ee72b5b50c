// SPDX-License-Identifier: Apache-2.0
#include "page/message.h"

#include <doctest/doctest.h>

namespace page_message_test {

using namespace hoplock;

namespace {

const Time t0 = from_millis(1'790'000'000'000);

bool has(const std::string& html, std::string_view text) { return html.find(text) != std::string::npos; }

store::Tail tail(std::vector<std::pair<int, std::string>> rows) {
  store::Tail made;
  made.traced.id = store::Id::at(t0);
  for (auto& [seconds, text] : rows) made.traced.events.push_back({t0 + Seconds(seconds), std::move(text)});
  return made;
}

const std::string accepted =
    R"({"event":"accepted","from":"a@one.test","to":["b@two.test","c@two.test"],"size":17,"client":"192.0.2.1"})";
const std::string deferred =
    R"({"event":"conversation","mx":"mx.two.test","ip":"192.0.2.2","lines":["S: 220 <b>hello</b>","C: EHLO x"]})"
    "\n"
    R"({"event":"deferred","attempt":1,"domain":"two.test","mx":"mx.two.test","ip":"192.0.2.2","policy":"dane","tls":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384","auth":"none","reason":"tlsa-invalid","reply":"no TLSA record matches","next":"2026-09-21T14:20:00Z","to":["b@two.test"]})";
const std::string delivered =
    R"({"event":"delivered","attempt":2,"domain":"two.test","mx":"mx.two.test","ip":"192.0.2.2","policy":"dane","tls":"TLSv1.3","auth":"dane-ee","tlsa":"3 1 1","cert":"00ff","mx_dnssec":"secure","reply":"250 ok","to":"b@two.test"})";

}  // namespace

TEST_CASE("story: the rows of a history become events, in their order; what is no JSON is left out") {
  const auto story = page::story_of(tail({{0, accepted}, {5, deferred}, {6, "}garbage{"}, {300, delivered}}));
  REQUIRE(story.events.size() == 4);
  CHECK(story.from == "a@one.test");
  CHECK(story.to.size() == 2);
  CHECK(story.events[1].name == "conversation");
  CHECK(story.events[1].list("lines").size() == 2);
  CHECK(story.events[3].list("to") == std::vector<std::string>{"b@two.test"});
  CHECK(page::host_of(story.events[3]) == "mx.two.test[192.0.2.2]");
  CHECK(page::proof_of(story.events[3]) == "dane, TLSv1.3, proved by dane-ee (TLSA 3 1 1), MX secure");
  CHECK(page::proof_of(story.events[2]) == "dane, TLSv1.3 TLS_AES_256_GCM_SHA384, nothing proves who it is");
  CHECK(story.ending() == "deferred");  // c@two.test's fate is not told: the worst that is known
  CHECK(page::story_of(tail({})).events.empty());
  CHECK(page::story_of(tail({})).ending() == "");
}

TEST_CASE("message: a timeline with who, where, under which proof, why, and what was said") {
  page::MessageLook look;
  look.story = page::story_of(tail({{0, accepted}, {5, deferred}, {300, delivered}}));
  look.story.left_out = 12;
  const std::string html = page::message_html(look, t0 + Seconds(600));
  for (const std::string_view text :
       {"gone from the queue", "<b>accepted</b> from <bdi>192.0.2.1</bdi>",
        "<b>said</b> at <bdi>mx.two.test[192.0.2.2]</bdi></summary>", "S: 220 &lt;b&gt;hello&lt;/b&gt;",
        "tlsa-invalid: no TLSA record matches", "next attempt", "12 events between", "proved by dane-ee (TLSA 3 1 1)",
        "certificate key <code>00ff</code>", "href=\"/find?q=b%40two.test\""}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
  CHECK_FALSE(has(html, "<b>hello"));
}

TEST_CASE("story: how it stands is what became of each recipient last") {
  const std::string one = R"({"event":"accepted","from":"a@one.test","to":["b@two.test"]})";
  CHECK(page::story_of(tail({{0, one}, {5, deferred}, {300, delivered}})).ending() == "delivered");
  CHECK(page::story_of(tail({{0, one}, {5, deferred}})).ending() == "deferred");
  const std::string bounced = R"({"event":"bounced","to":["c@two.test"]})";
  CHECK(page::story_of(tail({{0, accepted}, {5, deferred}, {6, bounced}, {300, delivered}})).ending() == "bounced");
  CHECK(page::story_of(tail({{0, one}, {5, delivered}, {9, R"({"event":"remove"})"}})).ending() == "removed");
}

TEST_CASE("message: however much servers say, a page holds the newest of it, and says where the rest is") {
  std::string talk =
      R"({"event":"conversation","mx":"mx.two.test","ip":"192.0.2.2","lines":[")" + std::string(500, '<');
  for (int line = 1; line < 32; ++line) talk += "\",\"" + std::string(500, '<');
  store::Tail all = tail({{0, accepted}});
  for (int attempt = 1; attempt < 300; ++attempt)
    all.traced.events.push_back({t0 + Seconds(attempt * 60), talk + "\"]}"});
  page::MessageLook look;
  look.story = page::story_of(all);
  const std::string html = page::message_html(look, t0);
  CHECK(html.size() < 2'000'000);
  CHECK(has(html, "<b>said</b> at <bdi>mx.two.test[192.0.2.2]</bdi></summary>"));
  CHECK(has(html, "<b>said</b> at <bdi>mx.two.test[192.0.2.2]</bdi>: <code class=\"command\">hoplock trace "));
}

TEST_CASE("message: one that waits tells of each recipient why, bounded") {
  page::MessageLook look;
  look.story = page::story_of(tail({{0, accepted}}));
  look.queued.emplace();
  look.queued->id = look.story.id;
  look.queued->received = t0;
  store::RecipientView recipient;
  recipient.address = "<i>@two.test";
  recipient.domain = "two.test";
  recipient.state = store::State::deferred;
  recipient.reply = "451 \u202e later";
  look.queued->recipients.assign(150, recipient);
  const std::string html = page::message_html(look, t0);
  CHECK(has(html, "deferred, in the queue"));
  CHECK(has(html, "&lt;i&gt;@two.test"));
  CHECK(has(html, "<bdi>451 \ufffd later</bdi>"));
  CHECK(has(html, "and 50 more"));
}

TEST_CASE("message: what could not be read is said, and nothing is said of it that nobody knows") {
  page::MessageLook look;
  look.story.id = store::Id::at(t0);
  look.unread = {"no history read", "no queue read"};
  const std::string nothing = page::message_html(look, t0);
  CHECK(has(nothing, "whether it is queued is not known"));
  CHECK(has(nothing, "The queue could not be read: <bdi>no queue read"));
  CHECK(has(nothing, "The history could not be read: <bdi>no history read"));
  for (const char* wrong : {"gone from the queue", "knows nothing of it"}) CHECK_FALSE(has(nothing, wrong));
  look.story = page::story_of(tail({{0, accepted}, {5, deferred}}));
  look.unread = {"", "no queue read"};
  CHECK(has(page::message_html(look, t0), "deferred, whether it is queued is not known"));
}

}  // namespace page_message_test
