// SPDX-License-Identifier: Apache-2.0
#include "dns/spf.h"

#include <doctest/doctest.h>

namespace dns_spf_test {

using namespace hoplock;
using dns::judge_spf;
using dns::Spf;

TEST_CASE("judge_spf: what the record itself says of an address, and what only a look-up would tell") {
  const Ip ip = Ip::parse("192.0.2.25").value(), six = Ip::parse("2001:db8::25").value();
  const std::vector<Ip> own{ip, six};
  struct Row {
    std::string_view record;
    Spf four, six;
  };
  const Row rows[] = {{"v=spf1 a -all", Spf::passes, Spf::passes},
                      {"V=SPF1 +A ~all", Spf::passes, Spf::passes},
                      {"v=spf1 ip4:192.0.2.0/24 -all", Spf::passes, Spf::fails},
                      {"v=spf1  ip4:192.0.2.25  ip6:2001:db8::/32 -all", Spf::passes, Spf::passes},
                      {"v=spf1 ip4:198.51.100.0/24 -all", Spf::fails, Spf::fails},
                      {"v=spf1 -ip4:192.0.2.25 +all", Spf::fails, Spf::passes},
                      {"v=spf1 include:mail.example -all", Spf::unknown, Spf::unknown},
                      {"v=spf1 mx ip4:192.0.2.25 -all", Spf::unknown, Spf::unknown},
                      {"v=spf1 ip4:192.0.2.25 mx -all", Spf::passes, Spf::unknown},
                      {"v=spf1 redirect=mail.example", Spf::unknown, Spf::unknown},
                      {"v=spf1 a:other.example exp=why.example -all", Spf::unknown, Spf::unknown},
                      {"v=spf1 ip4:192.0.2.25/24 -all", Spf::unknown, Spf::unknown},
                      {"v=spf1 exists:%{i}.x.example ?all", Spf::unknown, Spf::unknown},
                      {"v=spf1 ip4: ip4 / : - -all", Spf::unknown, Spf::unknown},
                      {"v=spf1 ?all", Spf::fails, Spf::fails},
                      {"v=spf1", Spf::fails, Spf::fails},
                      {"", Spf::fails, Spf::fails}};
  for (const Row& row : rows) {
    CAPTURE(row.record);
    CHECK(judge_spf(row.record, ip, own) == row.four);
    CHECK(judge_spf(row.record, six, own) == row.six);
  }
  CHECK(judge_spf("v=spf1 a -all", ip, {}) == Spf::fails);
}

TEST_CASE("spf_record: one among other texts, or none") {
  CHECK(dns::spf_record({"google-site-verification=x", "v=spf1 -all"}) == "v=spf1 -all");
  CHECK_FALSE(dns::spf_record({"v=spf10 -all", "v=spf"}).has_value());
  CHECK_FALSE(dns::spf_record({"v=spf1 -all", "v=spf1 a -all"}).has_value());
  CHECK_FALSE(dns::spf_record({}).has_value());
}

}  // namespace dns_spf_test
