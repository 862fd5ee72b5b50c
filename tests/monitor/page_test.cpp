// SPDX-License-Identifier: Apache-2.0
#include "monitor/page.h"

#include <doctest/doctest.h>

namespace monitor_page_test {

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
  std::string html() const { return monitor::to_html({status, &survey, problems, last_hour, {}}); }
};

bool has(const std::string& html, std::string_view text) { return html.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("page: no octet of foreign text is markup") {
  CHECK(monitor::escaped("<script>alert('x' & \"y\")</script>") ==
        "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;");
  CHECK(monitor::escaped("a\r\n\0\x1b\xff b") == monitor::escaped("a\r\n"));  // a literal ends at its NUL
  CHECK(monitor::escaped("\x1b[31m\xff") == "?[31m?");
  Shown shown;
  queue::Stats::Domain domain;
  domain.domain = "<b>bold.example";
  domain.reason = "550 <img src=x onerror=alert(1)> \xe2\x80\xae evil";
  shown.survey.queue.domains = {domain};
  shown.problems = {{"dnssec", "<i>red</i>"}};
  monitor::Counters::Attempts attempts;
  attempts.reason = "<u>";
  shown.last_hour = {attempts};
  shown.status.hostname = "\"><s>";
  const std::string html = shown.html();
  for (const char* tag : {"<b>bold", "<img", "<i>", "<u>", "<s>", "<script", "javascript:"}) {
    CAPTURE(tag);
    CHECK_FALSE(has(html, tag));
  }
  CHECK(has(html, "<bdi>550 &lt;img"));  // what turns the direction does so within
}

TEST_CASE("page: says first whether all is well, then what waits and why") {
  Shown shown;
  CHECK(has(shown.html(), "All is well"));
  CHECK(has(shown.html(), "up for 2 d 2 h"));
  shown.problems = {{"dnssec", "validation is broken"}, {"store", "no"}};
  shown.survey.queue.messages = 1234567;
  shown.survey.queue.oldest = t0 - std::chrono::minutes(90);
  shown.survey.queue.states = {{"deferred", {1234567, t0 - std::chrono::minutes(90)}}};
  queue::Stats::Domain domain;
  domain.domain = "contoso.com";
  domain.count = {12, t0 - Seconds(61)};
  domain.reason = "tlsa-invalid";
  shown.survey.queue.domains = {domain};
  shown.survey.domains = 10000;
  monitor::Counters::Attempts attempts{"delivered", "dane", "TLSv1.3", "dane-ee", "", 42};
  shown.last_hour = {attempts};
  shown.survey.policies = {3, 2, 1};
  shown.survey.reports.sessions = 17;
  shown.survey.reports.states = {{reports::State::sent, 4}};
  const std::string html = shown.html();
  CHECK_FALSE(has(html, "All is well"));
  const std::string number =
      "1\xe2\x80\x89"
      "234\xe2\x80\x89"
      "567";
  for (const std::string& text :
       {std::string("2 things are wrong"), std::string("<b>dnssec</b>"),
        number + " messages, the oldest 1 h 30 min old",
        std::string("<td><bdi>contoso.com</bdi></td><td class=\"n\">12</td><td class=\"n\">1 min 1 s</td>"),
        std::string("tlsa-invalid"),
        std::string("9\xe2\x80\x89"
                    "999 more domains"),
        std::string("<td>dane-ee</td>"), std::string("3 in force, 2 lapsed, 1 whose last fetch failed"),
        std::string("17 sessions"), std::string("<td>sent</td><td class=\"n\">4</td>"), std::string("read 4 s ago")}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
}

TEST_CASE("page: is there before the database was read") {
  const DaemonStatus status = Shown().status;
  const std::string html = monitor::to_html({status, nullptr, {}, {}, {}});
  CHECK(has(html, "being read"));
  CHECK(has(html, "All is well"));
}

}  // namespace monitor_page_test
