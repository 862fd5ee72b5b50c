// SPDX-License-Identifier: Apache-2.0
#include "control/protocol.h"

#include <doctest/doctest.h>

namespace control_protocol_test {

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
}  // namespace

TEST_CASE("parse_request: every action with every selection comes out as it went in") {
  using By = store::Selection::By;
  for (const auto action : {store::Action::retry, store::Action::hold, store::Action::release, store::Action::remove}) {
    for (const By by : {By::ids, By::domain, By::sender, By::all}) {
      const auto again = parse_request(to_json(Request(Act{action, selection(by)})));
      REQUIRE(again.has_value());
      const Act& act = std::get<Act>(*again);
      const auto wanted = selection(by);
      CHECK(act.action == action);
      CHECK(act.selection.by == by);
      CHECK(act.selection.ids == wanted.ids);
      CHECK(act.selection.domain == wanted.domain);
      CHECK(act.selection.sender == wanted.sender);
    }
  }
  CHECK(std::holds_alternative<AskActive>(parse_request(to_json(Request(AskActive{}))).value()));
  const auto refresh = parse_request(to_json(Request(RefreshPolicy{dns::Name::parse("contoso.com").value()})));
  CHECK(std::get<RefreshPolicy>(refresh.value()).domain.text() == "contoso.com");
  SendReports send;
  send.day = tlsrpt::parse_day("2025-03-01").value();
  send.domain = dns::Name::parse("contoso.com").value();
  const auto sent = std::get<SendReports>(parse_request(to_json(Request(send))).value());
  CHECK(sent.day == send.day);
  CHECK(sent.domain == send.domain);
  CHECK(std::holds_alternative<AskStatus>(parse_request(to_json(Request(AskStatus{}))).value()));
}

TEST_CASE("parse_request: orders about partners come out as they went in, and what is none is refused") {
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
  const std::string line = to_json(Request(change));
  const auto again = std::get<ChangePartners>(parse_request(line).value());
  CHECK(to_json(Request(again)) == line);
  CHECK(again.more == ChangePartners::More::follow);
  REQUIRE(again.orders.size() == 4);
  CHECK(says_the_same(again.orders[0].entry, require.entry));
  CHECK(says_the_same(again.orders[1].entry, except.entry));
  CHECK(again.orders[2].what == partners::Order::What::remove);
  CHECK(again.orders[3].only == partners::Rule::dane);
  CHECK(again.orders[3].entry.note == "they mended it");
  for (const char* bad : {R"({"do":"partner"})", R"({"do":"partner","orders":[1]})",
                          R"({"do":"partner","orders":[{"domain":"*","level":"dane"}]})",
                          R"({"do":"partner","orders":[{"domain":"a.example"}]})",
                          R"({"do":"partner","orders":[{"domain":"a.example","level":"dane","except":"dane"}]})",
                          R"({"do":"partner","orders":[{"domain":"a.example","level":"none"}]})",
                          R"({"do":"partner","orders":[{"domain":"a.example","remove":"verify"}]})"})
    CHECK_FALSE(parse_request(bad).has_value());
  const partners::Done done{3, 1, partners::parse_day("2027-01-31").value(), "no"};
  const auto heard = parse_done(to_json(done)).value();
  CHECK(heard.changed == 3);
  CHECK(heard.unchanged == 1);
  CHECK(heard.until == done.until);
  CHECK(heard.refused == "no");
}

TEST_CASE("parse_request: the empty sender is a sender") {
  const auto request = parse_request(R"({"do":"hold","sender":""})");
  REQUIRE(request.has_value());
  CHECK(std::get<Act>(*request).selection.by == store::Selection::By::sender);
}

TEST_CASE("parse_request: what is not quite a request is refused, never guessed at") {
  const struct {
    const char* line;
    const char* why;
  } rows[] = {
      {"", "nothing"},
      {"[]", "not an object"},
      {"{", "cut short"},
      {R"({"do":"hold"})", "no selection: never taken for all"},
      {R"({"do":"remove","all":false})", "all must be true"},
      {R"({"do":"remove","all":"true"})", "all must be a boolean"},
      {R"({"do":"hold","ids":[]})", "an empty list of ids"},
      {R"({"do":"hold","ids":["zzz"]})", "no id"},
      {R"({"do":"hold","ids":[7]})", "a number for an id"},
      {R"({"do":"hold","ids":["0000000001"],"all":true})", "two selections"},
      {R"({"do":"hold","domain":"a..b"})", "no domain"},
      {R"({"do":"hold","domain":7})", "a number for a domain"},
      {R"({"do":"explode","all":true})", "an unknown action"},
      {R"({"do":["hold"],"all":true})", "an action that is a list"},
      {"{\"do\":\"hold\",\"sender\":\"\xff\"}", "not UTF-8"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK_FALSE(parse_request(row.line).has_value());
  }
  std::string deep = R"({"do":"hold","ids":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  CHECK_FALSE(parse_request(deep).has_value());
}

TEST_CASE("parse_affected, parse_active, parse_status: what the server writes the client reads") {
  store::Affected affected;
  affected.messages = 7;
  affected.recipients = 1ULL << 40U;
  affected.active = 2;
  const auto counted = parse_affected(to_json(affected));
  REQUIRE(counted.has_value());
  CHECK(counted->messages == 7);
  CHECK(counted->recipients == 1ULL << 40U);
  CHECK(counted->active == 2);

  const std::vector<store::Lease> leases{{id(9), 3}, {id(2), 0}};
  const auto active = parse_active(to_json(leases));
  REQUIRE(active.has_value());
  CHECK_MESSAGE(active->front() == leases.back(), "sorted, whatever the order on the wire");
  CHECK(active->size() == 2);

  Status status;
  status.version = "1.2.3";
  status.pid = 4711;
  status.counts = {{"sessions", 12}};
  status.started = from_millis(1'700'000'000'123);
  status.config = "/etc/hoplock/hoplock.yaml";
  status.problems = {{"disk-space", "no new mail is taken: \"full\""}};
  status.failures = {{"bounced", "smtp-reply", 12}};
  const auto told = parse_status(to_json(status));
  REQUIRE(told.has_value());
  CHECK(told->version == "1.2.3");
  CHECK(told->pid == 4711);
  CHECK(told->counts == status.counts);
  CHECK(told->started == status.started);
  CHECK(told->config == status.config);
  REQUIRE(told->problems.size() == 1);
  CHECK(told->problems[0].name == "disk-space");
  CHECK(told->problems[0].text == status.problems[0].text);
  REQUIRE(told->failures.size() == 1);
  CHECK(told->failures[0].outcome == "bounced");
  CHECK(told->failures[0].reason == "smtp-reply");
  CHECK(told->failures[0].count == 12);
  CHECK(std::holds_alternative<Reload>(parse_request(to_json(Request(Reload{}))).value()));
}

TEST_CASE("waiting: request and answer come back as they were") {
  CHECK(std::holds_alternative<AskWaiting>(parse_request(to_json(Request(AskWaiting{}))).value()));
  const std::vector<queue::InLine> said{{"one.test", "the one session to 192.0.2.1 is in use", std::nullopt},
                                        {"two.test", "the route's rate is used up", from_millis(1'700'000'000'123)}};
  const auto waiting = parse_waiting(to_json(said));
  REQUIRE(waiting.has_value());
  REQUIRE(waiting->size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK((*waiting)[i].destination == said[i].destination);
    CHECK((*waiting)[i].why == said[i].why);
    CHECK((*waiting)[i].until == said[i].until);
  }
  CHECK_FALSE(parse_waiting(R"({"ok":true})").has_value());
  CHECK_FALSE(parse_waiting(R"({"ok":true,"waiting":[{"nexthop":"one.test"}]})").has_value());
}

TEST_CASE("compact: request and answer come back as they were") {
  CHECK(std::holds_alternative<Compact>(parse_request(to_json(Request(Compact{}))).value()));
  const auto compacted = parse_compacted(to_json(Compacted{1 << 20, 4096}));
  REQUIRE(compacted.has_value());
  CHECK(compacted->octets == 1 << 20);
  CHECK(compacted->pages == 4096);
  CHECK_FALSE(parse_compacted(refusal_to_json("this daemon keeps no store")).has_value());
}

TEST_CASE("parse_affected: a refusal carries the daemon's words, and rubbish is no answer") {
  const auto refused = parse_affected(refusal_to_json("user bob may not control this daemon"));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::operation_not_permitted);
  CHECK(refused.error().detail == "user bob may not control this daemon");
  CHECK_FALSE(parse_affected("hello").has_value());
  CHECK_FALSE(parse_active(R"({"ok":true})").has_value());
  CHECK_FALSE(parse_active(R"({"ok":true,"active":[["0000000001",-1]]})").has_value());
  CHECK_FALSE(parse_active(R"({"ok":true,"active":[["0000000001",4294967296]]})").has_value());
}

}  // namespace control_protocol_test
