// SPDX-License-Identifier: Apache-2.0
#include "delivery/history_entry.h"

#include <doctest/doctest.h>

#include "delivery/describe.h"

namespace delivery_history_entry_test {

using namespace hoplock;
using namespace hoplock::delivery;

namespace {
RecipientLine ended(store::Verdict verdict, const char* to, const char* reply) {
  RecipientLine line;
  line.verdict = verdict;
  line.id = store::Id::parse("0D5K2M7QZ3").value_or(store::Id{});
  line.from = "a@example.net";
  line.to = to;
  line.attempt = 2;
  line.reply = reply;
  return line;
}

Attempt with_hops(std::vector<Hop> hops) {
  Attempt attempt;
  attempt.id = store::Id::parse("0D5K2M7QZ3").value_or(store::Id{});
  attempt.domain = dns::Name::parse("example.org").value();
  attempt.hops = std::move(hops);
  return attempt;
}

Hop refused(const std::string& mx, hop::Reason reason) {
  Hop hop;
  hop.mx = mx;
  hop.refusal = hop::Refusal{reason, "why"};
  hop.action = Hop::Action::next_host;
  return hop;
}
}  // namespace

TEST_CASE(
    "an attempt's history entry: refused hosts first, recipients who fared alike together, nothing that the message "
    "says "
    "anyway") {
  using store::Verdict;
  const Attempt attempt = with_hops({refused("mx1.example.org", hop::Reason::tlsa_invalid)});
  CHECK(history_entry(attempt, {ended(Verdict::delivered, "b@example.org", "250 ok"),
                                ended(Verdict::delivered, "c@example.org", "250 ok"),
                                ended(Verdict::bounced, "d@example.org", "550 \"no\"")}) ==
        "{\"event\":\"hop\",\"domain\":\"example.org\",\"mx\":\"mx1.example.org\",\"policy\":\"opportunistic\",\"tls\":"
        "\"none\",\"auth\":\"none\",\"reason\":\"tlsa-invalid\",\"dsn\":\"4.7.323\",\"reply\":\"450 4.7.323 "
        "tlsa-invalid: mx1.example.org: why\",\"action\":\"next-host\",\"mx_dnssec\":\"insecure\"}\n"
        "{\"event\":\"delivered\",\"attempt\":2,\"reply\":\"250 ok\",\"delay\":0,\"to\":[\"b@example.org\","
        "\"c@example.org\"]}\n"
        "{\"event\":\"bounced\",\"attempt\":2,\"reply\":\"550 \\\"no\\\"\",\"delay\":0,\"to\":[\"d@example.org\"]}");
  CHECK(history_entry(std::vector<RecipientLine>{}).empty());
}

TEST_CASE("BND-02: of very many hosts the lines tell of those that were contacted, and count the rest") {
  std::vector<Hop> hops;
  for (int i = 0; i < 200; ++i) {
    Hop hop = refused("mx" + std::to_string(i) + ".example.org",
                      i % 2 == 0 ? hop::Reason::mx_not_in_policy : hop::Reason::dns_failure);
    if (i % 50 == 20) hop.ip = Ip::parse("192.0.2.1").value();
    hops.push_back(std::move(hop));
  }
  const auto told = hop_events(with_hops(hops));
  REQUIRE(told.size() == most_hops + 1);
  std::size_t contacted = 0;
  for (const Event& event : told) contacted += event.get("ip").empty() ? 0 : 1;
  CHECK(contacted == 4);
  CHECK(told[told.size() - 2].get("mx") == "mx199.example.org");
  CHECK(told.back().name() == "hop");
  CHECK(told.back().get("id") == "0D5K2M7QZ3");
  CHECK(told.back().get("count") == "188");
  CHECK(told.back().get("reply").find("mx-not-in-policy") != std::string::npos);
  CHECK(hop_counts(with_hops(hops)).size() == most_hops + 1);
  hops.erase(hops.begin() + most_hops, hops.end());
  CHECK(hop_events(with_hops(hops)).size() == most_hops);
  // a policy that was overlooked takes one of the lines, and is always told
  Attempt overlooked = with_hops(hops);
  overlooked.overlooked = hop::Refusal{hop::Reason::dns_failure, "SERVFAIL"};
  const auto with_policy = hop_events(overlooked);
  REQUIRE(with_policy.size() == most_hops + 1);
  CHECK(with_policy.front().name() == "sts-policy");
  CHECK(with_policy.back().get("count") == "1");
}

}  // namespace delivery_history_entry_test
