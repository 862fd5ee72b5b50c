// SPDX-License-Identifier: Apache-2.0
// Orders about partners by the hundred thousand, as `hoplock partner import` gives them.
#include "tests/control/controlled.h"
#include "tests/support/longest_step.h"

namespace control_partner_orders_test {

using namespace hoplock;
using control::Client;

namespace {

#ifdef HOPLOCK_SANITIZED
constexpr int slower = 5;
#else
constexpr int slower = 1;
#endif
constexpr std::size_t many = 100'000;

struct Given {
  Given() : world(dir.path()), server(world.loop.executor(), *world.queue, log, calls(*this)) {
    server.open(path).value();
  }
  ~Given() { world.loop.run(server.stop(std::chrono::steady_clock::now() + std::chrono::seconds(2))); }
  static control::Calls calls(Given& self) {
    control::Calls to;
    to.change_partners = [&self](std::vector<partners::Order> orders, std::string by) {
      return take(self, std::move(orders), std::move(by));
    };
    return to;
  }
  static boost::asio::awaitable<Result<partners::Done>> take(Given& self, std::vector<partners::Order> orders,
                                                             std::string) {
    self.orders = std::move(orders);
    partners::Done done;
    done.changed = self.orders.size();
    co_return done;
  }
  // Until the client, which blocks on a thread of its own, has its answer.
  static boost::asio::awaitable<Result<partners::Done>> answered(std::future<Result<partners::Done>>& client) {
    boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
    while (client.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      pause.expires_after(std::chrono::milliseconds(1));
      co_await pause.async_wait(boost::asio::use_awaitable);
    }
    co_return client.get();
  }

  support::TempDirectory dir;
  std::string path = dir.file("control.sock");
  queue::test::World world;
  support::MemoryLog log;
  std::vector<partners::Order> orders;
  control::Server server;
};

}  // namespace

TEST_CASE("control: 100,000 orders about partners come in parts, whole, and keep no step of the loop long") {
  Given given;
  std::vector<partners::Order> orders(many);
  for (std::size_t i = 0; i < many; ++i) {
    partners::Entry& entry = orders[i].entry;
    entry.domain = partners::parse_domain("partner" + std::to_string(i) + ".example").value();
    entry.level = hop::Mandate::verify;
    entry.note = "ticket 4711";
  }
  auto client =
      std::async(std::launch::async, [&] { return Client::connect(given.path).value().change_partners(orders); });
  support::LongestStep steps;
  const auto done = given.world.loop.run(steps.beside(Given::answered(client)), std::chrono::seconds(120)).value();
  MESSAGE("the longest step of taking 100,000 orders: " << steps.longest().count() << " ms");
  CHECK(steps.longest() < slower * std::chrono::milliseconds(50));
  CHECK(done.changed == many);
  REQUIRE(given.orders.size() == many);
  CHECK(dns::to_text(given.orders.back().entry.domain) == "partner99999.example");
}

}  // namespace control_partner_orders_test
