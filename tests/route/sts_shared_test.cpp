// SPDX-License-Identifier: Apache-2.0
// Policies in a store that several nodes share: what another one fetched counts here, too.
#include "tests/route/sts_world.h"

namespace hoplock::route::route_sts_shared_test {

using namespace testing;

namespace {

namespace asio = boost::asio;

// As others see it who have the same store.
class Shared final : public PolicyStore {
 public:
  Shared(PolicyStore& kept, Milliseconds again) : kept_(kept), again_(again) {}
  std::optional<Milliseconds> look_again() const override { return again_; }
  asio::awaitable<Result<KeptPolicy>> find(dns::Name domain) override { return kept_.find(std::move(domain)); }
  asio::awaitable<Result<>> put(PolicyRow row) override { return kept_.put(std::move(row)); }
  asio::awaitable<Result<>> put_failure(PolicyRow row, std::string refused) override {
    return kept_.put_failure(std::move(row), std::move(refused));
  }
  asio::awaitable<Result<>> update(PolicyRow row) override { return kept_.update(std::move(row)); }
  void update_later(PolicyRow row) override { kept_.update_later(std::move(row)); }
  asio::awaitable<Result<>> remove(dns::Name domain) override { return kept_.remove(std::move(domain)); }
  asio::awaitable<Result<DuePolicies>> due(DueBy by) override { return kept_.due(by); }

 private:
  PolicyStore& kept_;
  Milliseconds again_;
};

struct Nodes : StsWorld {
  explicit Nodes(Milliseconds again) : shared(*kept, again) {
    auto clock = [this] { return now() + ahead; };
    here = std::make_unique<PolicyCache>(PolicyCache::Parts{shared, dns, fetch, log, clock}, options);
    there = std::make_unique<PolicyCache>(PolicyCache::Parts{shared, dns, fetch, log, clock}, options);
  }
  hop::StsFact ask(PolicyCache& node) { return loop.run(asked(node)); }

  Shared shared;
  std::unique_ptr<PolicyCache> here, there;

 private:
  static asio::awaitable<hop::StsFact> asked(PolicyCache& node) {
    PolicyTxt txt = co_await node.find_txt(name("example.org"));
    co_return co_await node.find(name("example.org"), std::move(txt));
  }
};

}  // namespace

TEST_CASE("STS-32: that a policy has run out is not believed before the store was asked what others fetched") {
  Nodes nodes(std::chrono::hours{10});
  nodes.publish("1", policy("enforce", "mx.example.org", 3600));
  CHECK(nodes.ask(*nodes.here).state == StsState::live);
  nodes.ahead = std::chrono::hours{2};
  CHECK(nodes.loop.run(nodes.there->refresh(name("example.org"))).action == PolicyEvent::Action::fetched);
  const std::size_t fetches = nodes.fetch.asked.size();
  nodes.block_https();
  CHECK(nodes.ask(*nodes.here).state == StsState::live);
  CHECK(nodes.fetch.asked.size() == fetches);
}

TEST_CASE("STS-33: a domain that had no policy for us has the one that another node fetched") {
  Nodes nodes(std::chrono::hours{10});
  nodes.block_https();
  CHECK(nodes.ask(*nodes.here).state != StsState::live);
  nodes.publish("1", policy("enforce"));
  CHECK(nodes.loop.run(nodes.there->refresh(name("example.org"))).action == PolicyEvent::Action::fetched);
  nodes.block_https();
  CHECK(nodes.ask(*nodes.here).state == StsState::live);
}

TEST_CASE("STS-32: what is kept in memory holds for a while, then the store is asked again") {
  Nodes nodes(Milliseconds{0});
  nodes.publish("1", policy("enforce", "mx.example.org"));
  CHECK(nodes.ask(*nodes.here).id == "1");
  nodes.publish("2", policy("enforce", "mx2.example.org"));
  CHECK(nodes.loop.run(nodes.there->refresh(name("example.org"))).action == PolicyEvent::Action::refreshed);
  const std::size_t fetches = nodes.fetch.asked.size();
  CHECK(nodes.ask(*nodes.here).id == "2");
  CHECK(nodes.fetch.asked.size() == fetches);
}

}  // namespace hoplock::route::route_sts_shared_test
