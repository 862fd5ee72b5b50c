// SPDX-License-Identifier: Apache-2.0
// To which day, and to whom, a session belongs.
#include "delivery/tlsrpt_sessions.h"

#include "tests/delivery/attempt_world.h"
#include "tests/delivery/counted.h"

namespace delivery_tlsrpt_sessions_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

const tlsrpt::Day first = tlsrpt::parse_day("2024-12-31").value();
const Time midnight{first + std::chrono::days{1}};

struct World : Courses {
  World() : interests((runner(), *router), loop.executor(), log), recorder(&interests, {}) {
    dns.add("_smtp._tls.example.org TXT v=TLSRPTv1; rua=mailto:r@example.org");
    facts.domain.domain = facts.domain.expanded = name("example.org");
    facts.host.name = name("mx1.example.org");
    outcome.stage = hop::Stage::ready;
    outcome.tls = hop::TlsSession{"TLSv1.3", "", "", ""};
  }
  void connect(Time began) { recorder.record({{facts, rule}, plan, outcome, {}, began}); }
  store::LedgerCounts counts() {
    if (recorder.waits()) loop.run(recorder.wait());
    return recorder.counts();
  }
  std::vector<store::ReportKey> days() {
    Counted ledger(counts());
    std::vector<store::ReportKey> keys;
    for (const auto& account : ledger.accounts()) keys.push_back(account.key);
    return keys;
  }

  hop::Facts facts;
  hop::LocalRule rule;
  hop::Connect plan;
  hop::Outcome outcome;
  ReportInterests interests;
  SessionRecorder recorder;
};

}  // namespace

TEST_CASE("RPT-29: a session belongs to the UTC day in which it began, whenever its mail ends") {
  World world;
  world.connect(midnight - Milliseconds{1});
  world.connect(midnight);
  world.connect(midnight + std::chrono::hours{24} - Milliseconds{1});
  Counted ledger(world.counts());
  const auto accounts = ledger.accounts();
  REQUIRE(accounts.size() == 2);
  CHECK(accounts[0].key.day == first);
  CHECK(accounts[0].sessions == 1);
  CHECK(accounts[1].key.day == first + std::chrono::days{1});
  CHECK(accounts[1].sessions == 2);
}

TEST_CASE("RPT-10: three attempts at a host that a policy refuses count three times") {
  World world;
  world.facts.domain.sts.state = hop::StsFact::State::live;
  world.facts.domain.sts.policy.mode = mtasts::Mode::enforce;
  const hop::Refuse refused{hop::Policy::sts, hop::Reason::mx_not_in_policy, ""};
  std::uint64_t failures = 0;
  for (int i = 0; i < 3; ++i) {
    SessionRecorder attempt(&world.interests, {});
    attempt.record({world.facts, world.rule}, refused, midnight);
    if (attempt.waits()) world.loop.run(attempt.wait());
    Counted ledger(attempt.counts());
    failures += ledger.accounts().at(0).failures;
  }
  CHECK(failures == 3);
}

TEST_CASE("what is known without waiting is what look-ups have brought so far") {
  World world;
  world.connect(midnight);
  CHECK(world.recorder.counts().empty());
  CHECK(world.days() == std::vector<store::ReportKey>{{first + std::chrono::days{1}, name("example.org")}});
  CHECK_FALSE(world.recorder.counts().empty());
}

}  // namespace delivery_tlsrpt_sessions_test
