// SPDX-License-Identifier: Apache-2.0
#include "page/front.h"

#include <doctest/doctest.h>

#include "page/markup.h"

namespace page_front_test {

using namespace hoplock;
using monitor::DaemonStatus;
using monitor::Problem;
using monitor::Survey;

namespace {

const Time t0 = from_millis(1'790'000'000'000);

struct Shown {
  DaemonStatus status;
  Survey survey;
  std::vector<Problem> problems;
  std::vector<monitor::Counters::Attempts> last_hour;
  Shown() {
    status.hostname = "relay.example.net";
    status.started = t0 - std::chrono::hours(50);
    status.now = t0;
    survey.taken = t0 - Seconds(4);
  }
  std::string html() const { return page::to_html({status, &survey, problems, last_hour, {}, std::nullopt}, ""); }
};

bool has(const std::string& html, std::string_view text) { return html.find(text) != std::string::npos; }

store::Wait waiting_at(std::string name, std::string reason, std::string reply) {
  store::DomainWait domain;
  domain.domain = name;
  domain.count = {12, t0 - Seconds(61)};
  domain.reason = reason;
  domain.reply = std::move(reply);
  store::Wait wait;
  wait.nexthop = std::move(name);
  wait.reason = std::move(reason);
  wait.count = domain.count;
  wait.domains = 1;
  wait.shown = {domain};
  return wait;
}

}  // namespace

TEST_CASE("page: no octet of foreign text is markup") {
  Shown shown;
  shown.survey.waits = {
      waiting_at("<b>bold.example", "\" onclick=\"x", "550 <img src=x onerror=alert(1)> \xe2\x80\xae evil")};
  shown.problems = {{"dnssec", "<i>red</i>"}};
  monitor::Counters::Attempts attempts;
  attempts.reason = "<u>";
  shown.last_hour = {attempts};
  shown.status.hostname = "\"><s>";
  const std::string html = shown.html();
  for (const char* tag : {"<b>bold", "<img", "<i>", "<u>", "<s>", "javascript:", "\" onclick=\"x"}) {
    CAPTURE(tag);
    CHECK_FALSE(has(html, tag));
  }
  CHECK(has(html, "550 &lt;img"));
  CHECK(has(html, "<bdi>&lt;b&gt;bold"));  // what turns the direction does so within
}

TEST_CASE(
    "page: its only script and style are files of the same origin, for the content policy allows nothing inline") {
  const std::string html = Shown().html();
  const auto first = html.find("<script");
  CHECK(html.substr(first, 38) == "<script src=\"/page.js\" defer></script>");
  CHECK(html.find("<script", first + 1) == std::string::npos);
  for (const char* part : {"<style", " style=", " onclick", " onload", "http-equiv", "http://", "https://"}) {
    CAPTURE(part);
    CHECK_FALSE(has(html, part));
  }
}

TEST_CASE("page: title and icon carry the state") {
  Shown shown;
  CHECK(has(shown.html(), "href=\"/icon/good.svg\""));
  CHECK(has(shown.html(), "<title>\u2713 relay.example.net \u2013 hoplock</title>"));
  shown.problems = {{"dnssec", "our own DNSSEC validation does not work: x"}};
  CHECK(has(shown.html(), "href=\"/icon/bad.svg\""));
  CHECK(has(shown.html(),
            "<title>\u2717 Our own DNSSEC validation does not work \u2013 relay.example.net \u2013 hoplock</title>"));
}

TEST_CASE("page: says first whether mail flows, then what waits and why, and the last hour") {
  Shown shown;
  CHECK(has(shown.html(), "<h1><bdi>Mail flows</bdi></h1>"));
  CHECK(has(shown.html(), "No mail waits."));
  CHECK(has(shown.html(), "up for 2 d 2 h"));
  shown.problems = {{"store", "the last transaction failed: no"}, {"log", "no lines"}};
  shown.survey.queue.messages = 1234567;
  shown.survey.queue.oldest = t0 - std::chrono::minutes(90);
  shown.survey.queue.states = {{"deferred", {1234567, t0 - std::chrono::minutes(90)}}};
  shown.survey.waits = {waiting_at("contoso.com", "tlsa-invalid", "no TLSA record matches")};
  shown.survey.hops = 10000;
  shown.last_hour = {{"delivered", "dane", "TLSv1.3", "dane-ee", "", 42}};
  shown.survey.policies = {3, 2, 1};
  shown.survey.reports.sessions = 17;
  shown.survey.reports.states = {{store::ReportState::sent, 4}};
  const std::string html = shown.html();
  for (const std::string_view text :
       {"The queue cannot be written", "The last transaction failed: no", "<dd>1,234,567</dd>", "<dd>1 h 30 min</dd>",
        "href=\"/domain/contoso.com\"", "and 9,999 more", "theirs to mend", ">dane-ee</td>",
        "3 in force, 2 lapsed, 1 whose last fetch failed", "17 sessions", "read 4 s ago"}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
}

TEST_CASE("page: is there before the database was read, and is not green then") {
  const DaemonStatus status = Shown().status;
  const std::string html = page::to_html({status, nullptr, {}, {}, {}, std::nullopt}, "");
  CHECK(has(html, "The queue is being read"));
  CHECK_FALSE(has(html, "verdict good"));
}

TEST_CASE("page: what could not be read is said, and nothing is said of it that nobody knows") {
  Shown shown;
  shown.survey.unread = {"no queue read", "no report read", "no policy read"};
  shown.survey.error = "no queue read";
  const std::string html = shown.html();
  for (const char* wrong : {"Mail flows", "No mail waits", "<dd>0</dd></div>\n<div><dt>age of the oldest", "0 in force",
                            "Nothing was counted", "The database was read"}) {
    CAPTURE(wrong);
    CHECK_FALSE(has(html, wrong));
  }
  for (const char* why : {"<h1><bdi>Not all of the database can be read", "<dt>messages queued</dt><dd>not known",
                          "no queue read", "no report read", "no policy read", "href=\"/icon/bad.svg\""}) {
    CAPTURE(why);
    CHECK(has(html, why));
  }
  shown.survey.unread = {"", "no report read", ""};  // the others stay what they are
  CHECK(has(shown.html(), "No mail waits."));
  CHECK(has(shown.html(), "0 in force"));
  CHECK(has(shown.html(), "They could not be read: <bdi>no report read"));
}

TEST_CASE("page: nodes that share the store stand on it, and nothing of them where the store is this machine's alone") {
  Shown shown;
  CHECK_FALSE(has(shown.html(), "Nodes"));
  monitor::ClusterStatus cluster;
  cluster.server = "db1:5432, database hoplock";
  cluster.synchronous = true;
  cluster.seen = {{"relay-2", "dead", "0.2.0", Milliseconds(0), false},
                  {"<b>relay-1", "alive", "0.2.0", Milliseconds(2'000), true}};
  shown.status.cluster = cluster;
  const std::string html = shown.html();
  CHECK(has(html, "db1:5432, database hoplock"));
  CHECK(has(html, "a synchronous standby has what is committed"));
  CHECK(has(html, "&lt;b&gt;relay-1"));
  CHECK(html.find("relay-1") < html.find("relay-2"));
}

}  // namespace page_front_test
