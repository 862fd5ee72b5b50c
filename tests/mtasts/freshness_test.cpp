// SPDX-License-Identifier: Apache-2.0
#include "mtasts/freshness.h"

#include <doctest/doctest.h>

namespace mtasts_freshness_test {

using namespace hoplock;
using namespace std::chrono_literals;
using mtasts::Freshness;
using mtasts::Held;
using mtasts::Need;

namespace {
const Time start = from_millis(1'800'000'000'000);

Freshness holding(Seconds max_age, const char* id = "1") { return {Held{id, start, max_age}, {}}; }

// After `count` fetches failed, the last of them for `id` at `at`.
Freshness failed(Freshness row, unsigned count, Time at, const char* id) {
  row.failures = {count, at, id};
  return row;
}

Seconds wait(unsigned count, const char* failed_id, const char* id) {
  return std::chrono::duration_cast<Seconds>(mtasts::may_fetch_at({count, start, failed_id}, id) - start);
}
}  // namespace

TEST_CASE("STS-29, STS-31: a policy lives from its fetch for max_age, then no more") {
  const Held held{"1", start, 86400s};
  CHECK(mtasts::is_live(held, start));
  CHECK(mtasts::is_live(held, start + 86400s - 1ms));
  CHECK(!mtasts::is_live(held, start + 86400s));
  CHECK(!mtasts::is_live(held, start + 25h));
  CHECK(mtasts::expires(held) == start + 24h);
  CHECK(!mtasts::is_live({"1", start, 0s}, start));  // STS-17: for the attempt that fetched it, and no later one
  CHECK(mtasts::is_live({"1", start, mtasts::max_lifetime}, start + mtasts::max_lifetime - 1ms));
}

TEST_CASE("STS-29, STS-30, STS-31: neither the record of the day nor failing fetches touch a live policy's lifetime") {
  Freshness row = holding(24h);
  for (unsigned count = 1; count < 30; ++count) {
    row = failed(row, count, start + count * 1h, count % 2 == 0 ? "1" : "2");
    CHECK(mtasts::is_live(*row.held, start + count * 1h) == (count < 24));
    CHECK(mtasts::expires(*row.held) == start + 24h);
  }
}

TEST_CASE("STS-28: the same id needs no fetch, a new one and an expired policy do") {
  CHECK(mtasts::need(holding(24h), "1", start + 1h) == Need::nothing);
  CHECK(mtasts::need(holding(24h), "2", start + 1h) == Need::fetch);
  CHECK(mtasts::need(holding(24h), "1", start + 24h) == Need::fetch);
  CHECK(mtasts::need({}, "1", start) == Need::fetch);
  // a failed refresh does not make an unchanged id due
  CHECK(mtasts::need(failed(holding(24h), 1, start + 1h, "1"), "1", start + 23h) == Need::nothing);
  // ids are compared as they are
  CHECK(mtasts::need(holding(24h, "a"), "A", start + 1h) == Need::fetch);
}

TEST_CASE("STS-12: after a failed fetch the same id waits five minutes, doubling up to an hour") {
  CHECK(wait(1, "1", "1") == 5min);
  CHECK(wait(2, "1", "1") == 10min);
  CHECK(wait(3, "1", "1") == 20min);
  CHECK(wait(4, "1", "1") == 40min);
  CHECK(wait(5, "1", "1") == 1h);
  CHECK(wait(6, "1", "1") == 1h);
  CHECK(wait(4'000'000'000U, "1", "1") == 1h);
  const Freshness row = failed({}, 1, start, "1");
  CHECK(mtasts::need(row, "1", start + 4min) == Need::wait);
  CHECK(mtasts::need(row, "1", start + 5min) == Need::fetch);
}

TEST_CASE("STS-12: an id that changes with every answer forces no more than a fetch every five minutes") {
  CHECK(wait(1, "1", "2") == 5min);
  CHECK(wait(9, "1", "2") == 5min);
  Freshness row;
  unsigned fetches = 0;
  for (int query = 0; query < 600; ++query) {  // ten hours, a query a minute
    const Time now = start + query * 1min;
    const std::string id = "id" + std::to_string(query);
    if (mtasts::need(row, id, now) != Need::fetch) continue;
    ++fetches;
    row.failures = {row.failures.count + 1, now, id};
  }
  CHECK(fetches == 120);
}

TEST_CASE("STS-12: a domain whose last fetch succeeded does not wait") {
  CHECK(mtasts::need(holding(24h), "2", start) == Need::fetch);
  CHECK(mtasts::may_fetch_at({}, "1") <= start - 100000h);
}

TEST_CASE("a clock set back makes no policy immortal and no wait endless") {
  const Time now = start - 240h;
  const Freshness row = failed(holding(24h), 3, start, "1");
  CHECK(!mtasts::is_live(*row.held, now));            // not believed: it lies further ahead than it could live
  CHECK(mtasts::is_live(*row.held, start - 1h));      // a small step back is no reason to drop protection
  CHECK(mtasts::need(row, "2", now) == Need::fetch);  // the failure lies ahead: it cannot be waited for
  const Freshness from_now = mtasts::settled(row, now);
  CHECK(mtasts::is_live(*from_now.held, now));          // noticed and written back: its life counts from here,
  CHECK(mtasts::expires(*from_now.held) == now + 24h);  // and no longer than max_age
  CHECK(mtasts::need(from_now, "2", now + 5min) == Need::fetch);
  CHECK(mtasts::need(from_now, "2", now + 4min) == Need::wait);
  const Freshness untouched = mtasts::settled(row, start + 1h);
  CHECK(untouched.held->fetched == start);
  CHECK(untouched.failures.last == start);
}

TEST_CASE("STS-32: a policy is refreshed daily, and well before it expires") {
  const auto due = [](Seconds max_age, Seconds every, double jitter) -> std::optional<Seconds> {
    const auto at = mtasts::refresh_at(holding(max_age), every, jitter);
    if (!at) return std::nullopt;
    return std::chrono::duration_cast<Seconds>(*at - start);
  };
  CHECK(due(168h, 24h, 0) == 24h);
  CHECK(due(168h, 24h, 1) == 69120s);  // a fifth earlier
  CHECK(due(168h, 24h, 0.5) == 77760s);
  CHECK(due(168h, 24h, 7) == 69120s);  // jitter out of range
  CHECK(due(24h, 24h, 0) == 12h);      // half its life
  CHECK(due(mtasts::max_lifetime, 24h, 0) == 24h);
  CHECK(due(10min, 24h, 0) == 5min);
  CHECK(due(10min, 24h, 1) == 4min);
  CHECK(due(599s, 24h, 0) == std::nullopt);  // dead before anybody could look
  CHECK(due(0s, 24h, 0) == std::nullopt);
  CHECK(due(168h, 2s, 0) == 2s);  // the operator's word
  CHECK(due(60s, 5s, 0) == 5s);
  CHECK(due(8s, 5s, 0) == std::nullopt);
  CHECK(!mtasts::refresh_at({}, 24h, 0));
}

TEST_CASE("STS-32: a failed refresh is repeated with back-off, long before a week's policy ends") {
  Freshness row = holding(168h);
  Time now = *mtasts::refresh_at(row, 24h, 0);
  unsigned tries = 0;
  for (; now < mtasts::expires(*row.held); now = *mtasts::refresh_at(row, 24h, 0)) {
    const Time before = now;
    row.failures = {row.failures.count + 1, now, "1"};
    CHECK(*mtasts::refresh_at(row, 24h, 0) >= before + 5min);
    ++tries;
  }
  CHECK(tries > 100);
  CHECK(tries < 200);
}

}  // namespace mtasts_freshness_test
