// SPDX-License-Identifier: Apache-2.0
// store::Readers: what people are shown after operations on a store is the same, whatever keeps it.
#include "store/readers.h"

#include "tests/store/all.h"

namespace hoplock::store::contract::store_contract_readers_test {

namespace {

std::vector<MessageView> listed(Implementation& kept, const Filter& filter) {
  std::vector<MessageView> found;
  const auto reader = kept.readers()->mail().value();
  const auto done = reader->list(filter, [&](const MessageView& message) {
    found.push_back(message);
    return Go::on;
  });
  CHECK(done.has_value());
  return found;
}

Strings ids_of(const std::vector<MessageView>& messages) {
  Strings ids;
  for (const MessageView& one : messages) ids.push_back(one.id.text());
  return ids;
}

Filter in_state(const std::string& state, std::vector<Lease> active = {}) {
  Filter filter;
  filter.state = state;
  filter.active = std::move(active);
  return filter;
}

std::vector<Traced> traced(Implementation& kept, const TraceQuery& query) {
  std::vector<Traced> found;
  const auto reader = kept.readers()->mail().value();
  const auto done = reader->trace(query, [&](const Traced& one) {
    found.push_back(one);
    return Go::on;
  });
  CHECK(done.has_value());
  return found;
}

// "deferred 2, queued 1"
std::string states(const Stats& stats) {
  std::string text;
  for (const auto& [state, count] : stats.states)
    (text += text.empty() ? "" : ", ") += state + " " + std::to_string(count.count);
  return text;
}

}  // namespace

TEST_CASE_TEMPLATE("readers: a message is listed and shown as it is, octet by octet", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  CHECK(listed(kept, {}).empty());
  auto draft = mail.draft({"a@one.test", "b@two.test"});
  draft->envelope.body = Body::eight_bit;
  draft->envelope.requiretls = true;
  draft->envelope.envid = "env-1";
  mail.ask(mail.store().commit(draft)).value();
  const auto reader = kept.readers()->mail().value();
  const MessageView shown = reader->show(draft->id, {}).value().value();
  CHECK(shown.received == t0);
  CHECK(shown.size == draft->size);
  CHECK(shown.chunks == 1);
  CHECK(shown.envelope.sender == "sender@example.net");
  CHECK(shown.envelope.client == "192.0.2.1");
  CHECK(shown.envelope.envid == "env-1");
  CHECK(shown.envelope.body == Body::eight_bit);
  CHECK(shown.envelope.requiretls);
  REQUIRE(shown.recipients.size() == 2);
  CHECK(shown.recipients[1].seq == 1);
  CHECK(shown.recipients[1].address == "b@two.test");
  CHECK(shown.recipients[1].domain == "two.test");
  CHECK(shown.recipients[1].destination == "two.test");
  CHECK(shown.recipients[1].word() == "queued");
  CHECK(shown.recipients[1].next == t0);
  CHECK_FALSE(shown.recipients[1].last.has_value());
  CHECK_FALSE(reader->show(Id{draft->id.value + 1}, {}).value().has_value());
  CHECK(reader->show(draft->id, {{draft->id, 1}}).value().value().state() == "active");
  std::string body;
  CHECK(reader->body(draft->id, [&body](std::string_view octets) {
    body += octets;
    return Go::on;
  }));
  CHECK(body == *draft->last_chunk);
  CHECK(reader->body(Id{draft->id.value + 1}, [](std::string_view) { return Go::on; }).error().code ==
        errc::no_message);
}

TEST_CASE_TEMPLATE("readers: a list is by age, and filtered by domain, sender and state", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id first = mail.put({"a@one.test"});
  const Id second = mail.put({"a@two.test", "b@one.test"}, at(1));
  auto other = mail.draft({"a@two.test"}, at(2));
  other->envelope.sender = "";
  mail.ask(mail.store().commit(other)).value();
  CHECK(ids_of(listed(kept, {})) == Strings{first.text(), second.text(), other->id.text()});
  Filter filter;
  filter.domain = name("one.test");
  CHECK(ids_of(listed(kept, filter)) == Strings{first.text(), second.text()});
  filter.domain = name("none.test");
  CHECK(listed(kept, filter).empty());
  Filter by_sender;
  by_sender.sender = "";
  CHECK(ids_of(listed(kept, by_sender)) == Strings{other->id.text()});
  mail.act(Action::hold, {second}, at(3));
  CHECK(ids_of(listed(kept, in_state("held"))) == Strings{second.text()});
  CHECK(ids_of(listed(kept, in_state("queued"))) == Strings{first.text(), other->id.text()});
  CHECK(ids_of(listed(kept, in_state("active", {{first, 0}}))) == Strings{first.text()});
  CHECK(ids_of(listed(kept, in_state("queued", {{first, 0}}))) == Strings{other->id.text()});
}

TEST_CASE_TEMPLATE("readers: what was tried says how it fared, and what its next hop waits for", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id tried = mail.put({"a@one.test"});
  auto jobs = mail.lease("one.test");
  REQUIRE(jobs.size() == 1);
  mail.settle({Mail::all(jobs[0], Verdict::deferred, at(300))}, at(5));
  const auto reader = kept.readers()->mail().value();
  RecipientView one = reader->show(tried, {}).value().value().recipients.at(0);
  CHECK(one.word() == "deferred");
  CHECK(one.attempts == 1);
  CHECK(one.last == at(5));
  CHECK(one.next == at(300));
  CHECK(one.status == "4.4.1");
  CHECK(one.reply == "the reply");
  CHECK(one.reason == "connect-timeout");
  CHECK(one.host == "mx.one.test");
  CHECK(one.hop.reply.empty());
  mail.hold_off("one.test", Mail::down_until(at(900)));
  one = reader->show(tried, {}).value().value().recipients.at(0);
  CHECK(one.next == at(900));
  CHECK(one.hop.reply == "nobody answers");
  CHECK(one.hop.reason == "connect-timeout");
  mail.hold_off("one.test", std::nullopt);
  one = reader->show(tried, {}).value().value().recipients.at(0);
  CHECK(one.next == at(300));
  CHECK(one.hop.reply.empty());
}

TEST_CASE_TEMPLATE("readers: counts by state, domain, next hop and reason", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const auto reader = kept.readers()->mail().value();
  CHECK(reader->stats({}).value().messages == 0);
  CHECK(states(reader->stats({}).value()).empty());
  const Id first = mail.put({"a@one.test", "b@one.test", "c@two.test"});
  mail.put({"a@one.test"}, at(1));
  const Id held = mail.put({"a@three.test"}, at(2));
  mail.act(Action::hold, {held}, at(3));
  auto jobs = mail.lease("two.test", at(3));
  REQUIRE(jobs.size() == 1);
  mail.settle({Mail::all(jobs[0], Verdict::deferred, at(300))}, at(5));
  const Stats stats = reader->stats({{first, 0}}).value();
  CHECK(stats.messages == 3);
  REQUIRE(stats.oldest.has_value());
  CHECK(*stats.oldest == first.time());
  CHECK(states(stats) == "active 1, deferred 1, held 1, queued 2");
  REQUIRE(stats.domains.size() == 3);
  CHECK(stats.domains[0].domain == "one.test");
  CHECK(stats.domains[0].count.count == 3);
  CHECK(stats.domains[0].reason.empty());
  CHECK(stats.domains[0].nexthop == "one.test");
  const auto domain = [&stats](const std::string& of) {
    return *std::find_if(stats.domains.begin(), stats.domains.end(), [&](const auto& d) { return d.domain == of; });
  };
  CHECK(domain("two.test").reason == "connect-timeout");
  CHECK(domain("three.test").reason == "held");
  REQUIRE(stats.reasons.size() == 1);
  CHECK(stats.reasons[0].reason == "connect-timeout");
  CHECK(stats.reasons[0].count.count == 1);
  CHECK(stats.hops.size() == 3);
}

TEST_CASE_TEMPLATE("readers: where mail waits, and for what", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const auto reader = kept.readers()->mail().value();
  CHECK_FALSE(reader->wait_of("one.test").value().has_value());
  const Id tried = mail.put({"a@one.test"});
  auto jobs = mail.lease("one.test");
  REQUIRE(jobs.size() == 1);
  mail.settle({Mail::all(jobs[0], Verdict::deferred, at(300))}, at(5));
  mail.put({"b@one.test"}, at(6));
  DomainWait wait = reader->wait_of("one.test").value().value();
  CHECK(wait.count.count == 2);
  CHECK(wait.count.oldest == tried.time());
  CHECK(wait.reply == "the reply");
  CHECK(wait.attempts == 1);
  CHECK(wait.last == at(5));
  CHECK(wait.next == at(6));
  CHECK(wait.tried == tried);
  mail.hold_off("one.test", Mail::down_until(at(900)));
  wait = reader->wait_of("one.test").value().value();
  CHECK(wait.reply == "nobody answers");
  CHECK(wait.attempts == 2);
  CHECK(wait.next == at(900));
  const auto waits = reader->waits(reader->stats({}).value(), 5).value();
  REQUIRE(waits.size() == 1);
  CHECK(waits[0].nexthop == "one.test");
  CHECK(waits[0].reason == "connect-timeout");
  CHECK(waits[0].extent == Wait::Extent::whole);
  CHECK(waits[0].domains == 1);
  REQUIRE(waits[0].shown.size() == 1);
  CHECK(waits[0].shown[0].count.count == 2);
}

TEST_CASE_TEMPLATE("readers: what happened to a message is told by id, address and domain, also when it is gone", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  mail.store().set_history(Recording::on);
  const Id gone = mail.put({"a@one.test"});
  const Id there = mail.put({"b@two.test"}, at(1));
  auto jobs = mail.lease("one.test");
  REQUIRE(jobs.size() == 1);
  Settled end = Mail::all(jobs[0], Verdict::delivered);
  end.history_entry = R"({"event":"attempt"})";
  mail.settle({end}, at(5));
  TraceQuery query;
  query.id = gone;
  auto found = traced(kept, query);
  REQUIRE(found.size() == 1);
  CHECK(found[0].id == gone);
  REQUIRE(found[0].events.size() == 2);
  CHECK(found[0].events[0].at == t0);
  CHECK(found[0].events[0].text.find("a@one.test") != std::string::npos);
  CHECK(found[0].events[1].text == R"({"event":"attempt"})");
  TraceQuery by_address;
  by_address.address = "B@Two.test";
  found = traced(kept, by_address);
  REQUIRE(found.size() == 1);
  CHECK(found[0].id == there);
  TraceQuery by_domain;
  by_domain.domain = "example.net";
  CHECK(traced(kept, by_domain).size() == 2);
  by_domain.since = at(1);
  CHECK(traced(kept, by_domain).size() == 1);
  const auto reader = kept.readers()->mail().value();
  CHECK(reader->beginning_with(gone.text(), 5).value() == std::vector<Id>{gone});
  CHECK(reader->beginning_with(gone.text().substr(0, 2), 5).value() == std::vector<Id>{gone, there});
  CHECK(reader->beginning_with("!", 5).value().empty());
  Strings events;
  CHECK(reader->history(t0, [&events](Time, std::string_view text) {
    events.emplace_back(text.substr(0, 18));
    return Go::on;
  }));
  CHECK(events.size() == 3);
  CHECK(events[1] == R"({"event":"attempt")");
  const Recent recent = reader->recent({"", "example.net", 10}).value();
  CHECK(recent.ids == std::vector<Id>{there, gone});
  CHECK(recent.extent == Recent::Extent::all);
  CHECK(reader->recent({"", "example.net", 1}).value().extent == Recent::Extent::part);
  const Tail tail = reader->tail(gone, 5).value();
  CHECK(tail.traced.events.size() == 2);
  CHECK(tail.left_out == 0);
  CHECK(reader->tail(Id{gone.value + 1}, 5).value().traced.events.empty());
}

TEST_CASE_TEMPLATE("readers: of many events the first and the newest, and how many are left out", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  mail.store().set_history(Recording::on);
  const Id id = mail.put({"a@one.test"});
  for (int i = 0; i < 5; ++i) {
    auto jobs = mail.lease("one.test", at(i));
    REQUIRE(jobs.size() == 1);
    Settled end = Mail::all(jobs[0], Verdict::deferred, at(i));
    end.history_entry = R"({"n":)" + std::to_string(i) + "}";
    mail.settle({end}, at(i));
  }
  const Tail tail = kept.readers()->mail().value()->tail(id, 2).value();
  REQUIRE(tail.traced.events.size() == 3);
  CHECK(tail.traced.events[1].text == R"({"n":3})");
  CHECK(tail.traced.events[2].text == R"({"n":4})");
  CHECK(tail.left_out == 3);
}

TEST_CASE_TEMPLATE("readers: messages that are held because they are damaged", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test"});
  const auto reader = kept.readers()->mail().value();
  CHECK(reader->damaged(5).value().empty());
  mail.store().hold_damaged(id);
  CHECK(mail.due().empty());
  CHECK(reader->damaged(5).value() == std::vector<Id>{id});
}

TEST_CASE_TEMPLATE("readers: policies by domain, and how many are in force", Kept, HOPLOCK_STORES) {
  Kept kept;
  const auto reader = kept.readers()->policies().value();
  CHECK_FALSE(reader->find(name("one.test")).value().has_value());
  for (const char* domain : {"two.test", "one.test"}) {
    PolicyRow row;
    row.domain = name(domain);
    row.freshness.held = mtasts::Held{"1", t0, Seconds(100)};
    row.text = std::string("version: STSv1\r\n\xff") + domain;
    row.checked = t0;
    row.due = at(100);
    CHECK(kept.ask(kept.policies().put(row)).has_value());
  }
  Strings domains;
  CHECK(reader->list([&domains](const PolicyRow& row) { domains.push_back(row.domain.text()); }));
  CHECK(domains == Strings{"one.test", "two.test"});
  CHECK(reader->find(name("one.test")).value().value().text ==
        "version: STSv1\r\n\xff"
        "one.test");
  const PolicySummary now = reader->summary(at(50)).value();
  CHECK(now.in_force == 2);
  CHECK(now.lapsed == 0);
  CHECK(reader->summary(at(150)).value().lapsed == 2);
}

TEST_CASE_TEMPLATE("readers: partners by domain, and those that may count for mail to one", Kept, HOPLOCK_STORES) {
  Kept kept;
  std::vector<PartnerChange> changes;
  for (const char* domain : {"*.example", "a.example", "b.example"}) {
    PartnerChange change;
    change.entry.domain = partners::parse_domain(domain).value();
    change.entry.level = hop::Mandate::dane;
    change.entry.note = "ticket 4711";
    change.entry.by = "ann";
    change.entry.since = t0;
    changes.push_back(std::move(change));
  }
  CHECK(kept.ask(kept.partners().write(changes, PartnerStore::Part::last)).has_value());
  const auto reader = kept.readers()->partners().value();
  Strings domains;
  CHECK(reader->list([&domains](const partners::Entry& one) { domains.push_back(dns::to_text(one.domain)); }));
  CHECK(domains.size() == 3);
  const auto found = reader->find(name("a.example")).value();
  REQUIRE(found.size() == 2);
  CHECK(dns::to_text(found[0].domain) == "a.example");
  CHECK(dns::to_text(found[1].domain) == "*.example");
  CHECK(found[0].level == hop::Mandate::dane);
  CHECK(found[0].note == "ticket 4711");
  CHECK(found[0].since == t0);
  CHECK(reader->find(partners::parse_domain("b.example").value()).value().size() == 1);
}

TEST_CASE_TEMPLATE("readers: a day's report, before and after it is built", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const ReportKey key{tlsrpt::parse_day("2026-09-20").value(), name("one.test")};
  const auto submitter = tlsrpt::Submitter::make("Example", "postmaster@example.net", "tlsrpt@example.net").value();
  const auto reader = kept.readers()->ledger().value();
  CHECK_FALSE(reader->show(key, submitter).value().has_value());
  LedgerCounts counts;
  tlsrpt::Sessions one;
  one.policy.type = tlsrpt::PolicyType::tlsa;
  one.policy.domain = name("mx.one.test");
  one.policy.text = {"3 1 1 00ff", "3 1 1 11ff"};
  one.failures = 1;
  tlsrpt::Failure failure;
  failure.type = tlsrpt::ResultType::certificate_expired;
  failure.receiving_host = "mx.one.test";
  failure.receiving_helo = "mx \xff";
  failure.sending_ip = Ip::parse("192.0.2.1").value();
  failure.sessions = 1;
  one.details = {failure};
  counts.add(key, {one});
  one.failures = 0;
  one.details.clear();
  one.successes = 1;
  counts.add(key, {one});
  auto results = Mail::results({});
  results->results.sessions = std::make_shared<const LedgerCounts>(std::move(counts));
  mail.ask(mail.store().settle(results)).value();
  mail.ask(mail.store().settle(results)).value();
  const std::string open = reader->show(key, submitter).value().value();
  CHECK(open.find("\"total-successful-session-count\":2") != std::string::npos);
  CHECK(open.find("certificate-expired") != std::string::npos);
  ReportDestination to;
  to.rua = "mailto:r@one.test";
  CHECK(kept.ask(kept.ledger().build(key, submitter, {to})).value().has_value());
  CHECK(reader->show(key, submitter).value().value() == open);
  std::vector<LedgerRow> rows;
  CHECK(reader->list({}, [&rows](const LedgerRow& row) { rows.push_back(row); }));
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].account.key == key);
  CHECK(rows[0].account.sessions == 4);
  CHECK(rows[0].account.failures == 2);
  CHECK(rows[0].account.state == ReportState::built);
  CHECK_FALSE(rows[0].report_id.empty());
  REQUIRE(rows[0].destinations.size() == 1);
  CHECK(rows[0].destinations[0].rua == "mailto:r@one.test");
  ReportSelection other;
  other.domain = name("two.test");
  rows.clear();
  CHECK(reader->list(other, [&rows](const LedgerRow& row) { rows.push_back(row); }));
  CHECK(rows.empty());
  const LedgerSummary summary = reader->summary(key.day).value();
  CHECK(summary.sessions == 4);
  CHECK(summary.failures == 2);
  REQUIRE(summary.states.size() == 1);
  CHECK(summary.states[0].accounts == 1);
}

TEST_CASE_TEMPLATE("readers: what was counted by day and domain, before and after rows are made of it", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const statistics::Day day = statistics::day_of(t0);
  const auto count = [&](const std::string& domain, Time when) {
    statistics::Counts counts;
    counts.note({day, domain, statistics::Kind::delivered, "dane TLSv1.3"}, when, 100, 2);
    auto results = Mail::results({});
    results->results.deliveries = std::make_shared<const statistics::Counts>(std::move(counts));
    mail.ask(mail.store().settle(results)).value();
  };
  count("one.test", at(10));
  count("one.test", at(20));
  count("two.test", at(30));
  const auto check = [&](std::uint64_t times) {
    const auto reader = kept.readers()->statistics().value();
    const statistics::Found found = reader->read({day, day, ""}).value();
    CHECK(found.since == day);
    REQUIRE(found.partners.size() == 2);
    const statistics::Sum sum = found.partners.at("one.test").at({statistics::Kind::delivered, "dane TLSv1.3"});
    CHECK(sum.count == 4 * times);
    CHECK(sum.messages == 2 * times);
    CHECK(sum.octets == 200 * times);
    CHECK(sum.first == at(10));
    CHECK(sum.last == at(20));
    CHECK(reader->read({day, day, "two.test"}).value().partners.size() == 1);
    CHECK(reader->read({day + std::chrono::days{1}, day + std::chrono::days{2}, ""}).value().partners.empty());
  };
  check(1);
  CHECK(kept.ask(kept.statistics().tend()).has_value());
  check(1);
  count("one.test", at(10));
  count("one.test", at(20));
  check(2);
  CHECK(kept.ask(kept.statistics().tend()).has_value());
  check(2);
}

TEST_CASE_TEMPLATE("readers: figures of a minute are added up, and there for each span", Kept, HOPLOCK_STORES) {
  Kept kept;
  const auto minute = std::chrono::floor<std::chrono::minutes>(t0).time_since_epoch().count();
  const auto write = [&](std::uint64_t accepted, std::uint64_t depth) {
    statistics::Figures figures;
    figures.accepted = accepted;
    figures.proofs[0] = 1;
    figures.waiting = statistics::Waiting{depth, Seconds(depth)};
    auto minutes = std::make_shared<const statistics::Tally::Minutes>(statistics::Tally::Minutes{{minute, figures}});
    CHECK(kept.ask(kept.statistics().write(std::move(minutes))).has_value());
  };
  write(3, 7);
  write(2, 5);
  const auto reader = kept.readers()->statistics().value();
  for (const auto span : {statistics::Span::day, statistics::Span::week, statistics::Span::years}) {
    const statistics::Series series = reader->series(span, t0).value();
    REQUIRE(series.points.back().has_value());
    CHECK(series.points.back()->accepted == 5);
    CHECK(series.points.back()->proofs[0] == 2);
    REQUIRE(series.points.back()->waiting.has_value());
    CHECK(series.points.back()->waiting->messages == 7);
    CHECK_FALSE(series.points.front().has_value());
  }
}

}  // namespace hoplock::store::contract::store_contract_readers_test
