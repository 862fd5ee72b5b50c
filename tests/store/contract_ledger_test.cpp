// SPDX-License-Identifier: Apache-2.0
// store::LedgerStore, and what store::MailStore writes for it, on every implementation there is.
#include "store/ledger_store.h"

#include "tests/store/all.h"
#include "tlsrpt/gzip.h"

namespace hoplock::store::contract::store_contract_ledger_test {

namespace {

const tlsrpt::Day day = tlsrpt::parse_day("2026-09-20").value();
const Time midnight = tlsrpt::begin_of(day + std::chrono::days{1});

ReportKey key_of(const std::string& domain) { return {day, name(domain)}; }

tlsrpt::Submitter submitter() {
  return tlsrpt::Submitter::make("Example", "postmaster@example.net", "tlsrpt@example.net").value();
}

// That many good sessions to the domain, and one that failed.
std::shared_ptr<const LedgerCounts> sessions(const std::string& domain, int good) {
  LedgerCounts counts;
  tlsrpt::Sessions one;
  one.policy.type = tlsrpt::PolicyType::no_policy_found;
  one.policy.domain = name(domain);
  one.successes = 1;
  for (int i = 0; i < good; ++i) counts.add(key_of(domain), {one});
  one.successes = 0;
  one.failures = 1;
  counts.add(key_of(domain), {one});
  return std::make_shared<const LedgerCounts>(std::move(counts));
}

void count(Mail& mail, const std::string& domain, int good) {
  auto results = Mail::results({});
  results->results.sessions = sessions(domain, good);
  mail.ask(mail.store().settle(results)).value();
}

ReportAccount account(Implementation& kept, const std::string& domain) {
  return kept.ask(kept.ledger().load(key_of(domain))).value().account.value();
}

std::size_t plan(Implementation& kept, std::size_t most, Time now = midnight) {
  ReportPlan made;
  made.now = now;
  made.latest = now + Seconds(90'000);
  made.send_at = Seconds(100);
  made.delays.assign(most, Seconds(50));
  return kept.ask(kept.ledger().plan(made)).value();
}

ReportDestination to(const std::string& rua, ReportDestination::State state = ReportDestination::State::waiting) {
  ReportDestination made;
  made.rua = rua;
  made.state = state;
  return made;
}

}  // namespace

TEST_CASE_TEMPLATE("ledger: what is counted comes with the results, and lasts", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  CHECK_FALSE(kept.ask(kept.ledger().load(key_of("one.test"))).value().account.has_value());
  count(mail, "one.test", 3);
  count(mail, "one.test", 2);
  kept.restart();
  const ReportAccount found = account(kept, "one.test");
  CHECK(found.sessions == 7);
  CHECK(found.failures == 2);
  CHECK(found.state == ReportState::collecting);
  CHECK_FALSE(found.due.has_value());
}

TEST_CASE_TEMPLATE("RPT-32: every report of a day that is over gets a time, once", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  for (const char* domain : {"one.test", "two.test", "three.test"}) count(mail, domain, 1);
  CHECK(plan(kept, 10, midnight - Seconds(1)) == 0);  // the day is not over
  CHECK(plan(kept, 2) == 2);
  CHECK(plan(kept, 2) == 1);
  CHECK(plan(kept, 2) == 0);
  DueReports due = kept.ask(kept.ledger().due(midnight, 10)).value();
  CHECK(due.keys.empty());
  CHECK(due.next == midnight + Seconds(150));
  due = kept.ask(kept.ledger().due(midnight + Seconds(150), 2)).value();
  CHECK(due.keys.size() == 2);
  CHECK(account(kept, "one.test").state == ReportState::due);
}

TEST_CASE_TEMPLATE("a report is built once, and says the same ever after", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  CHECK_FALSE(kept.ask(kept.ledger().build(key_of("none.test"), submitter(), {})).value().has_value());
  count(mail, "one.test", 4);
  const auto built = kept.ask(kept.ledger().build(key_of("one.test"), submitter(), {to("mailto:r@one.test")})).value();
  REQUIRE(built.has_value());
  CHECK(built->sessions == 5);
  CHECK(built->failures == 1);
  CHECK(built->policies == 1);
  CHECK(tlsrpt::gunzip(built->gzip, 1 << 20).value().find("\"total-successful-session-count\":4") != std::string::npos);
  kept.restart();
  const auto other = tlsrpt::Submitter::make("Other", "postmaster@example.org", "tlsrpt@example.org").value();
  const auto again = kept.ask(kept.ledger().build(key_of("one.test"), other, {})).value();
  REQUIRE(again.has_value());
  CHECK(again->gzip == built->gzip);
  CHECK(again->report_id == built->report_id);
  const LoadedReport loaded = kept.ask(kept.ledger().load(key_of("one.test"))).value();
  CHECK(loaded.account->state == ReportState::built);
  REQUIRE(loaded.destinations.size() == 1);
  CHECK(loaded.destinations[0].rua == "mailto:r@one.test");
  mail.restart();
  count(mail, "one.test", 1);  // of a session that ended late: it is another day's
  CHECK(account(kept, "one.test").sessions == 5);
}

TEST_CASE_TEMPLATE("RPT-43: a round that is over is followed by another one, or was the last", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  count(mail, "one.test", 1);
  plan(kept, 10);
  kept.ask(kept.ledger().build(key_of("one.test"), submitter(), {to("https://one.test/")})).value();
  ReportRound round;
  round.key = key_of("one.test");
  round.destinations = {to("https://one.test/")};
  round.error = "503";
  CHECK(kept.ask(kept.ledger().postpone(round, {midnight, midnight + Seconds(500)})).has_value());
  ReportAccount now = account(kept, "one.test");
  CHECK(now.attempts == 1);
  CHECK(now.error == "503");
  CHECK(now.since == midnight);
  CHECK(now.due == midnight + Seconds(500));
  round.destinations = {to("https://one.test/", ReportDestination::State::accepted)};
  round.error.clear();
  CHECK(kept.ask(kept.ledger().finish(round, ReportState::sent)).has_value());
  now = account(kept, "one.test");
  CHECK(now.state == ReportState::sent);
  CHECK_FALSE(now.due.has_value());
  ReportSelection all;
  ReportsSentNow sent = kept.ask(kept.ledger().send_now(all, midnight)).value();
  CHECK(sent.found == 1);
  CHECK(sent.sending == 0);
  count(mail, "two.test", 1);
  CHECK(kept.ask(kept.ledger().finish({key_of("two.test"), {}, "no record"}, ReportState::skipped)).has_value());
  sent = kept.ask(kept.ledger().send_now(all, midnight)).value();
  CHECK(sent.found == 2);
  CHECK(sent.sending == 1);
  CHECK(sent.last == key_of("two.test"));
  CHECK(kept.ask(kept.ledger().due(midnight, 10)).value().keys == std::vector<ReportKey>{key_of("two.test")});
}

TEST_CASE_TEMPLATE("RPT-30, RPT-47: the mark is stored with the mail, and taken back when the mail comes back", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  count(mail, "one.test", 1);
  const auto built = kept.ask(kept.ledger().build(key_of("one.test"), submitter(), {})).value().value();
  const auto draft = mail.draft({"r@one.test"});
  draft->mark.emplace();
  draft->mark->key = key_of("one.test");
  draft->mark->destination = to("mailto:r@one.test", ReportDestination::State::accepted);
  CHECK(mail.ask(mail.store().commit(draft)).has_value());
  CHECK(kept.ask(kept.ledger().finish({key_of("one.test"), {}, ""}, ReportState::sent)).has_value());
  tlsrpt::Bounce bounce;
  bounce.report_id = "of somebody else";
  bounce.why = "550 no";
  CHECK_FALSE(kept.ask(kept.ledger().take_bounce(draft->id, bounce)).value().has_value());
  auto given_up = Mail::results({});
  given_up->results.given_up = {{draft->id, "550 no such user"}, {Id{draft->id.value + 1}, "550 no"}};
  const Applied applied = mail.ask(mail.store().settle(given_up)).value();
  REQUIRE(applied.given_up.size() == 2);
  REQUIRE(applied.given_up[0].has_value());
  CHECK(applied.given_up[0]->rua == "mailto:r@one.test");
  CHECK(applied.given_up[0]->account.state == ReportState::failed);
  CHECK_FALSE(applied.given_up[1].has_value());
  bounce.report_id = built.report_id;
  CHECK_FALSE(
      kept.ask(kept.ledger().take_bounce(draft->id, bounce)).value().has_value());  // it is known to have failed
}

TEST_CASE_TEMPLATE("RPT-44: a destination's quota is taken while there is any, and begins anew each day", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  ReportLoad load;
  load.day = day;
  load.to = tlsrpt::MailDestination{"r", name("one.test")};
  load.octets = 10;
  ReportQuota quota;
  quota.reports_per_mailbox = 2;
  CHECK(kept.ask(kept.ledger().take_quota(load, quota)).value().empty());
  CHECK(kept.ask(kept.ledger().take_quota(load, quota)).value().empty());
  CHECK_FALSE(kept.ask(kept.ledger().take_quota(load, quota)).value().empty());
  load.day += std::chrono::days{1};
  CHECK(kept.ask(kept.ledger().take_quota(load, quota)).value().empty());
}

TEST_CASE_TEMPLATE("ledger: what is over goes, what is still to be sent stays", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  count(mail, "one.test", 1);
  count(mail, "two.test", 1);
  CHECK(kept.ask(kept.ledger().finish({key_of("one.test"), {}, "no record"}, ReportState::skipped)).has_value());
  const tlsrpt::Day later = day + std::chrono::days{1};
  mail.repeat([&] { return kept.ledger().prune(day, PruneReports::all, later); });
  CHECK(account(kept, "one.test").state == ReportState::skipped);
  mail.repeat([&] { return kept.ledger().prune(later, PruneReports::ended, later); });
  CHECK_FALSE(kept.ask(kept.ledger().load(key_of("one.test"))).value().account.has_value());
  CHECK(account(kept, "two.test").sessions == 2);
  mail.repeat([&] { return kept.ledger().prune(later, PruneReports::all, later); });
  CHECK_FALSE(kept.ask(kept.ledger().load(key_of("two.test"))).value().account.has_value());
}

}  // namespace hoplock::store::contract::store_contract_ledger_test
