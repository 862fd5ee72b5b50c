// SPDX-License-Identifier: Apache-2.0
#include "daemon/partner_news.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/queue/world.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/longest_step.h"
#include "tests/support/memory_log.h"

namespace daemon_partner_news_test {

using namespace hoplock;

namespace {

#ifdef HOPLOCK_SANITIZED
constexpr int slower = 5;
#else
constexpr int slower = 1;
#endif

struct News {
  News()
      : world(dir.path()),
        router(route::Router::Parts{dns}, {}, std::mt19937_64{7}),
        news(
            *world.queue, router, log, [this] { ++kicks; }, [] { return queue::test::at(60); }) {}
  // Waits for an hour, because of that.
  void defer(const std::string& domain, const std::string& reason) {
    world.put({"user@" + domain});
    for (const store::Job& job : world.lease(domain)) {
      store::Settled settled = queue::test::World::all(job, store::Verdict::deferred, queue::test::at(3600));
      for (store::RecipientResult& one : settled.recipients) one.reason = reason;
      world.apply({std::move(settled)});
    }
  }
  static boost::asio::awaitable<int> follow(News& self, std::vector<dns::Pattern> changed) {
    co_await daemon::PartnerNews::follow(self.news, std::move(changed));
    co_return 0;
  }
  support::TempDirectory dir;
  queue::test::World world;
  support::FakeResolver dns;
  route::Router router;
  support::MemoryLog log;
  int kicks = 0;
  daemon::PartnerNews news;
};

}  // namespace

TEST_CASE(
    "PartnerNews: 100,000 changed domains keep no step of the loop long, and what waits for their sake is tried") {
  News at;
  for (int i = 0; i < 50; ++i) {
    at.defer("p" + std::to_string(i * 1'000) + ".example", "tlsa-invalid");
    at.defer("q" + std::to_string(i) + ".example", "tlsa-invalid");
  }
  at.defer("p7.example", "connect-timeout");
  std::vector<dns::Pattern> changed;
  for (int i = 0; i < 100'000; ++i)
    changed.push_back({dns::Pattern::Kind::exact, support::name("p" + std::to_string(i) + ".example")});
  support::LongestStep steps;
  at.world.loop.run(steps.beside(News::follow(at, std::move(changed))));
  MESSAGE("the longest step of taking up 100,000 domains: " << steps.longest().count() << " ms");
  CHECK(steps.longest() < slower * std::chrono::milliseconds(50));
  CHECK(at.kicks == 1);
  const auto ready = at.world.ready(queue::test::at(60), 1'000);
  const std::set<std::string> due(ready.begin(), ready.end());
  CHECK(due.size() == 50);
  CHECK(due.contains("p49000.example"));
  CHECK_FALSE(due.contains("q49.example"));
  CHECK_FALSE(due.contains("p7.example"));
}

}  // namespace daemon_partner_news_test
