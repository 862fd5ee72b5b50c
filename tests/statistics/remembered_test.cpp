// SPDX-License-Identifier: Apache-2.0
#include "delivery/remembered.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <random>
#include <sstream>

#include "delivery/settlement.h"
#include "disk/db.h"
#include "store_sqlite/statistics.h"
#include "store_sqlite/statistics_reader.h"
#include "tests/support/temp_directory.h"

namespace statistics_remembered_test {

using namespace hoplock;
using namespace hoplock::delivery;
using statistics::join_words;
using statistics::Kind;

namespace {

const Time t0 = parse_rfc3339("2026-11-21T23:59:58.000Z").value();

Hop hop_over(hop::Policy policy, hop::Auth auth, std::string version = "TLSv1.3",
             std::string cipher = "TLS_AES_256_GCM_SHA384") {
  Hop hop;
  hop.mx = "mx1.example.org";
  hop.ip = Ip::parse("192.0.2.1").value();
  hop.policy = policy;
  hop.auth = auth;
  if (!version.empty()) hop.tls = hop::TlsSession{std::move(version), std::move(cipher), std::string(64, 'a'), ""};
  return hop;
}

// To these, all of whom the last hop took.
Attempt taken(Hop hop, const std::vector<std::string>& recipients, Time at = t0) {
  Attempt attempt;
  attempt.id = store::Id::at(t0);
  attempt.sender = "ann@example.net";
  attempt.received = attempt.ended = at;
  attempt.size = 1000;
  attempt.hops.push_back(std::move(hop));
  for (const std::string& address : recipients) {
    RecipientStatus one;
    one.due.seq = static_cast<std::uint32_t>(attempt.recipients.size());
    one.due.address = address;
    one.due.domain = dns::Name::parse(address.substr(address.find('@') + 1)).value();
    one.fate = Fate::delivered;
    one.hop = 0;
    one.reply = smtp::Reply{250, smtp::EnhancedStatus{2, 0, 0}, "Ok"};
    attempt.recipients.push_back(std::move(one));
  }
  attempt.domain = attempt.recipients.front().due.domain;
  return attempt;
}
statistics::Counts kept(Attempt attempt) { return settlement_of(concluded(std::move(attempt)), Schedule{}).statistics; }

const statistics::Sum* find(const statistics::Counts& counts, const std::string& domain, Kind kind,
                            const std::string& what) {
  for (const auto& [row, sum] : counts.rows())
    if (row.domain == domain && row.kind == kind && row.what == what) return &sum;
  return nullptr;
}

}  // namespace

TEST_CASE("a delivery is remembered with its proof, its key, its record and its policy, once for each partner domain") {
  Hop hop = hop_over(hop::Policy::sts, hop::Auth::dane_ee);
  hop.matched = dns::Tlsa{3, 1, 1, std::string(32, '\x11')};
  hop.sts_id = "20261101";
  const auto counts = kept(taken(hop, {"a@example.org", "b@example.org", "c@example.com"}));
  const auto* org = find(counts, "example.org", Kind::delivered, join_words({"sts", "TLSv1.3", "dane-ee", "pfs-aead"}));
  REQUIRE(org);
  CHECK((org->count == 2 && org->messages == 1 && org->octets == 1000));
  CHECK(org->first == t0);
  const auto* com = find(counts, "example.com", Kind::delivered, join_words({"sts", "TLSv1.3", "dane-ee", "pfs-aead"}));
  REQUIRE(com);
  CHECK((com->count == 1 && com->messages == 1));
  CHECK(find(counts, "example.org", Kind::key, join_words({std::string(64, 'a')})));
  std::string hex;
  for (int i = 0; i < 32; ++i) hex += "11";
  CHECK(find(counts, "example.org", Kind::tlsa, join_words({"3 1 1 " + hex})));
  CHECK(find(counts, "example.org", Kind::sts, join_words({"20261101"})));
  CHECK(counts.rows().size() == 8);
  CHECK(counts.rows().begin()->first.day == statistics::day_of(t0));
}

TEST_CASE("a whole certificate in a TLSA record is remembered by its hash") {
  Hop hop = hop_over(hop::Policy::dane, hop::Auth::dane_ee);
  hop.matched = dns::Tlsa{3, 0, 0, std::string(3000, 'x')};
  const auto counts = kept(taken(hop, {"a@example.org"}));
  for (const auto& [row, sum] : counts.rows()) {
    if (row.kind == Kind::tlsa) {
      CHECK(row.what.starts_with("3 0 0 sha256:"));
      CHECK(row.what.size() == std::string("3 0 0 sha256:").size() + 64 + 1);
    }
  }
}

TEST_CASE(
    "less than the rule asks is remembered with its cause: audit, sender, an unknown policy, a route with its end and "
    "note") {
  Hop hop = hop_over(hop::Policy::dane, hop::Auth::none);
  hop.waived = hop::Refusal{hop::Reason::tlsa_invalid, "no match"};
  Attempt attempt = taken(hop, {"a@example.org"});
  attempt.exception = Exception{"dane=audit", std::chrono::sys_days(std::chrono::year{2027} / 1 / 31), "they\nrenew"};
  attempt.overlooked = hop::Refusal{hop::Reason::dns_failure, "silence"};
  const auto counts = kept(attempt);
  CHECK(find(counts, "example.org", Kind::relaxed, join_words({"audit", "tlsa-invalid", "", ""})));
  CHECK(find(counts, "example.org", Kind::relaxed, join_words({"route", "dane=audit", "2027-01-31", "they renew"})));
  CHECK(find(counts, "example.org", Kind::relaxed, join_words({"unknown", "dns-failure", "", ""})));
  // the waived host is told as relaxed, too
  CHECK(find(counts, "example.org", Kind::host, join_words({"audit", "dane", "tlsa-invalid"})));

  hop.waived = hop::Refusal{hop::Reason::tls_required_no, "asked for"};
  const auto asked = kept(taken(hop, {"a@example.org"}));
  CHECK(find(asked, "example.org", Kind::relaxed, join_words({"sender", "tls-required-no", "", ""})));
}

TEST_CASE("an exception that was agreed on with the partner is remembered with its end and its note, by its own name") {
  partners::Entry entry;
  entry.domain = dns::parse_pattern("example.org").value();
  entry.rule = partners::Rule::dane;
  entry.until = std::chrono::sys_days(std::chrono::year{2027} / 1 / 31);
  entry.note = "ticket 4711";
  route::Hosts hosts;
  hosts.loosened.dane = std::make_shared<const partners::Entry>(entry);
  Attempt attempt = taken(hop_over(hop::Policy::dane, hop::Auth::none), {"a@example.org"});
  attempt.agreed = exceptions_agreed(hosts);
  const auto counts = kept(attempt);
  CHECK(find(counts, "example.org", Kind::relaxed, join_words({"partner", "dane=audit", "2027-01-31", "ticket 4711"})));
  CHECK(exceptions_agreed(route::Hosts{}).empty());
}

TEST_CASE("a record that matched behind signed MX records is told apart") {
  Hop hop = hop_over(hop::Policy::dane, hop::Auth::dane_ee);
  hop.matched = dns::Tlsa{3, 1, 1, std::string(32, '\x11')};
  hop.mx_security = dns::Security::secure;
  const auto counts = kept(taken(hop, {"a@example.org"}));
  for (const auto& [row, sum] : counts.rows())
    if (row.kind == Kind::tlsa) CHECK(row.what.ends_with("\nsecure\n"));
}

TEST_CASE("a route is an exception where it asks less of hosts that the DNS names, and only there") {
  const auto words = [](route::Route route) {
    route::Hosts hosts;
    hosts.route = std::make_shared<const route::Route>(std::move(route));
    const auto exception = exception_of(hosts);
    return exception ? exception->rules : "";
  };
  CHECK(!exception_of(route::Hosts{}));
  route::Route route;
  route.note = "limits only";
  CHECK(words(route).empty());
  route.dane = hop::Mode::enforce;
  route.tls = hop::RouteTls::verify;
  CHECK(words(route).empty());
  route.dane = hop::Mode::off;
  route.mta_sts = hop::Mode::audit;
  CHECK(words(route) == "dane=off mta_sts=audit");
  route.tls = hop::RouteTls::encrypt;
  CHECK(words(route) == "dane=off mta_sts=audit tls=encrypt");
  route.hosts.push_back({Ip::parse("192.0.2.9").value(), 25});
  CHECK(words(route).empty());
}

TEST_CASE("what ends without an attempt is remembered, and what fails by its reason") {
  Hop hop = hop_over(hop::Policy::dane, hop::Auth::none);
  hop.refusal = hop::Refusal{hop::Reason::tlsa_invalid, "no match"};
  Attempt attempt = taken(hop, {"a@example.org"});
  attempt.recipients.front().fate = Fate::deferred;
  attempt.recipients.front().reply.reset();
  const auto counts = kept(attempt);
  const auto* failed = find(counts, "example.org", Kind::failed, join_words({"deferred", "dane", "tlsa-invalid"}));
  REQUIRE(failed);
  CHECK((failed->count == 1 && failed->octets == 0));
  CHECK(counts.rows().size() == 1);

  store::Job job;
  job.recipients.push_back(attempt.recipients.front().due);
  const auto bounced = bounced_by_operator("root", job, t0, Schedule{}).statistics;
  CHECK(find(bounced, "example.org", Kind::failed, join_words({"bounced", "", ""})));
  CHECK(released(job).statistics.empty());
}

namespace {

// An attempt of any kind.
Attempt any(std::mt19937& random, Time at) {
  const auto below = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
  const std::vector<hop::Reason> reasons = hop::all_reasons();
  const auto some_hop = [&] {
    const bool clear = below(4) == 0;
    const bool old = below(3) == 0;
    Hop hop = hop_over(static_cast<hop::Policy>(below(6)), clear ? hop::Auth::none : static_cast<hop::Auth>(below(4)),
                       clear ? ""
                       : old ? "TLSv1.2"
                             : "TLSv1.3",
                       old ? "ECDHE-RSA-AES256-GCM-SHA384" : "TLS_AES_256_GCM_SHA384");
    if (!clear) hop.tls->key = std::string(63, 'a') + std::to_string(below(10));
    return hop;
  };
  std::vector<std::string> to;
  const unsigned recipients = 1 + below(4);
  for (unsigned i = 0; i < recipients; ++i)
    to.push_back("u" + std::to_string(i) + "@d" + std::to_string(below(3) == 0 ? below(40) : 7) + ".test");
  Attempt attempt = taken(some_hop(), to, at);
  attempt.size = 500 + below(5000);
  attempt.received = at - Seconds(below(100));
  const unsigned fate = below(10);
  for (RecipientStatus& one : attempt.recipients) {
    if (fate < 5 || (fate < 7 && below(2) == 0)) continue;  // delivered, or some of them
    one.fate = fate == 9 ? Fate::bounced : Fate::deferred;
    one.reply = smtp::Reply{one.fate == Fate::bounced ? 550 : 450, std::nullopt, "no"};
    if (fate == 8) one.reply.reset();
  }
  if (fate == 8) attempt.hops.front().refusal = hop::Refusal{reasons[below(13)], "why"};
  if (fate < 5 && below(5) == 0) attempt.hops.front().waived = hop::Refusal{hop::Reason::tlsa_invalid, "no match"};
  if (below(6) == 0) {  // after another host
    Hop first = some_hop();
    first.mx = "mx0.example.org";
    first.refusal = hop::Refusal{reasons[below(13)], "why"};
    first.action = Hop::Action::next_host;
    attempt.hops.insert(attempt.hops.begin(), std::move(first));
    for (RecipientStatus& one : attempt.recipients) one.hop = 1;
  }
  return concluded(std::move(attempt));
}

using Sums = std::map<std::string, std::uint64_t>;

// What `hoplock trace` would say: the history's lines.
void add_story(const std::string& story, Sums& sums) {
  std::istringstream lines(story);
  for (std::string line; std::getline(lines, line);) {
    const auto said = boost::json::parse(line).as_object();
    const std::string event(said.at("event").as_string());
    if (event == "conversation" || event == "hop") continue;
    const auto word = [&](const char* key) {
      const auto* value = said.if_contains(key);
      return value ? std::string(value->as_string()) : std::string();
    };
    const auto* to = said.if_contains("to");
    const std::uint64_t recipients = to && to->is_array() ? to->as_array().size() : 1;
    const std::string key = word("domain") + " " + event;
    sums[key] += recipients;
    sums[event + " " + word("policy") + " " +
         (event == "delivered" ? word("tls") + " " + word("auth") : word("reason"))] += recipients;
  }
}

}  // namespace

TEST_CASE("over 10,000 mixed sessions the audit adds up with the metrics and with trace") {
  support::TempDirectory dir;
  auto db = disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value();
  disk::migrate(db, {store_sqlite::statistics_migration(), store_sqlite::statistics_batch_migration()}).value();
  std::mt19937 random(16);
  Sums counted, told, hosts;
  std::uint64_t octets = 0;
  for (int batch = 0; batch < 100; ++batch) {
    statistics::Counts counts;
    for (int i = 0; i < 100; ++i) {
      const Attempt attempt = any(random, t0 + Seconds(batch * 100 + i));  // over midnight
      const Settlement settlement = settlement_of(attempt, Schedule{});
      std::map<std::string, bool> domains;
      for (const counted::Value& value : settlement.metrics) {
        const auto& one = std::get<counted::Attempt>(value);
        ++counted[one.outcome + " " + one.policy + " " +
                  (one.outcome == "delivered" ? one.tls + " " + one.auth : one.reason)];
      }
      for (std::size_t r = 0; r < attempt.recipients.size(); ++r) {
        const std::string domain = attempt.recipients[r].due.domain.text();
        ++counted[domain + " " + std::string(verdict_word(settlement.settled.recipients[r].verdict))];
        const bool delivered = settlement.settled.recipients[r].verdict == store::Verdict::delivered;
        if (delivered && !std::exchange(domains[domain], true)) octets += attempt.size;
      }
      for (const counted::Value& value : hop_counts(attempt)) {
        const auto& one = std::get<counted::RefusedHop>(value);
        ++hosts[one.action + " " + one.policy + " " + one.reason];
      }
      add_story(settlement.settled.history_entry, told);
      counts.add(settlement.statistics);
    }
    disk::Tx tx(db);
    store_sqlite::add_statistics(tx, counts);
  }

  statistics::Range range;
  range.from = statistics::day_of(t0);
  range.to = range.from + std::chrono::days(1);
  const auto found = store_sqlite::SqliteStatisticsReader::open(dir.file("queue.db")).value().read(range).value();
  Sums kept_sums, kept_hosts;
  std::uint64_t kept_octets = 0, keys = 0, under_tls = 0;
  for (const auto& [domain, partner] : found.partners) {
    for (const auto& [row, sum] : partner) {
      const auto words = statistics::split_words(row.second);
      if (row.first == Kind::delivered) {
        kept_sums[domain + " delivered"] += sum.count;
        kept_sums["delivered " + words.at(0) + " " + words.at(1) + " " + words.at(2)] += sum.count;
        kept_octets += sum.octets;
        if (words.at(1) != "none") under_tls += sum.count;
      } else if (row.first == Kind::failed) {
        kept_sums[domain + " " + words.at(0)] += sum.count;
        kept_sums[words.at(0) + " " + words.at(1) + " " + words.at(2)] += sum.count;
      } else if (row.first == Kind::host) {
        kept_hosts[words.at(0) + " " + words.at(1) + " " + words.at(2)] += sum.count;
      } else if (row.first == Kind::key) {
        keys += sum.count;
      }
    }
  }
  CHECK(kept_sums == counted);
  CHECK(kept_sums == told);
  CHECK(kept_hosts == hosts);
  CHECK(kept_octets == octets);
  CHECK(keys == under_tls);
  CHECK(counted.size() > 100);
}

}  // namespace statistics_remembered_test
