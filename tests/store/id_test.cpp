// SPDX-License-Identifier: Apache-2.0
#include "store/id.h"

#include "store/id_prefix.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace store_id_test {

using namespace hoplock;
using namespace hoplock::store;

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

TEST_CASE("ids_beginning_with: the range of a prefix, in either case; nothing where no id can begin so") {
  const Id id = *Id::parse("0RQ7N9FA40");
  const auto range = ids_beginning_with("0rq7");
  REQUIRE(range.has_value());
  CHECK(range->first.text() == "0RQ7000000");
  CHECK(range->second.text() == "0RQ7ZZZZZZ");
  CHECK(range->first <= id);
  CHECK(id <= range->second);
  CHECK(ids_beginning_with(id.text()) == std::pair(id, id));
  CHECK(ids_beginning_with("7")->second == Id{(std::int64_t{1} << 48) - 1});
  for (const auto* bad : {"", "U", "0RQ7N9FA400", "ZZ", "a.b"}) CHECK_MESSAGE(!ids_beginning_with(bad), bad);
}

}  // namespace store_id_test
