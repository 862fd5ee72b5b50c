// SPDX-License-Identifier: Apache-2.0
// 10,000 mixed sessions on a real queue: what the audit says, the history (`hoplock trace`), the metrics, the log's lines and the series of
// the status page are the same figures.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <random>
#include <regex>
#include <set>
#include <sstream>

#include "delivery/describe.h"
#include "delivery/result_committer.h"
#include "monitor/counting_log.h"
#include "net/task_group.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_reader.h"
#include "store_sqlite/statistics_series.h"
#include "tests/queue/world.h"
#include "tests/support/memory_log.h"

namespace statistics_sums_test {

using namespace hoplock;
using namespace hoplock::delivery;
using statistics::Kind;
namespace asio = boost::asio;
using Sums = std::map<std::string, std::uint64_t>;

namespace {

const Time begin = parse_rfc3339("2026-11-20T22:00:00.000Z").value();
constexpr std::size_t sessions = 10'000;
constexpr std::size_t in_flight = 100;

class Mixer {
 public:
  // What might become of it.
  Attempt session(const store::Job& job, Time at) {
    Attempt attempt;
    attempt.id = job.id;
    attempt.destination = job.destination;
    attempt.sender = job.envelope.sender;
    attempt.envelope = job.envelope;
    attempt.received = job.received;
    attempt.ended = at;
    attempt.size = job.size;
    attempt.domain = job.recipients.front().domain;
    refuse_hosts(attempt, below(8) == 0 ? below(most_hops) : 0);
    attempt.hops.push_back(some_hop());
    const unsigned fate = below(10);
    for (const store::Due& due : job.recipients) attempt.recipients.push_back(status(attempt, due, fate));
    if (fate == 8) attempt.hops.back().refusal = hop::Refusal{some_reason(), "why"};
    if (fate < 5 && below(5) == 0) attempt.hops.back().waived = hop::Refusal{hop::Reason::tlsa_invalid, "no match"};
    if (below(9) == 0) attempt.exception = Exception{"dane=audit", std::nullopt, "they renew"};
    return concluded(std::move(attempt));
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  std::vector<std::string> recipients() {
    std::vector<std::string> to;
    for (unsigned i = 0; i <= below(4); ++i)
      to.push_back("u" + std::to_string(i) + "@d" + std::to_string(below(3) == 0 ? below(40) : 7) + ".test");
    return to;
  }

 private:
  hop::Reason some_reason() { return hop::all_reasons()[below(13)]; }
  Hop some_hop() {
    Hop hop;
    hop.mx = "mx1.example.org";
    hop.ip = Ip::parse("192.0.2.1").value();
    hop.policy = static_cast<hop::Policy>(below(6));
    if (below(4) == 0) return hop;
    hop.auth = static_cast<hop::Auth>(below(4));
    const bool old = below(3) == 0;
    hop.tls =
        hop::TlsSession{old ? "TLSv1.2" : "TLSv1.3", old ? "ECDHE-RSA-AES256-GCM-SHA384" : "TLS_AES_256_GCM_SHA384",
                        std::string(63, 'a') + std::to_string(below(10)), ""};
    return hop;
  }
  void refuse_hosts(Attempt& attempt, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      Hop hop = some_hop();
      hop.mx = "mx0-" + std::to_string(i) + ".example.org";
      hop.refusal = hop::Refusal{some_reason(), "why"};
      hop.action = Hop::Action::next_host;
      attempt.hops.push_back(std::move(hop));
    }
  }
  RecipientStatus status(const Attempt& attempt, const store::Due& due, unsigned fate) {
    RecipientStatus one;
    one.due = due;
    one.hop = attempt.hops.size() - 1;
    one.fate = Fate::delivered;
    one.reply = smtp::Reply{250, smtp::EnhancedStatus{2, 0, 0}, "Ok"};
    if (fate < 5 || (fate < 7 && below(2) == 0)) return one;
    one.fate = fate == 9 ? Fate::bounced : Fate::deferred;
    one.reply = smtp::Reply{one.fate == Fate::bounced ? 550 : 450, std::nullopt, "no"};
    if (fate == 8) one.reply.reset();
    return one;
  }
  std::mt19937 random_{16};
};

std::vector<disk::Migration> all_migrations() {
  auto all = queue::test::World::own_migrations();
  all.push_back(store_sqlite::statistics_migration());
  all.push_back(store_sqlite::statistics_batch_migration());
  return all;
}
queue::Options with_history() {
  queue::Options options;
  options.history = store::Recording::on;
  return options;
}

// A relay whose sessions are made up.
struct Relay {
  Relay()
      : world(dir.path(), with_history(), begin, all_migrations()),
        log(lines, world.loop.executor(), [this] { return now; }),
        committer(
            *world.queue, log, [] {}, [this] { return now; }) {
    world.smarthost = "all";
    schedule.expire = std::chrono::hours{3};
    world.loop.start(committer.run());
  }
  ~Relay() {
    committer.end();
    world.loop.run_all();
  }

  void put(std::size_t messages) {
    net::TaskGroup writers(world.loop.executor(), log);
    for (std::size_t i = 0; i < messages; ++i) writers.spawn("writer", accept(mixer.recipients()));
    world.loop.run(wait_for(writers));
  }
  asio::awaitable<void> accept(std::vector<std::string> to) {
    auto writer = world.queue->begin(now);
    std::string text = "Subject: x\r\n\r\n" + std::string(to.size() * 100, 'x') + "\r\n";
    (co_await writer.write(std::move(text))).value();
    auto envelope = queue::test::World::envelope("sender@example.net");
    auto recipients = queue::test::World::recipients(to);
    (co_await writer.commit(std::move(envelope), std::move(recipients))).value();
    counted::Accepted accepted;
    accepted.recipients = to.size();
    log.count(accepted);
    taken += to.size();
  }
  static asio::awaitable<void> wait_for(net::TaskGroup& group) {
    co_await group.join(std::chrono::steady_clock::now() + std::chrono::seconds(30));
  }
  // What is due, once. The number of sessions.
  std::size_t deliver() {
    ResultCommitter::Sequence sequence = 0;
    const auto jobs = world.lease("all", now, in_flight);
    for (const store::Job& job : jobs) {
      const Attempt attempt = mixer.session(job, now);
      Settlement settlement = settlement_of(attempt, schedule);
      for (const counted::Value& value : hop_counts(attempt)) log.count(value);
      std::set<std::string> domains;
      for (std::size_t i = 0; i < attempt.recipients.size(); ++i) {
        const bool delivered = settlement.settled.recipients[i].verdict == store::Verdict::delivered;
        if (delivered && domains.insert(attempt.recipients[i].due.domain.text()).second) octets += job.size;
      }
      sequence = committer.add(std::move(settlement));
    }
    if (sequence > 0) world.loop.run(committer.wait_committed(sequence));
    return jobs.size();
  }
  void write_series() {
    const auto minutes = std::make_shared<const statistics::Tally::Minutes>(log.tally().take());
    const auto job = [minutes](disk::Tx& tx) -> Result<> {
      store_sqlite::write_series(tx, *minutes);
      return {};
    };
    world.loop.run(world.disk->run(disk::Durability::relaxed, job)).value();
  }

  support::TempDirectory dir;
  queue::test::World world;
  support::MemoryLog lines;
  Time now = begin;
  monitor::CountingLog log;
  ResultCommitter committer;
  Schedule schedule;
  Mixer mixer;
  std::uint64_t taken = 0;   // recipients
  std::uint64_t octets = 0;  // that the deliveries came to
};

// By what a delivery went under, and by why it did not; by domain; one and the same for all who tell of it.
void add(Sums& sums, const std::string& outcome, const std::string& hop, const std::string& reason,
         std::uint64_t count) {
  sums[outcome + " " + (outcome == "delivered" ? hop : hop.substr(0, hop.find(' ')) + " " + reason)] += count;
}

struct Told {
  Sums how;     // "delivered dane TLSv1.3 dane-ee", "deferred sts tlsa-invalid"
  Sums domain;  // "d7.test bounced"
};

Told told_by_audit(const statistics::Found& found) {
  Told told;
  for (const auto& [domain, partner] : found.partners) {
    for (const auto& [row, sum] : partner) {
      const auto words = statistics::split_words(row.second);
      const bool failed = row.first == Kind::failed;
      if (!failed && row.first != Kind::delivered) continue;
      const std::string outcome = failed ? words.at(0) : "delivered";
      const std::string hop = failed ? words.at(1) : words.at(0) + " " + words.at(1) + " " + words.at(2);
      add(told.how, outcome, hop, failed ? words.at(2) : "", sum.count);
      told.domain[domain + " " + outcome] += sum.count;
    }
  }
  return told;
}

Told told_by_trace(store_sqlite::SqliteMailReader reader) {
  Told told;
  const auto take = [&told](const store::Traced& traced) {
    for (const auto& entry : traced.events) {
      std::istringstream lines(entry.text);
      for (std::string line; std::getline(lines, line);) {
        const auto said = boost::json::parse(line).as_object();
        const auto word = [&said](const char* key) {
          const auto* value = said.if_contains(key);
          return value != nullptr ? std::string(value->as_string()) : std::string();
        };
        const std::string event = word("event");
        if (event != "delivered" && event != "deferred" && event != "bounced" && event != "expired") continue;
        const auto& to = said.at("to");
        const std::uint64_t count = to.is_array() ? to.as_array().size() : 1;
        add(told.how, event, word("policy") + " " + word("tls") + " " + word("auth"), word("reason"), count);
        told.domain[word("domain") + " " + event] += count;
      }
    }
    return store::Go::on;
  };
  store::TraceQuery all;
  all.address = "sender@example.net";
  reader.trace(all, take).value();
  return told;
}

Told told_by_log(const support::MemoryLog& log) {
  Told told;
  for (const Event& event : log.events()) {
    const std::string outcome(event.name());
    if (outcome != "delivered" && outcome != "deferred" && outcome != "bounced" && outcome != "expired") continue;
    const auto word = [&event](const char* key) { return std::string(event.get(key)); };
    add(told.how, outcome, word("policy") + " " + word("tls") + " " + word("auth"), word("reason"), 1);
    told.domain[word("domain") + " " + outcome] += 1;
  }
  return told;
}

// `hoplock_attempts_total`, and the sum of `hoplock_hops_refused_total`.
std::pair<Sums, std::uint64_t> told_by_metrics(const monitor::Counters& counters) {
  monitor::Exposition exposition;
  counters.write(exposition);
  std::istringstream lines(exposition.take());
  const std::regex attempts(
      R"re(hoplock_attempts_total\{outcome="(.*)",policy="(.*)",tls="(.*)",auth="(.*)",reason="(.*)"\} (\d+))re");
  const std::regex hops(R"re(hoplock_hops_refused_total\{.*\} (\d+))re");
  Sums how;
  std::uint64_t refused = 0;
  for (std::string line; std::getline(lines, line);) {
    std::smatch is;
    if (std::regex_match(line, is, attempts))
      add(how, is[1], is.str(2) + " " + is.str(3) + " " + is.str(4), is[5], std::stoull(is[6]));
    else if (std::regex_match(line, is, hops))
      refused += std::stoull(is[1]);
  }
  return {how, refused};
}

std::uint64_t counted_in(const Sums& sums, const std::string& outcome) {
  std::uint64_t all = 0;
  for (const auto& [key, count] : sums)
    if (key.starts_with(outcome + " ")) all += count;
  return all;
}

}  // namespace

TEST_CASE("10,000 mixed sessions: the audit, trace, the metrics, the log and the pictures are the same figures") {
  Relay relay;
  std::size_t made = 0;
  while (made < sessions) {
    relay.put(40);
    made += relay.deliver();
    relay.now += std::chrono::minutes(7);
  }
  relay.write_series();

  const statistics::Range range{statistics::day_of(begin), statistics::day_of(relay.now), ""};
  const auto found = store_sqlite::SqliteStatisticsReader::open(relay.dir / "queue.db").value().read(range).value();
  const Told audit = told_by_audit(found);
  const Told trace = told_by_trace(relay.world.reader());
  const Told log = told_by_log(relay.lines);
  const auto [metrics, refused_hosts] = told_by_metrics(relay.log.counters());
  CHECK(audit.how.size() > 60);
  CHECK(audit.domain.size() > 100);
  CHECK(range.from < range.to);
  CHECK(audit.how == trace.how);
  CHECK(audit.how == log.how);
  CHECK(audit.how == metrics);
  CHECK(audit.domain == trace.domain);
  CHECK(audit.domain == log.domain);

  std::uint64_t hosts = 0, octets = 0;
  std::array<std::uint64_t, 5> proofs{};
  for (const auto& [domain, partner] : found.partners) {
    for (const auto& [row, sum] : partner) {
      if (row.first == Kind::host) hosts += sum.count;
      if (row.first != Kind::delivered) continue;
      octets += sum.octets;
      const auto words = statistics::split_words(row.second);
      proofs[static_cast<std::size_t>(statistics::proof_of(words.at(0), words.at(1), words.at(2)))] += sum.count;
    }
  }
  CHECK(hosts == refused_hosts);
  CHECK(octets == relay.octets);

  statistics::Figures shown;
  for (const auto& point : store_sqlite::SqliteStatisticsReader::open(relay.dir / "queue.db")
                               .value()
                               .series(statistics::Span::month, relay.now)
                               .value()
                               .points)
    if (point) shown.add(*point);
  CHECK(shown.accepted == relay.taken);
  CHECK(shown.delivered == counted_in(audit.how, "delivered"));
  CHECK(shown.deferred == counted_in(audit.how, "deferred"));
  CHECK(shown.bounced == counted_in(audit.how, "bounced") + counted_in(audit.how, "expired"));
  CHECK(counted_in(audit.how, "expired") > 0);
  CHECK(shown.proofs == proofs);
}

}  // namespace statistics_sums_test
