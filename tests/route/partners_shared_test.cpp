// SPDX-License-Identifier: Apache-2.0
// Partners in a store that several nodes share: what one of them was ordered counts at all.
#include <doctest/doctest.h>

#include "tests/route/partners_world.h"

namespace hoplock::route::partners_shared_test {

using namespace partners_test;

namespace {

namespace asio = boost::asio;

// As nodes see it that have the same store.
class Shared final : public store::PartnerStore {
 public:
  explicit Shared(store::PartnerStore& kept) : kept_(kept) {}
  std::optional<Milliseconds> look_again() const override { return Milliseconds(10); }
  std::uint64_t free_bytes() override { return kept_.free_bytes(); }
  asio::awaitable<Result<store::PartnerPage>> list(store::PartnerAt after, std::size_t limit) override {
    return kept_.list(std::move(after), limit);
  }
  asio::awaitable<Result<>> write(std::vector<store::PartnerChange> changes, Part part) override {
    return kept_.write(std::move(changes), part);
  }
  asio::awaitable<Result<>> drop_earlier(std::vector<Entry> entries, Part part) override {
    return kept_.drop_earlier(std::move(entries), part);
  }
  asio::awaitable<Result<store::More>> drop_uncommitted(std::size_t limit) override {
    return kept_.drop_uncommitted(limit);
  }
  asio::awaitable<Result<store::PartnerBatches>> batches() override { return kept_.batches(); }
  asio::awaitable<Result<std::vector<store::ChangedPartner>>> changed_since(store::PartnerBatch followed,
                                                                            store::PartnerAt after,
                                                                            std::size_t limit) override {
    return kept_.changed_since(followed, std::move(after), limit);
  }
  asio::awaitable<Result<>> mark_followed(store::PartnerBatch batch) override { return kept_.mark_followed(batch); }
  asio::awaitable<Result<>> mark_told(std::vector<Entry> entries) override {
    return kept_.mark_told(std::move(entries));
  }

 private:
  store::PartnerStore& kept_;
};

struct Nodes : PartnersWorld {
  Nodes() : shared(*kept) {
    for (auto* node : {&here, &there}) {
      *node = std::make_unique<Partners>(shared, log, [this] { return at; });
      loop.run((*node)->load()).value();
    }
  }
  partners::Done ordered(Partners& node, Order what) {
    std::vector<Order> orders;
    orders.push_back(std::move(what));
    return loop.run(node.carry_out(std::move(orders), "ann")).value();
  }
  void run_until(const std::function<bool()>& enough) {
    loop.io().restart();
    while (!enough()) loop.io().run_one();
  }
  bool has(Partners& node, const std::string& domain) {
    return node.book()->find(named(domain), at).mandate != nullptr;
  }

  Shared shared;
  std::unique_ptr<Partners> here, there;
};

}  // namespace

TEST_CASE("partners: what one node was ordered counts at another that watches") {
  Nodes nodes;
  nodes.ordered(*nodes.here, put(made("a.example")));
  CHECK(nodes.has(*nodes.here, "a.example"));
  CHECK_FALSE(nodes.has(*nodes.there, "a.example"));
  net::TaskGroup tasks(nodes.loop.executor(), nodes.log);
  tasks.spawn("partners", nodes.there->watch());
  nodes.run_until([&] { return nodes.has(*nodes.there, "a.example"); });
  nodes.ordered(*nodes.here, removal("a.example"));
  nodes.run_until([&] { return !nodes.has(*nodes.there, "a.example"); });
  tasks.stop();
  nodes.loop.run(tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{5}));
}

TEST_CASE("partners: an order is carried out on what other nodes did") {
  Nodes nodes;
  nodes.ordered(*nodes.here, put(made("a.example")));
  CHECK(nodes.ordered(*nodes.there, put(made("a.example"))).unchanged == 1);
  CHECK(nodes.ordered(*nodes.there, removal("a.example")).changed == 1);
  CHECK(nodes.ordered(*nodes.here, removal("a.example")).changed == 0);
  CHECK_FALSE(nodes.has(*nodes.here, "a.example"));
}

TEST_CASE("partners: what a node changed itself is not read again") {
  Nodes nodes;
  std::size_t books = 0;
  nodes.here->on_change([&books](partners::BookPtr, std::vector<dns::Pattern>) { ++books; });
  nodes.ordered(*nodes.here, put(made("a.example")));
  nodes.ordered(*nodes.here, put(made("b.example")));
  CHECK(books == 2);
}

}  // namespace hoplock::route::partners_shared_test
