// SPDX-License-Identifier: Apache-2.0
// What several nodes do to one store at once: reports, policies, partners and statistics.

#include <functional>

#include "tests/store/postgres.h"
#include "tlsrpt/gzip.h"

namespace hoplock::store::contract::store_shared_test {

namespace {

const tlsrpt::Day day = tlsrpt::parse_day("2026-09-20").value();
const Time midnight = tlsrpt::begin_of(day + std::chrono::days{1});

ReportKey key_of(const std::string& domain, int days = 0) { return {day + std::chrono::days{days}, name(domain)}; }

tlsrpt::Submitter submitter() {
  return tlsrpt::Submitter::make("Example", "postmaster@example.net", "tlsrpt@example.net").value();
}

void add_session(LedgerCounts& counts, const std::string& domain, const std::string& text = "") {
  tlsrpt::Sessions one;
  one.policy.type = text.empty() ? tlsrpt::PolicyType::no_policy_found : tlsrpt::PolicyType::sts;
  one.policy.domain = name(domain);
  if (!text.empty()) one.policy.text = {text};
  one.successes = 1;
  counts.add(key_of(domain), {one});
}

std::shared_ptr<RoutedResults> with(LedgerCounts counts) {
  auto results = Mail::results({});
  results->results.sessions = std::make_shared<const LedgerCounts>(std::move(counts));
  return results;
}

std::uint64_t sessions_of(PostgresNode& node, const ReportKey& key) {
  const auto loaded = node.ask(node.ledger().load(key)).value();
  return loaded.account ? loaded.account->sessions : 0;
}

void plan(Postgres& kept) {
  ReportPlan made;
  made.now = midnight;
  made.latest = midnight + Seconds(90'000);
  made.delays.assign(100, Seconds(0));
  kept.ask(kept.ledger().plan(made)).value();
}

using Keys = std::vector<ReportKey>;

struct Settling {
  PostgresNode& node;
  int times = 0;
  bool backwards = false;
  int failed = 0;
  int done = 0;
};

// Counts of twelve domains in each, of three of them only in every other: what two nodes touch overlaps in all ways.
asio::awaitable<void> settle_many(Settling& to) {
  for (int i = 0; i < to.times; ++i) {
    LedgerCounts counts;
    for (int d = 0; d < 12; ++d)
      if (d % 4 != 0 || (i % 2 == 0) != to.backwards) add_session(counts, "d" + std::to_string(d) + ".test");
    auto results = with(std::move(counts));
    const auto settled = co_await to.node.mail().settle(std::move(results));
    if (!settled) ++to.failed;
    ++to.done;
  }
}

// One new domain after the other, which nobody has counted yet.
asio::awaitable<void> settle_new(Settling& to, int which) {
  for (int i = 0; i < to.times; ++i) {
    LedgerCounts counts;
    add_session(counts, "n" + std::to_string(i) + "-" + std::to_string(which) + ".test");
    auto results = with(std::move(counts));
    const auto settled = co_await to.node.mail().settle(std::move(results));
    if (!settled) ++to.failed;
    ++to.done;
  }
}

asio::awaitable<void> build(PostgresNode& node, ReportKey key, std::optional<Result<std::optional<BuiltReport>>>& to) {
  tlsrpt::Submitter mine = submitter();
  std::vector<ReportDestination> none;
  to = co_await node.ledger().build(std::move(key), std::move(mine), std::move(none));
}

void run_until(Postgres& kept, const std::function<bool()>& enough) {
  kept.loop.io().restart();
  while (!enough()) kept.loop.io().run_one();
}

PolicyRow fetched(const std::string& domain, Time when) {
  PolicyRow row;
  row.domain = name(domain);
  row.freshness.held = mtasts::Held{"1", when, Seconds(1000)};
  row.text = "version: STSv1\r\n";
  row.checked = when;
  row.due = when + Seconds(10);
  return row;
}

partners::Entry entry(const std::string& domain) {
  partners::Entry made;
  made.domain = partners::parse_domain(domain).value();
  made.level = hop::Mandate::dane;
  made.since = t0;
  return made;
}

Strings listed(PostgresNode& node) {
  Strings all;
  for (const auto& one : node.ask(node.partners().list({}, 100)).value().entries)
    all.push_back(dns::to_text(one.domain));
  return all;
}

std::shared_ptr<RoutedResults> delivered(const std::string& domain, int count) {
  statistics::Counts counts;
  counts.note({statistics::day_of(t0), domain, statistics::Kind::delivered, "dane TLSv1.3"}, t0, 100,
              static_cast<std::uint64_t>(count));
  auto results = Mail::results({});
  results->results.deliveries = std::make_shared<const statistics::Counts>(std::move(counts));
  return results;
}

std::uint64_t counted(Postgres& kept, const std::string& domain) {
  const statistics::Day today = statistics::day_of(t0);
  const auto found = kept.readers()->statistics().value()->read({today, today, domain}).value();
  std::uint64_t sum = 0;
  for (const auto& [of, rows] : found.partners)
    for (const auto& [row, one] : rows) sum += one.count;
  return sum;
}

}  // namespace

TEST_CASE_TEMPLATE("ledger: two nodes count the same domains at once, and nothing is lost or refused", Kept, Postgres) {
  Kept kept;
  const auto other = kept.join("two");
  constexpr int times = 60;
  Settling one{kept.node(), times, false}, two{*other, times, true};
  kept.loop.start(settle_many(one));
  kept.loop.start(settle_many(two));
  run_until(kept, [&] { return one.done == times && two.done == times; });
  CHECK(one.failed == 0);
  CHECK(two.failed == 0);
  for (int d = 0; d < 12; ++d) {
    const auto wanted = static_cast<std::uint64_t>(d % 4 != 0 ? 2 * times : times);
    CHECK(sessions_of(*other, key_of("d" + std::to_string(d) + ".test")) == wanted);
  }
}

TEST_CASE_TEMPLATE("ledger: accounts that two nodes open in opposite orders are opened once, and nothing fails", Kept,
                   Postgres) {
  Kept kept;
  const auto other = kept.join("two");
  constexpr int times = 25, side_by_side = 6;
  Settling one{kept.node(), times, false}, two{*other, times, true};
  for (int which = 0; which < side_by_side; ++which) {
    kept.loop.start(settle_new(one, which));
    kept.loop.start(settle_new(two, side_by_side - 1 - which));
  }
  run_until(kept, [&] { return one.done + two.done == 2 * times * side_by_side; });
  CHECK(one.failed == 0);
  CHECK(two.failed == 0);
  for (int i = 0; i < times; ++i)
    for (int which = 0; which < side_by_side; ++which)
      CHECK(sessions_of(kept.node(), key_of("n" + std::to_string(i) + "-" + std::to_string(which) + ".test")) == 2);
  MESSAGE("deadlocks that were undone and tried again: ",
          Postgres::server().sql("SELECT sum(deadlocks)::text FROM pg_stat_database"));
}

TEST_CASE_TEMPLATE("ledger: a report that is built while two nodes count says each session, or the next day's does",
                   Kept, Postgres) {
  Kept kept;
  const auto other = kept.join("two");
  constexpr int times = 40;
  Settling one{kept.node(), times, false}, two{*other, times, true};
  kept.loop.start(settle_many(one));
  kept.loop.start(settle_many(two));
  run_until(kept, [&] { return two.done >= times / 2; });
  std::uint64_t told = 0;
  for (int d = 0; d < 12; ++d) {
    const auto key = key_of("d" + std::to_string(d) + ".test");
    PostgresNode& builder = d % 2 == 0 ? kept.node() : *other;
    std::optional<Result<std::optional<BuiltReport>>> building;
    kept.loop.start(build(builder, key, building));
    run_until(kept, [&] { return building.has_value(); });
    const auto built = building->value();
    REQUIRE(built.has_value());
    const std::string json = tlsrpt::gunzip(built->gzip, 1 << 20).value();
    const auto at = json.find("\"total-successful-session-count\":");
    REQUIRE(at != std::string::npos);
    CHECK(std::stoull(json.substr(at + 33)) == built->sessions);
    told += built->sessions;
  }
  run_until(kept, [&] { return one.done == times && two.done == times; });
  CHECK(one.failed + two.failed == 0);
  std::uint64_t later = 0;
  for (int d = 0; d < 12; ++d) {
    const std::string domain = "d" + std::to_string(d) + ".test";
    CHECK(kept.ask(kept.ledger().build(key_of(domain), submitter(), {})).value()->sessions ==
          sessions_of(kept.node(), key_of(domain)));
    later += sessions_of(kept.node(), key_of(domain, 1));
  }
  CHECK(told + later == 9 * 2 * times + 3 * times);
}

TEST_CASE_TEMPLATE("RPT-30: one node sends a report; what it claimed is another's once it is gone", Kept, Postgres) {
  Kept kept;
  auto dying = kept.join("two");
  LedgerCounts counts;
  for (const char* domain : {"one.test", "two.test", "three.test"}) add_session(counts, domain);
  kept.ask(kept.store().settle(with(std::move(counts)))).value();
  plan(kept);
  const Keys theirs = dying->ask(dying->ledger().due(midnight, 2)).value().keys;
  CHECK(theirs.size() == 2);
  CHECK(dying->ask(dying->ledger().due(midnight, 2)).value().keys.size() == 2);  // until the round is over
  const Keys ours = kept.ask(kept.ledger().due(midnight, 10)).value().keys;
  REQUIRE(ours.size() == 1);
  CHECK(std::find(theirs.begin(), theirs.end(), ours[0]) == theirs.end());
  std::vector<LedgerRow> rows;
  const auto shown = kept.readers()->ledger().value()->list({}, [&rows](const LedgerRow& row) { rows.push_back(row); });
  CHECK(shown.has_value());
  CHECK(std::count_if(rows.begin(), rows.end(), [](const LedgerRow& row) { return row.node == "two"; }) == 2);
  CHECK(kept.ask(kept.ledger().postpone({ours[0], {}, "503"}, {midnight, midnight + Seconds(60)})).has_value());
  dying.reset();
  CHECK(kept.ask(kept.ledger().due(midnight, 10)).value().keys.size() == 2);
}

TEST_CASE_TEMPLATE("RPT-30: a report's mail is stored once, whichever node stores it", Kept, Postgres) {
  Kept kept;
  const auto other = kept.join("two");
  Mail mail(kept);
  other->ask(other->mail().recover()).value();
  LedgerCounts counts;
  add_session(counts, "one.test");
  kept.ask(kept.store().settle(with(std::move(counts)))).value();
  ReportDestination to;
  to.rua = "mailto:r@one.test";
  kept.ask(kept.ledger().build(key_of("one.test"), submitter(), {to})).value();
  to.state = ReportDestination::State::accepted;
  const auto marked = [&] {
    auto draft = mail.draft({"r@one.test"});
    draft->mark.emplace();
    draft->mark->key = key_of("one.test");
    draft->mark->destination = to;
    return draft;
  };
  CHECK(kept.ask(kept.store().commit(marked())).has_value());
  CHECK_FALSE(other->ask(other->mail().commit(marked())).has_value());
  CHECK(kept.readers()->mail().value()->stats({}).value().messages == 1);
}

TEST_CASE_TEMPLATE("RPT-44: a destination's quota is that of all nodes together", Kept, Postgres) {
  Kept kept;
  const auto other = kept.join("two");
  ReportLoad load;
  load.day = day;
  load.to = tlsrpt::MailDestination{"r", name("one.test")};
  load.octets = 10;
  ReportQuota quota;
  quota.reports_per_mailbox = 2;
  CHECK(kept.ask(kept.ledger().take_quota(load, quota)).value().empty());
  CHECK(other->ask(other->ledger().take_quota(load, quota)).value().empty());
  CHECK_FALSE(kept.ask(kept.ledger().take_quota(load, quota)).value().empty());
  CHECK_FALSE(other->ask(other->ledger().take_quota(load, quota)).value().empty());
}

TEST_CASE_TEMPLATE("RPT-34: what an account holds of texts and details is bounded, its counts are exact", Kept,
                   Postgres) {
  Kept kept;
  LedgerCounts counts;
  for (int i = 0; i < 60; ++i) add_session(counts, "one.test", "text " + std::to_string(i));
  for (int round = 0; round < 3; ++round) {
    LedgerCounts more = counts;
    for (int i = 0; i < 30; ++i) add_session(more, "one.test", "more " + std::to_string(round * 30 + i));
    kept.ask(kept.store().settle(with(std::move(more)))).value();
  }
  const auto built = kept.ask(kept.ledger().build(key_of("one.test"), submitter(), {})).value().value();
  CHECK(built.sessions == 3 * 90);
  CHECK(built.policies >= 100);  // and the others, which have a policy of their own
  CHECK(built.policies <= 101);
  const std::string json = tlsrpt::gunzip(built.gzip, 1 << 20).value();
  const std::string count = "\"total-successful-session-count\":";
  std::uint64_t told = 0;
  for (auto at = json.find(count); at != std::string::npos; at = json.find(count, at + 1))
    told += std::stoull(json.substr(at + count.size()));
  CHECK(told == built.sessions);
  CHECK(kept.ask(kept.ledger().load(key_of("one.test"))).value().account->sessions == 3 * 90);
}

TEST_CASE_TEMPLATE("STS-32: one node refreshes a policy; a failure of another's takes none away", Kept, Postgres) {
  Kept kept;
  auto other = kept.join("two");
  CHECK(kept.ask(kept.policies().put(fetched("one.test", t0))).has_value());
  const DueBy by{at(20), at(500'000), 10};
  CHECK(other->ask(other->policies().due(by)).value().domains.size() == 1);
  CHECK(kept.ask(kept.policies().due(by)).value().domains.empty());
  CHECK(other->ask(other->policies().due(by)).value().domains.size() == 1);
  PolicyRow failed;  // of a node that never saw the policy
  failed.domain = name("one.test");
  failed.freshness.failures = {1, at(20), "2"};
  failed.problem = hop::Refusal{hop::Reason::sts_policy_fetch_error, "nobody answers"};
  failed.checked = at(20);
  failed.due = at(90'000);
  CHECK(kept.ask(kept.policies().put_failure(failed, "")).has_value());
  const PolicyRow found = other->ask(other->policies().find(name("one.test"))).value().row.value();
  CHECK(found.text == "version: STSv1\r\n");
  CHECK(found.freshness.failures.count == 1);
  CHECK(kept.ask(kept.policies().due(by)).value().domains.size() == 1);  // what is stored ends a claim
  CHECK(other->ask(other->policies().due(by)).value().domains.empty());
  // an older one is not put in place of what another node fetched since
  CHECK(kept.ask(kept.policies().put(fetched("one.test", at(30)))).has_value());
  CHECK(other->ask(other->policies().update(fetched("one.test", t0))).has_value());
  CHECK(kept.ask(kept.policies().find(name("one.test"))).value().row->freshness.held->fetched == at(30));
}

TEST_CASE_TEMPLATE("partners: what a node has not written to its end counts for nobody, whatever others commit", Kept,
                   Postgres) {
  using Part = PartnerStore::Part;
  Kept kept;
  const auto other = kept.join("two");
  CHECK(kept.ask(kept.partners().write({{entry("a.example")}, {entry("b.example")}}, Part::some)).has_value());
  CHECK(other->ask(other->partners().write({{entry("c.example")}}, Part::last)).has_value());
  CHECK(listed(kept.node()) == Strings{"c.example"});
  CHECK(other->ask(other->partners().drop_uncommitted(10)).value() == More::no);
  const PartnerBatches before = other->ask(other->partners().batches()).value();
  CHECK(kept.ask(kept.partners().write({{entry("d.example")}}, Part::last)).has_value());
  CHECK(listed(*other) == Strings{"a.example", "b.example", "c.example", "d.example"});
  const auto changed = other->ask(other->partners().changed_since(before.committed, {}, 10)).value();
  CHECK(changed.size() == 3);
}

TEST_CASE_TEMPLATE("statistics: each node's counts add up, before and after rows are made of them", Kept, Postgres) {
  Kept kept;
  auto other = kept.join("two");
  kept.ask(kept.store().settle(delivered("one.test", 3))).value();
  other->ask(other->mail().settle(delivered("one.test", 4))).value();
  CHECK(counted(kept, "one.test") == 7);
  CHECK(kept.ask(kept.statistics().tend()).has_value());
  CHECK(counted(kept, "one.test") == 7);
  CHECK(other->ask(other->statistics().tend()).has_value());
  other->ask(other->mail().settle(delivered("one.test", 5))).value();
  CHECK(counted(kept, "one.test") == 12);
  const auto minute = std::chrono::floor<std::chrono::minutes>(t0).time_since_epoch().count();
  for (PostgresNode* node : {&kept.node(), other.get()}) {
    statistics::Figures figures;
    figures.accepted = 3;
    figures.waiting = statistics::Waiting{node == other.get() ? 7U : 5U, Seconds(1)};
    auto minutes = std::make_shared<const statistics::Tally::Minutes>(statistics::Tally::Minutes{{minute, figures}});
    CHECK(node->ask(node->statistics().write(std::move(minutes))).has_value());
  }
  const auto series = kept.readers()->statistics().value()->series(statistics::Span::day, t0).value();
  CHECK(series.points.back()->accepted == 6);
  CHECK(series.points.back()->waiting->messages == 7);  // of the queue that they share
  // what a node left that is gone for good is made rows of by another
  other.reset();
  CHECK(kept.ask(kept.statistics().tend()).has_value());
  CHECK(counted(kept, "one.test") == 12);
}

}  // namespace hoplock::store::contract::store_shared_test
