// SPDX-License-Identifier: Apache-2.0
#include "monitor/since.h"

#include <doctest/doctest.h>

namespace monitor_since_test {

using namespace hoplock;

namespace {

const Time t0 = from_millis(1'790'000'000'000);

store::Traced story(const std::vector<std::pair<int, std::string>>& reasons) {
  store::Traced made;
  made.events.push_back({t0, R"({"event":"accepted","from":"a@one.test","to":["b@two.test"]})"});
  for (const auto& [minute, reason] : reasons)
    made.events.push_back({t0 + std::chrono::minutes(minute), R"({"event":"hop","domain":"two.test","reason":"x"})"
                                                              "\n"
                                                              R"({"event":"deferred","domain":"two.test","reason":")" +
                                                                  reason + "\"}"});
  return made;
}

store::DomainWait waiting_for(const std::string& reason) {
  store::DomainWait wait;
  wait.domain = "two.test";
  wait.reason = reason;
  return wait;
}

}  // namespace

TEST_CASE("since: the first of the last run of failures for the reason that it waits for now") {
  const auto told = story({{1, "connect-refused"}, {2, "dns-failure"}, {3, "connect-refused"}, {4, "connect-refused"}});
  CHECK(monitor::failing_since(told, waiting_for("connect-refused")) == t0 + std::chrono::minutes(3));
  CHECK_FALSE(monitor::failing_since(told, waiting_for("tlsa-invalid")));
  CHECK_FALSE(monitor::failing_since(story({}), waiting_for("connect-refused")));
}

TEST_CASE("since: what other domains of the message met does not count, and what is no JSON neither") {
  auto told = story({{1, "connect-refused"}});
  told.events.push_back(
      {t0 + std::chrono::minutes(2), R"({"event":"deferred","domain":"three.test","reason":"dns-failure"})"});
  told.events.push_back({t0 + std::chrono::minutes(3), R"("deferred" {)"});
  CHECK(monitor::failing_since(told, waiting_for("connect-refused")) == t0 + std::chrono::minutes(1));
}

}  // namespace monitor_since_test
