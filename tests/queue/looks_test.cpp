// SPDX-License-Identifier: Apache-2.0
#include "store/looks.h"

#include <doctest/doctest.h>

#include "tests/queue/world.h"

namespace queue_looks_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

struct Looked {
  support::TempDirectory dir;
  World world{dir.path(), recording()};
  static Options recording() {
    Options options;
    options.history = Recording::on;
    return options;
  }
  std::vector<Wait> waits(std::size_t most = 25) {
    auto reader = world.reader();
    const Stats stats = reader.stats({}).value();
    return reader.waits(stats, most).value();
  }
  std::vector<Id> recent(const std::string& address, const std::string& domain, std::size_t most) {
    return world.reader().recent({address, domain, most}).value().ids;
  }
};

}  // namespace

TEST_CASE("looks: next hops with the most mail first, each with its domains, and no more than asked for") {
  Looked at;
  at.world.put({"a@one.test"});
  for (int i = 0; i < 3; ++i) at.world.put({"a@two.test"});
  const auto waits = at.waits();
  REQUIRE(waits.size() == 2);
  CHECK(waits[0].nexthop == "two.test");
  CHECK(waits[0].count.count == 3);
  CHECK(waits[0].reason.empty());
  CHECK(waits[0].extent == Wait::Extent::part);
  REQUIRE(waits[0].shown.size() == 1);
  CHECK(waits[0].shown[0].next == t0);
  CHECK_FALSE(waits[0].shown[0].tried);
  CHECK(at.waits(1).size() == 1);
}

TEST_CASE("looks: many domains behind one next hop are counted, and the first are told of") {
  Looked at;
  at.world.smarthost = "route:relay:25";
  for (int i = 0; i < 14; ++i) at.world.put({"a@d" + std::to_string(i) + ".test"});
  const auto waits = at.waits();
  REQUIRE(waits.size() == 1);
  CHECK(waits[0].domains == 14);
  CHECK(waits[0].shown.size() == Wait::most_domains);
}

TEST_CASE("looks: why it waits is what became of the recipient in front, with the oldest message that was tried") {
  Looked at;
  const Id first = at.world.put({"a@one.test"});
  at.world.put({"b@one.test"}, "x\r\n", test::at(1));
  std::vector<Settled> failed;
  for (const Job& job : at.world.lease("one.test")) failed.push_back(World::all(job, Verdict::deferred, test::at(300)));
  at.world.apply(failed);
  const auto wait = at.world.reader().wait_of("one.test").value();
  REQUIRE(wait);
  CHECK(wait->count.count == 2);
  CHECK(wait->reason == "connect-timeout");
  CHECK(wait->reply == "the reply");
  CHECK(wait->host == "mx.one.test");
  CHECK(wait->attempts == 1);
  CHECK(wait->tried == first);
  CHECK(wait->next == test::at(300));
  CHECK_FALSE(at.world.reader().wait_of("other.test").value());
  at.world.act(Action::remove, ids({first}));
  CHECK(at.world.reader().wait_of("one.test").value()->count.count == 1);
}

TEST_CASE("looks: the newest messages of an address or a domain, newest first, as many as asked for") {
  Looked at;
  std::vector<Id> put;
  for (int i = 0; i < 5; ++i) put.push_back(at.world.put({"User@one.test", "x@two.test"}, "x\r\n", test::at(i)));
  at.world.put({"y@two.test"}, "x\r\n", test::at(9));
  CHECK(at.recent("user@one.test", "", 3) == std::vector{put[4], put[3], put[2]});
  CHECK(at.recent("", "one.test", 10).size() == 5);
  CHECK(at.recent("", "two.test", 10).size() == 6);
  CHECK(at.recent("nobody@one.test", "", 10).empty());
  CHECK(at.world.reader().recent({"", "one.test", 3}).value().extent == Recent::Extent::part);
  CHECK(at.world.reader().recent({"", "one.test", 10}).value().extent == Recent::Extent::all);
}

TEST_CASE("looks: of a long history the first event and the newest") {
  Looked at;
  const Id id = at.world.put({"a@one.test"});
  for (int i = 0; i < 9; ++i) at.world.act(i % 2 == 0 ? Action::hold : Action::release, ids({id}), test::at(i));
  auto tail = at.world.reader().tail(id, 3).value();
  REQUIRE(tail.traced.events.size() == 4);
  CHECK(tail.left_out == 6);
  CHECK(tail.traced.events[0].text.find("accepted") != std::string::npos);
  CHECK(tail.traced.events[3].at == test::at(8));
  tail = at.world.reader().tail(id, 100).value();
  CHECK(tail.traced.events.size() == 10);
  CHECK(tail.left_out == 0);
  CHECK(at.world.reader().tail(Id{77}, 3).value().traced.events.empty());
}

}  // namespace queue_looks_test
