// SPDX-License-Identifier: Apache-2.0
#include "delivery/telling_marks.h"

#include <doctest/doctest.h>

namespace delivery_telling_marks_test {

using namespace hoplock;
using namespace hoplock::delivery;

namespace {
using Kind = TellingMarks::Kind;
const Time start = from_millis(1'740'000'000'000);
constexpr Milliseconds lasts = std::chrono::hours{33};  // with the default schedule
}  // namespace

TEST_CASE("what waits for a destination is looked at once, each kind for itself, until it works again") {
  TellingMarks marks;
  const Time hour = start + std::chrono::hours{1};
  CHECK(marks.move("a.example", Kind::untold, start, {start, lasts}) == Time{});
  CHECK(marks.move("a.example", Kind::untold, hour, {hour, lasts}) == start);
  CHECK(marks.move("a.example", Kind::relaxed, hour, {hour, lasts}) == Time{});
  CHECK(marks.move("b.example", Kind::untold, hour, {hour, lasts}) == Time{});
  marks.forget("a.example");
  CHECK(marks.size() == 1);
  CHECK(marks.move("a.example", Kind::untold, hour, {hour, lasts}) == Time{});
  CHECK(marks.move("b.example", Kind::untold, hour, {hour, lasts}) == hour);
}

TEST_CASE("a hundred thousand dead domains, each heard of for a day, leave no more than the last day's") {
  TellingMarks marks;
  Time now = start;
  std::size_t most = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += std::chrono::minutes{2};  // 720 new ones a day, two kinds each
    const std::string domain = "d" + std::to_string(i) + ".example";
    for (const Kind kind : {Kind::notices, Kind::untold}) marks.move(domain, kind, now, {now, lasts});
    // one that stays down, and is looked at every four hours, is never forgotten
    if (i % 120 != 0) continue;
    const Time before = marks.move("down.example", Kind::untold, now, {now, lasts});
    if (i > 0) CHECK(before == now - std::chrono::hours{4});
    most = std::max(most, marks.size());
  }
  CHECK(most <= 2 * 2 * 33 * 30 + 100);
}

}  // namespace delivery_telling_marks_test
