// SPDX-License-Identifier: Apache-2.0
#include "page/domain.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "page/rules.h"
#include "partners/book.h"

namespace page_domain_test {

using namespace hoplock;

namespace {

const Time t0 = from_millis(1'790'000'000'000);
dns::Name name(const char* text) { return dns::Name::parse(text).value(); }
bool has(const std::string& html, std::string_view text) { return html.find(text) != std::string::npos; }

page::Story story(int seconds, const std::string& event) {
  store::Tail tail;
  tail.traced.id = store::Id::at(t0 + Seconds(seconds));
  tail.traced.events.push_back(
      {t0 + Seconds(seconds), R"({"event":"accepted","from":"a@one.test","to":["b@two.test"]})"});
  tail.traced.events.push_back({t0 + Seconds(seconds + 1), event});
  return page::story_of(tail);
}

page::DomainLook known() {
  page::DomainLook look;
  look.domain = name("two.test");
  look.stories = {
      story(
          60,
          R"({"event":"hop","domain":"two.test","mx":"mx2.two.test","ip":"192.0.2.3","policy":"dane","reason":"tlsa-invalid","reply":"no TLSA record matches","action":"next-host"})"
          "\n"
          R"({"event":"conversation","mx":"mx2.two.test","ip":"192.0.2.3","lines":["S: 220 <script>"]})"
          "\n"
          R"({"event":"delivered","domain":"two.test","mx":"mx1.two.test","ip":"192.0.2.2","policy":"dane","tls":"TLSv1.3","auth":"dane-ee","tlsa":"3 1 1","to":["b@two.test"]})"),
      story(
          0,
          R"({"event":"delivered","domain":"two.test","mx":"mx1.two.test","ip":"192.0.2.2","policy":"opportunistic","tls":"none","auth":"none","to":["b@two.test"]})")};
  store::PolicyRow row;
  row.domain = look.domain;
  row.checked = t0;
  row.text = "version: STSv1\r\nmode: enforce\r\nmx: *.two.test\r\nmax_age: 86400\r\n";
  row.freshness.held = mtasts::Held{"id1", t0, Seconds(86400)};
  look.policy = row;
  store::LedgerRow report;
  report.account.key = {tlsrpt::day_of(t0), look.domain};
  report.account.state = store::ReportState::sent;
  report.account.sessions = 9;
  report.destinations.resize(1);
  report.destinations[0].rua = "mailto:tls@two.test";
  look.reports = {report};
  look.counted_since = tlsrpt::day_of(t0) - std::chrono::days(3);
  look.delivered[tlsrpt::day_of(t0)] = {1, 0, 0, 0, 1};
  return look;
}

}  // namespace

TEST_CASE(
    "domain: what it publishes, each host by its newest try, deliveries by proof, failures with what was said, "
    "reports") {
  const auto look = known();
  const std::vector<std::string> rules{"No route matches: mail goes by MX."};
  const std::string html = page::domain_html({look, rules, "two.test", page::Trouble::none, t0 + Seconds(120)});
  for (const std::string_view text :
       {"<h1><bdi>two.test</bdi></h1>", "No mail waits for this domain.", "mode enforce, mx <bdi>*.two.test</bdi>",
        "id1", "proved by dane-ee (TLSA 3 1 1)", "refused: <bdi>tlsa-invalid</bdi>", "DANE 1", "in clear 1",
        "no TLSA record matches", "S: 220 &lt;script&gt;", "mailto:tls@two.test", ">9</td>", "No route matches",
        "hoplock check two.test"}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
  CHECK_FALSE(has(html, "in clear, nothing proves"));  // an older try at the same host
  CHECK(page::known_of(look) == page::Known::something);
}

TEST_CASE("domain: a hostile one that names new hosts each time costs what it names, not the square of it (BND-01)") {
  const auto took = [](int hosts) {
    page::DomainLook look;
    look.domain = name("two.test");
    std::string events;
    for (int i = 0; i < hosts; ++i)
      events += std::string(events.empty() ? "" : "\n") + R"({"event":"hop","domain":"two.test","mx":"mx)" +
                std::to_string(i) + R"(.two.test","ip":"192.0.2.3","policy":"dane","reason":"tlsa-invalid"})";
    look.stories = {story(0, events)};
    const std::vector<std::string> none;
    auto best = std::chrono::nanoseconds::max();
    for (int turn = 0; turn < 5; ++turn) {
      const auto began = std::chrono::steady_clock::now();
      const std::string html = page::domain_html({look, none, "two.test", page::Trouble::none, t0});
      best = std::min(best, std::chrono::nanoseconds(std::chrono::steady_clock::now() - began));
      REQUIRE(has(html, " more"));
    }
    return best;
  };
  const auto few = took(500), many = took(5'000);
  CHECK(many < few * 40);  // the square would be 100
}

TEST_CASE("domain: one that nobody knows is told so") {
  page::DomainLook look;
  look.domain = name("unknown.test");
  CHECK(page::known_of(look) == page::Known::nothing);
  const std::string html = page::domain_html({look, {}, "unknown.test", page::Trouble::none, t0});
  for (const std::string_view text :
       {"No host was tried", "Nothing was delivered", "No failure", "No report was counted", "no policy is kept"}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
}

TEST_CASE("domain: what waits is told with its cause and whose it is") {
  auto look = known();
  look.wait.emplace();
  look.wait->domain = "two.test";
  look.wait->count = {1200, t0 - std::chrono::hours(3)};
  look.wait->reason = "tlsa-invalid";
  look.wait->reply = "<b>no TLSA record matches";
  look.wait->since = t0 - std::chrono::hours(2);
  const std::string html = page::domain_html({look, {}, "two.test", page::Trouble::none, t0});
  for (const std::string_view text : {"Mail for 1,200 recipients waits, the oldest for 3 h", "all of it is held",
                                      "&lt;b&gt;no TLSA", "What to tell the partner"}) {
    CAPTURE(text);
    CHECK(has(html, text));
  }
}

TEST_CASE("rules: what is required of a partner or excepted, by whom, until when and why") {
  const auto book = std::make_shared<partners::Book>();
  partners::Entry entry;
  entry.domain = dns::parse_pattern("two.test").value();
  entry.level = hop::Mandate::dane;
  entry.by = "anna";
  entry.since = t0;
  entry.note = "ticket <4711>";
  book->put(entry);
  entry.domain = dns::parse_pattern("*.test").value();
  entry.rule = partners::Rule::mta_sts;
  entry.until = tlsrpt::day_of(t0) + std::chrono::days(20);
  entry.note = "";
  book->put(entry);
  const auto rules = page::rules_for(name("two.test"), route::Table({}, hop::LocalRule{}, book), t0);
  REQUIRE(rules.size() == 4);
  CHECK(rules[2] ==
        "Required of this partner: at least dane, without an end. Set by anna on 2026-09-21: ticket <4711>");
  CHECK(rules[3] ==
        "Excepted: mta-sts is only watched, until 2026-10-11, for all of *.test. Set by anna on 2026-09-21.");
  const auto later =
      page::rules_for(name("two.test"), route::Table({}, hop::LocalRule{}, book), t0 + std::chrono::days(30));
  CHECK(later.size() == 3);
}

TEST_CASE("domain: days before anything was counted are not known, those after are nothing") {
  const std::string html = page::domain_html({known(), {}, "two.test", page::Trouble::none, t0});
  CHECK(has(html, "2026-09-19T00:00 UTC: DANE 0, "));
  CHECK(has(html, "2026-09-17T00:00 UTC: DANE not known, "));
}

TEST_CASE("domain: a host that was let pass because the rule is only watched is not called refused") {
  auto look = known();
  look.stories = {story(
      60,
      R"({"event":"hop","domain":"two.test","mx":"mx2.two.test","ip":"192.0.2.3","policy":"dane","reason":"tlsa-invalid","reply":"no record","action":"audit"})"
      "\n"
      R"({"event":"delivered","domain":"two.test","mx":"mx2.two.test","ip":"192.0.2.3","policy":"dane","tls":"TLSv1.3","auth":"none","reason":"tlsa-invalid","to":["b@two.test"]})")};
  const std::string html = page::domain_html({look, {}, "two.test", page::Trouble::none, t0});
  CHECK(has(html, ">delivered in spite of <bdi>tlsa-invalid</bdi>"));  // the newest try at it
  CHECK(has(html, "<b>let pass</b>"));
  CHECK_FALSE(has(html, "refused"));
}

TEST_CASE("rules: the route that a domain takes, until when and why, else the general ones") {
  route::Route route;
  hop::LocalRule security;
  security.mta_sts = hop::Mode::audit;
  const route::Table none({}, security);
  auto rules = page::rules_for(name("two.test"), none, t0);
  REQUIRE(rules.size() == 2);
  CHECK(rules[0] == "No route matches: mail goes by MX.");
  CHECK(rules[1] == "DANE: enforce. MTA-STS: audit. Where neither covers a hop: opportunistic.");
  route.match = {dns::parse_pattern("two.test").value()};
  route.tls = hop::RouteTls::dane_only;
  route.note = "agreed on the phone";
  route.until = std::chrono::sys_days(std::chrono::days(30'000));
  route.hosts = {{name("exch01.two.test"), 25}};
  const route::Table table({route}, security);
  rules = page::rules_for(name("two.test"), table, t0);
  REQUIRE(rules.size() == 4);
  CHECK(rules[0] == "Route 1 of the configuration matches (two.test); mail goes to exch01.two.test:25.");
  CHECK(rules[1] == "It ends on 2052-02-20.");
  CHECK(rules[2] == "Its note: agreed on the phone");
  CHECK(rules[3].starts_with("The route sets tls: dane-only"));
}

TEST_CASE("domain: what could not be read is said, and nothing is said of it that nobody knows") {
  page::DomainLook look;
  look.domain = name("two.test");
  look.unread = {"no mail read", "no policy read", "no report read", "no day read"};
  CHECK(page::known_of(look) == page::Known::unread);
  const auto html_of = [](const page::DomainLook& of) {
    return page::domain_html({of, {}, "two.test", page::Trouble::none, t0});
  };
  for (const char* wrong : {"No mail waits", "no policy is kept", "No host was tried", "Nothing was delivered",
                            "No failure in", "No report was counted", "None in the time"}) {
    CAPTURE(wrong);
    CHECK_FALSE(has(html_of(look), wrong));
  }
  for (const char* why : {"no mail read", "no policy read", "no report read", "no day read"}) {
    CAPTURE(why);
    CHECK(has(html_of(look), std::string("could not be read: <bdi>") + why));
  }
  page::DomainLook part = known();  // some of it was read before that
  part.unread = {"", "", "no older report", "no older day"};
  CHECK(page::known_of(part) == page::Known::something);
  CHECK(has(html_of(part), "mailto:tls@two.test"));
  CHECK(has(html_of(part), "no older report"));
  CHECK(has(html_of(part), "no older day"));
  CHECK_FALSE(has(html_of(part), "Delivered recipients a day"));  // days without mail are not to be told from those
}

}  // namespace page_domain_test
