// SPDX-License-Identifier: Apache-2.0
// `hoplock tlsa --next`: which step comes next, and that no step is left out.
#include "daemon/tool/tlsa_next.h"

#include <doctest/doctest.h>

#include "tests/daemon/tool_run.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace daemon_tool_tlsa_next_test {

using namespace hoplock;
using namespace std::chrono_literals;
using daemon::test::run_tool;
using daemon::tool::next_step;
using daemon::tool::Renewal;
using Stage = daemon::tool::RenewalStep::State;

namespace {

const Time now = from_millis(1'800'000'000'000);
const dns::Tlsa old_record{3, 1, 1, "old"}, next_record{3, 1, 1, "next"};

Renewal start() {
  Renewal found;
  found.wanted = next_record;
  found.current = old_record;
  found.rest_in_dns = {old_record};
  found.addresses = 2;
  found.ttl = 1h;
  return found;
}

}  // namespace

TEST_CASE(
    "tlsa --next: first the record beside the old one, then the wait, then the certificate, then the old record goes") {
  Renewal found = start();
  auto step = next_step(found, now);
  CHECK(step.state == Stage::publish);
  CHECK(step.records == std::vector{next_record});
  CHECK(step.text.find("take none away") != std::string::npos);

  found.next_in_dns = {next_record};
  step = next_step(found, now);
  CHECK(step.state == Stage::wait);
  CHECK(step.not_before == now + 1h);
  CHECK(step.text.find("--published 2027-01-15T08:00:00Z") != std::string::npos);
  found.since = now;
  CHECK(next_step(found, now + 59min).state == Stage::wait);
  CHECK(next_step(found, now + 59min).not_before == now + 1h);
  CHECK(next_step(found, now + 1h).state == Stage::install);

  found.with_next = 1;
  step = next_step(found, now + 1h);
  CHECK(step.state == Stage::install);
  CHECK(step.text.find("1 of 2 addresses") != std::string::npos);
  found.with_next = 2;
  found.unreachable = 1;
  CHECK(next_step(found, now + 1h).state == Stage::install);
  found.unreachable = 0;
  step = next_step(found, now + 1h);
  CHECK(step.state == Stage::remove);
  CHECK(step.records == std::vector{old_record});
  found.rest_in_dns.clear();
  CHECK(next_step(found, now + 1h).state == Stage::done);
}

TEST_CASE("tlsa --next: a change is not done before its TTL is over, or while nobody says when it began") {
  Renewal found = start();
  found.next_in_dns = {next_record};
  found.rest_in_dns.clear();
  found.with_next = 2;
  auto step = next_step(found, now);
  CHECK(step.state == Stage::wait);
  CHECK(step.text.find("--published") != std::string::npos);
  found.since = now - 30min;
  step = next_step(found, now);
  CHECK(step.state == Stage::wait);
  CHECK(step.not_before == now + 30min);
}

TEST_CASE("tlsa --next: a certificate without its record is an alarm, and a first record names the present one too") {
  Renewal found = start();
  found.with_next = 2;
  CHECK(next_step(found, now).state == Stage::broken);
  found.with_next = 0;
  found.rest_in_dns.clear();
  const auto step = next_step(found, now);
  CHECK(step.state == Stage::publish);
  CHECK(step.records == std::vector{next_record, old_record});
}

TEST_CASE("tlsa --next: words that are wrong are told with what is allowed") {
  support::TempDirectory dir;
  support::Recipe recipe;
  recipe.cn = "no host name";
  const std::string pem = dir.write("new.pem", support::Certificate(recipe).pem());
  const std::string config = dir.write("h.yaml", "hostname: r.example.net\n");
  const auto said = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"--config", config, "tlsa"};
    words.insert(words.end(), more.begin(), more.end());
    return run_tool(words, now);
  };
  CHECK(said({}).code == 64);
  CHECK(said({pem, "--ttl", "1h"}).code == 64);
  CHECK(said({"mx.example.org", "--next", pem, "--published", "yesterday"}).code == 64);
  CHECK(said({"mx.example.org", "--next", pem, "--published", "2999-01-01T00:00:00Z"}).code == 64);
  CHECK(said({"mx.example.org", "--next", pem, "--ttl", "long"}).code == 64);
  CHECK(said({"mx.example.org", "--next", dir.file("none.pem")}).code == 74);
  CHECK(said({"192.0.2.1", "--next", pem}).code == 64);
  CHECK(said({"--next", pem}).err.find("hoplock tlsa mx.example.org --next NEW.pem") != std::string::npos);
}

}  // namespace daemon_tool_tlsa_next_test
