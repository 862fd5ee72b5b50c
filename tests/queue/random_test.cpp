// SPDX-License-Identifier: Apache-2.0
// Everything at once, at random: sessions, deliverers, operators, changed routes, restarts. Whatever the order, no recipient is
// leased twice at a time, none is delivered twice, and in the end all that was not removed has been delivered.
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <random>
#include <set>

#include "tests/queue/world.h"

namespace queue_random_test {

using namespace hoplock;
using namespace hoplock::queue;
using namespace hoplock::queue::test;

namespace {

using Key = std::pair<std::int64_t, std::uint32_t>;  // message, recipient

struct Model {
  std::mt19937 random;
  std::int64_t clock = 0;  // seconds after t0; grows
  std::set<Key> waiting;   // committed, neither delivered nor removed
  std::set<Key> leased;
  std::set<Key> delivered;
  std::set<std::int64_t> removed;  // messages; a delivery under way may still end as one
  bool stop = false;
  int violations = 0;

  int roll(int sides) { return static_cast<int>(random() % static_cast<unsigned>(sides)); }
  Time now() { return at(clock); }
};

asio::awaitable<void> pause(int most_us, Model& model) {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::microseconds(model.roll(most_us)));
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> session(World& world, Model& model) {
  while (!model.stop) {
    auto writer = world.queue->begin(model.now());
    std::vector<std::string> addresses;
    for (int i = 0, n = 1 + model.roll(3); i < n; ++i)
      addresses.push_back("u" + std::to_string(i) + "@d" + std::to_string(model.roll(6)) + ".test");
    std::string body(static_cast<std::size_t>(model.roll(12) == 0 ? 150'000 : 300), 'x');
    (co_await writer.write(std::move(body))).value();
    auto to = World::recipients(addresses);
    auto envelope = World::envelope("s@example.net");
    if (model.roll(10) == 0) continue;  // the client goes away
    const auto id = (co_await writer.commit(std::move(envelope), std::move(to))).value();
    for (std::uint32_t seq = 0; seq < addresses.size(); ++seq)
      if (!model.removed.contains(id.value)) model.waiting.insert({id.value, seq});
    co_await pause(2000, model);
  }
}

Results outcome(Model& model, const std::vector<Job>& jobs) {
  Results results;
  results.now = model.now();
  for (const auto& job : jobs) {
    const int fate = model.roll(10);
    auto settled =
        World::all(job, fate < 7 ? Verdict::delivered : Verdict::deferred, model.now() + Seconds(1 + model.roll(20)));
    if (fate == 9) settled.recipients.pop_back();  // one was not tried
    results.settled.push_back(std::move(settled));
  }
  if (model.roll(20) == 0) {
    DestinationChange change;
    change.destination = jobs[0].destination;
    if (model.roll(2) == 0) {
      change.backoff.emplace();
      change.backoff->until = model.now() + Seconds(model.roll(10));
      change.backoff->failures = 1;
    }
    results.destinations.push_back(std::move(change));
  }
  return results;
}

asio::awaitable<void> deliverer(World& world, Model& model) {
  while (!model.stop) {
    auto work = (co_await world.queue->ready(model.now(), 5, {})).value();
    if (work.ready.empty()) {
      co_await pause(3000, model);
      continue;
    }
    const auto pick = static_cast<std::size_t>(model.roll(static_cast<int>(work.ready.size())));
    LeaseLimit limit;
    limit.messages = static_cast<std::size_t>(1 + model.roll(5));
    auto destination = work.ready[pick].destination;
    auto jobs = (co_await world.queue->lease(std::move(destination), model.now(), limit)).value();
    if (jobs.empty()) {
      co_await pause(500, model);
      continue;
    }
    for (const auto& job : jobs)
      for (const auto& due : job.recipients) {
        if (!model.leased.insert({job.id.value, due.seq}).second) ++model.violations;
        if (model.delivered.contains({job.id.value, due.seq})) ++model.violations;
      }
    co_await pause(3000, model);
    auto results = outcome(model, jobs);
    const auto told = results.settled;
    for (const auto& job : jobs)  // before apply: with its commit the queue may lease them again
      for (const auto& due : job.recipients) model.leased.erase({job.id.value, due.seq});
    for (const auto& settled : told)
      for (const auto& recipient : settled.recipients)
        if (recipient.verdict == Verdict::delivered) {
          model.delivered.insert({settled.id.value, recipient.seq});
          model.waiting.erase({settled.id.value, recipient.seq});
        }
    (co_await world.queue->apply(std::move(results))).value();
  }
}

Selection any(Model& model) {
  switch (model.roll(3)) {
    case 0:
      return domain("d" + std::to_string(model.roll(6)) + ".test");
    case 1:
      if (!model.waiting.empty()) {
        auto which = model.waiting.begin();
        std::advance(which, model.roll(static_cast<int>(model.waiting.size())));
        return ids({Id{which->first}});
      }
      [[fallthrough]];
    default:
      return everything();
  }
}

asio::awaitable<void> operate(World& world, Model& model) {
  while (!model.stop) {
    co_await pause(20'000, model);
    ++model.clock;
    const int what = model.roll(10);
    if (what == 0) {
      world.smarthost = world.smarthost.empty() ? "smart.test" : "";
      (co_await world.queue->reroute(model.now())).value();
    } else if (what == 1) {
      (co_await world.queue->sweep(50'000)).value();
    } else if (what == 2 && !model.waiting.empty()) {
      const Id id{model.waiting.begin()->first};
      model.removed.insert(id.value);
      auto selection = ids({id});
      (co_await world.queue->act(Action::remove, std::move(selection), model.now())).value();
      std::erase_if(model.waiting, [&](const Key& key) { return key.first == id.value; });
    } else {
      auto selection = any(model);
      const Action action = what < 5 ? Action::hold : what < 8 ? Action::release : Action::retry;
      (co_await world.queue->act(action, std::move(selection), model.now())).value();
    }
  }
}

asio::awaitable<void> end_after(Model& model, int ms) {
  asio::steady_timer timer(co_await asio::this_coro::executor, Milliseconds(ms));
  co_await timer.async_wait(asio::use_awaitable);
  model.stop = true;
}

// No more mail: everything that waits is released and delivered.
void deliver_rest(World& world, Model& model) {
  world.act(Action::release, everything(), model.now());
  world.act(Action::retry, everything(), model.now());
  for (int rounds = 0; rounds < 100; ++rounds) {
    model.clock += 100;
    const auto names = world.ready(model.now());
    if (names.empty()) return;
    for (const auto& name_ : names)
      for (auto jobs = world.lease(name_, model.now()); !jobs.empty(); jobs = world.lease(name_, model.now())) {
        std::vector<Settled> settled;
        for (const auto& job : jobs) {
          settled.push_back(World::all(job, Verdict::delivered));
          for (const auto& due : job.recipients) {
            if (!model.delivered.insert({job.id.value, due.seq}).second) ++model.violations;
            model.waiting.erase({job.id.value, due.seq});
          }
        }
        world.apply(settled, model.now());
      }
  }
}

}  // namespace

TEST_CASE("at random: no recipient is under way twice, none is delivered twice, and none is forgotten") {
  for (const unsigned seed : {1u, 2u, 3u, 4u}) {
    CAPTURE(seed);
    support::TempDirectory dir;
    Model model;
    model.random.seed(seed);
    Options options;
    options.window_messages = 12;
    for (int life = 0; life < 3; ++life) {
      World world(dir.path(), options, model.now());
      model.stop = false;
      for (int i = 0; i < 4; ++i) world.loop.start(session(world, model));
      for (int i = 0; i < 6; ++i) world.loop.start(deliverer(world, model));
      world.loop.start(operate(world, model));
      world.loop.start(end_after(model, 400));
      world.loop.run_all();
      CHECK(model.leased.empty());
      CHECK(world.queue->active().empty());
    }
    World world(dir.path(), options, model.now());
    deliver_rest(world, model);
    CHECK(model.violations == 0);
    CHECK(model.waiting.empty());
    CHECK(model.delivered.size() > 50);
    CHECK(world.count("message") == 0);
    CHECK(world.count("recipient") == 0);
    CHECK(world.count("chunk") == 0);
  }
}

}  // namespace queue_random_test
