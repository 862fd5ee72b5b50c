#include "queue/id.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace hoplock;
using namespace hoplock::queue;

TEST_CASE("Id: text and number are one, and sort alike") {
  const std::int64_t values[] = {0, 1, 31, 32, 123456789, 27'000'000'000'000, (std::int64_t{1} << 48) - 1};
  std::string last;
  for (const auto value : values) {
    const auto text = Id{value}.text();
    CHECK(text.size() >= 8);
    CHECK(text.size() <= 32);
    CHECK(std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0; }));
    CHECK(Id::parse(text) == Id{value});
    CHECK(last < text);
    last = text;
  }
}

TEST_CASE("Id: nothing but such a text is one") {
  CHECK(Id::parse("000000000a") == Id{10});  // people type small letters
  for (const auto* bad : {"", "0", "00000000000", "00000000O0", "000000000U", "ZZZZZZZZZZ", "000000000-", "../../etc/"})
    CHECK_MESSAGE(!Id::parse(bad), bad);
}

TEST_CASE("Id: carries its time") {
  const Time time = parse_rfc3339("2026-11-21T19:14:09.123Z").value();
  CHECK(Id::at(time).time() == time);
  CHECK(Id::at(time) < Id::at(time + Milliseconds(1)));
  CHECK(Id::at(from_millis(0)) == Id{0});  // a clock before 2020
}
