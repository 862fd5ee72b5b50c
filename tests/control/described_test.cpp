// SPDX-License-Identifier: Apache-2.0
#include "control/described.h"

#include <doctest/doctest.h>

namespace control_described_test {

using namespace hoplock;
using namespace hoplock::control;

namespace {
store::Id id(std::int64_t value) { return store::Id{value}; }

store::Selection selection(store::Selection::By by) {
  store::Selection one;
  one.by = by;
  one.ids = by == store::Selection::By::ids ? std::vector<store::Id>{id(1), id(1LL << 47)} : std::vector<store::Id>{};
  if (by == store::Selection::By::domain) one.domain = dns::Name::parse("contoso.com").value();
  if (by == store::Selection::By::sender) one.sender = "o'neil\"\\@contoso.com";
  return one;
}

template <class T>
T again(const T& value) {
  const std::string text = to_json(value);
  const T read = from_json<T>(text).value();
  CHECK(to_json(read) == text);
  return read;
}

std::string act(const std::string& selection) { return R"({"action":"hold","selection":)" + selection + "}"; }

}  // namespace

TEST_CASE("control: every action with every selection comes out as it went in") {
  using By = store::Selection::By;
  using Action = store::Action;
  for (const auto action : {Action::retry, Action::hold, Action::release, Action::remove, Action::bounce}) {
    for (const By by : {By::ids, By::domain, By::sender, By::all}) {
      const Act read = again(Act{action, selection(by)});
      const auto wanted = selection(by);
      CHECK(read.action == action);
      CHECK(read.selection.by == by);
      CHECK(read.selection.ids == wanted.ids);
      CHECK(read.selection.domain == wanted.domain);
      CHECK(read.selection.sender == wanted.sender);
    }
  }
  CHECK(to_json(AskStatus{}) == "{}");
  CHECK(from_json<AskStatus>("{}").has_value());
  CHECK(again(RefreshPolicy{dns::Name::parse("contoso.com").value()}).domain.text() == "contoso.com");
  SendReports send;
  send.day = tlsrpt::parse_day("2025-03-01").value();
  CHECK_FALSE(again(send).domain.has_value());
  send.domain = dns::Name::parse("contoso.com").value();
  CHECK(again(send).day == send.day);
  CHECK(again(send).domain == send.domain);
}

TEST_CASE("control: orders about partners come out as they went in, and what is none is refused") {
  ChangePartners change;
  partners::Order require, except, remove, end;
  require.entry.domain = partners::parse_domain("*.contoso.com").value();
  require.entry.level = hop::Mandate::verify;
  require.entry.until = partners::parse_day("2027-01-31").value();
  require.entry.note = "\"a\" \\ b";
  except.entry.domain = remove.entry.domain = end.entry.domain = partners::parse_domain("contoso.com").value();
  except.entry.rule = partners::Rule::mta_sts;
  remove.what = end.what = partners::Order::What::remove;
  end.only = partners::Rule::dane;
  end.entry.note = "they mended it";
  change.orders = {require, except, remove, end};
  change.more = ChangePartners::More::follow;
  const ChangePartners read = again(change);
  CHECK(read.more == ChangePartners::More::follow);
  REQUIRE(read.orders.size() == 4);
  CHECK(says_the_same(read.orders[0].entry, require.entry));
  CHECK(says_the_same(read.orders[1].entry, except.entry));
  CHECK(read.orders[2].what == partners::Order::What::remove);
  CHECK_FALSE(read.orders[2].only.has_value());
  CHECK(read.orders[3].only == partners::Rule::dane);
  CHECK(read.orders[3].entry.note == "they mended it");
  const auto order = [](const char* what, const char* domain, const char* rule, const char* level, const char* only) {
    return std::string(R"({"orders":[{"what":")") + what + R"(","entry":{"domain":")" + domain + R"(","rule":")" +
           rule + R"(","level":")" + level + R"(","until":null,"note":""},"only":)" + only + R"(}],"more":"none"})";
  };
  CHECK(from_json<ChangePartners>(order("put", "a.example", "mandate", "dane", "null")).has_value());
  for (const std::string& bad :
       {std::string("{}"), std::string(R"({"orders":[1],"more":"none"})"), order("put", "*", "mandate", "dane", "null"),
        order("put", "a.example", "mandate", "none", "null"), order("put", "a.example", "dane", "dane", "null"),
        order("put", "a.example", "mandate", "dane_audit", "null"),
        order("put", "a.example", "mandate", "dane", "\"dane\""), order("add", "a.example", "mandate", "dane", "null"),
        order("remove", "a.example", "mandate", "none", "\"mandate\""),
        order("remove", "a.example", "mandate", "none", "\"verify\"")}) {
    CAPTURE(bad);
    CHECK_FALSE(from_json<ChangePartners>(bad).has_value());
  }
  const partners::Done done{3, 1, partners::parse_day("2027-01-31").value(), "no"};
  const auto heard = again(done);
  CHECK(heard.changed == 3);
  CHECK(heard.unchanged == 1);
  CHECK(heard.until == done.until);
  CHECK(heard.refused == "no");
}

TEST_CASE("control: what is not quite a request is refused, never guessed at") {
  CHECK(from_json<Act>(act(R"({"by":"sender","ids":[],"domain":".","sender":""})")).has_value());  // the empty sender
  CHECK(from_json<Act>(act(R"({"by":"all","ids":[],"domain":".","sender":""})")).has_value());
  const struct {
    std::string text;
    const char* why;
  } rows[] = {
      {"", "nothing"},
      {"[]", "not an object"},
      {"{", "cut short"},
      {"{}", "no members"},
      {R"({"action":"hold"})", "no selection: never taken for all"},
      {act("null"), "no selection: never taken for all"},
      {act("{}"), "likewise"},
      {act(R"({"by":"every","ids":[],"domain":".","sender":""})"), "a selection that there is not"},
      {act(R"({"by":"all","ids":[],"domain":"."})"), "a member is missing"},
      {act(R"({"by":"all","ids":[],"domain":".","sender":"","more":1})"), "a member that is not known"},
      {act(R"({"by":"ids","ids":[],"domain":".","sender":""})"), "an empty list of ids"},
      {act(R"({"by":"all","ids":["0000000001"],"domain":".","sender":""})"), "two selections"},
      {act(R"({"by":"all","ids":[],"domain":"d.example","sender":""})"), "all, and a domain"},
      {act(R"({"by":"all","ids":[],"domain":".","sender":"s@a.example"})"), "all, and a sender"},
      {act(R"({"by":"domain","ids":[],"domain":"d.example","sender":"s@a.example"})"), "a domain and a sender"},
      {act(R"({"by":"ids","ids":["zzz"],"domain":".","sender":""})"), "no id"},
      {act(R"({"by":"ids","ids":[7],"domain":".","sender":""})"), "a number for an id"},
      {act(R"({"by":"domain","ids":[],"domain":"a..b","sender":""})"), "no domain"},
      {act(R"({"by":"domain","ids":[],"domain":7,"sender":""})"), "a number for a domain"},
      {R"({"action":"explode","selection":{"by":"all","ids":[],"domain":".","sender":""}})", "an unknown action"},
      {R"({"action":["hold"],"selection":{"by":"all","ids":[],"domain":".","sender":""}})", "a list for an action"},
      {act("{\"by\":\"sender\",\"ids\":[],\"domain\":\".\",\"sender\":\"\xff\"}"), "not UTF-8"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK_FALSE(from_json<Act>(row.text).has_value());
  }
  CHECK_FALSE(from_json<AskStatus>(R"({"verbose":true})").has_value());
  CHECK_FALSE(from_json<AskStatus>("[]").has_value());
  CHECK_FALSE(from_json<RefreshPolicy>("{}").has_value());
  for (const char* bad : {R"({"day":"yesterday"})", R"({"day":"2025-02-30","domain":null})",
                          R"({"day":"2025-03-01","domain":"a b"})", R"({"domain":null})"})
    CHECK_FALSE(from_json<SendReports>(bad).has_value());
  std::string deep = R"({"action":"hold","selection":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  CHECK_FALSE(from_json<Act>(deep).has_value());
  std::string many = R"({"by":"ids","ids":["0000000001")";
  for (std::size_t i = 1; i <= max_ids; ++i) many += R"(,"0000000001")";
  CHECK_FALSE(from_json<Act>(act(many + R"(],"domain":".","sender":""})")).has_value());
}

TEST_CASE("control: what the server writes the client reads") {
  store::Affected affected;
  affected.messages = 7;
  affected.recipients = 1ULL << 40U;
  affected.active = 2;
  affected.ids = {id(1)};
  CHECK(to_json(affected) == R"({"messages":7,"recipients":1099511627776,"active":2})");
  CHECK(again(affected).recipients == 1ULL << 40U);
  CHECK_FALSE(from_json<store::Affected>(R"({"messages":1,"recipients":2,"active":-5})").has_value());

  const std::vector<store::Lease> leases{{id(9), 3}, {id(2), 0}};
  CHECK(again(leases) == leases);
  CHECK_FALSE(from_json<std::vector<store::Lease>>(R"([{"id":"0000000001","seq":-1}])").has_value());
  CHECK_FALSE(from_json<std::vector<store::Lease>>(R"([{"id":"0000000001","seq":4294967296}])").has_value());

  Status status;
  status.version = "1.2.3";
  status.pid = 4711;
  status.counts = {{"sessions", 12}};
  status.started = from_millis(1'700'000'000'123);
  status.config = "/etc/hoplock/hoplock.yaml";
  status.problems = {{"disk-space", "no new mail is taken: \"full\""}};
  status.failures = {{"bounced", "smtp-reply", 12}};
  const auto told = again(status);
  CHECK(told.version == "1.2.3");
  CHECK(told.pid == 4711);
  CHECK(told.counts == status.counts);
  CHECK(told.started == status.started);
  CHECK(told.config == status.config);
  REQUIRE(told.problems.size() == 1);
  CHECK(told.problems[0].text == status.problems[0].text);
  REQUIRE(told.failures.size() == 1);
  CHECK(told.failures[0].count == 12);

  const std::vector<queue::InLine> said{{"one.test", "the one session to 192.0.2.1 is in use", std::nullopt},
                                        {"two.test", "the route's rate is used up", from_millis(1'700'000'000'123)}};
  const auto waiting = again(said);
  REQUIRE(waiting.size() == 2);
  CHECK(waiting[0].why == said[0].why);
  CHECK_FALSE(waiting[0].until.has_value());
  CHECK(waiting[1].until == said[1].until);
  CHECK_FALSE(from_json<std::vector<queue::InLine>>(R"([{"destination":"one.test"}])").has_value());

  CHECK(again(Compacted{1 << 20, 4096}).pages == 4096);
  CHECK(again(std::optional<std::string>("line 3: \"no\"")) == "line 3: \"no\"");
  CHECK(to_json(std::optional<std::string>()) == "null");
  CHECK(again(Refusal{"user bob may not control this daemon"}).error == "user bob may not control this daemon");
}

}  // namespace control_described_test
