// SPDX-License-Identifier: Apache-2.0
#include "delivery/gates.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>

#include "delivery/concurrency.h"
#include "delivery/families.h"
#include "delivery/reply_words.h"
#include "delivery/retry_class.h"
#include "delivery/rotation.h"
#include "tests/support/memory_log.h"

namespace delivery_gates_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;

namespace {

const Allowance::Clock::time_point t0 = Allowance::Clock::time_point(10h);
const Ip ip = Ip::parse("192.0.2.1").value();
const Ip ip6 = Ip::parse("2001:db8::1").value();

store::Ready ready(const std::string& name) {
  store::Ready one;
  one.destination = name;
  return one;
}

// A receiver that takes `limit` sessions: what the allowance comes to in `seconds`, with a message a session in 100 ms.
struct Run {
  std::size_t refusals = 0;
  std::size_t last = 0;
};
Run run(Allowance& allowance, std::size_t limit, int seconds) {
  Run found;
  for (int tick = 0; tick < seconds * 10; ++tick) {
    const auto now = t0 + std::chrono::milliseconds(100 * tick);
    const std::size_t open = allowance.sessions();
    const std::size_t working = std::min(open, limit);
    for (std::size_t i = 0; i < working; ++i) allowance.took(open, now);
    if (open > limit) {
      ++found.refusals;
      allowance.cut(limit, now);
    }
  }
  found.last = allowance.sessions();
  return found;
}

}  // namespace

TEST_CASE("MX-27: a limit that is refused is found, kept, and tried again only now and then") {
  Allowance allowance(20);
  const Run minute = run(allowance, 7, 60);
  CHECK(minute.last >= 7);
  CHECK(minute.last <= 8);
  CHECK(minute.refusals <= 6);
  Allowance hour(20);
  CHECK(run(hour, 7, 3600).refusals <= 25);
}

TEST_CASE("MX-27: what one bad second cut grows back within half a minute") {
  Allowance allowance(20);
  for (std::size_t working = 19; working > 0; --working) allowance.cut(working, t0);
  CHECK(allowance.sessions() == 1);
  CHECK(run(allowance, 100, 30).last == 20);
}

// A hot second is no limit: 19 of 20 sessions were told 421 within it, and with one session it took minutes to get back to twenty.
TEST_CASE("MX-27: what is refused within one second is one refusal: when it is over, half is tried again at once") {
  Allowance allowance(20);
  const auto hot = [&](Allowance::Clock::time_point at, std::size_t from, std::size_t to) {
    for (std::size_t working = from; working-- > to; at += 10ms) allowance.cut(working, at);
  };
  hot(t0, 20, 10);
  CHECK(allowance.sessions() == 10);
  allowance.took(10, t0 + 1100ms);
  CHECK(allowance.sessions() == 10);  // as many as went on: half

  Allowance deep(20);
  for (std::size_t working = 19; working > 0; --working) deep.cut(working, t0);
  deep.took(1, t0 + 900ms);  // while the second lasts, no more than what works
  CHECK(deep.sessions() == 1);
  deep.took(1, t0 + 1100ms);
  CHECK(deep.sessions() == 10);
  for (std::size_t working = 9; working > 0; --working) deep.cut(working, t0 + 2s);
  deep.took(1, t0 + 3100ms);
  CHECK(deep.sessions() == 5);
  deep.took(5, t0 + 3200ms);
  CHECK(deep.sessions() == 5);  // and from there one by one

  Allowance cold(20);  // three such seconds, and no message between
  for (int second = 0; second < 3; ++second) {
    for (std::size_t working = 19; working > 0; --working) cold.cut(working, t0 + second * 1100ms);
  }
  cold.took(1, t0 + 5s);
  CHECK(cold.sessions() == 3);

  Allowance site(200);  // room that is not there counts from what is in use
  for (std::size_t used = 20; used > 1; --used) site.give_way(used - 1, t0);
  site.took(1, t0 + 1100ms);
  CHECK(site.sessions() == 10);
  site.give_way(9, t0 + 3s);
  site.fit(1);  // it is down as a whole: one knock
  site.took(1, t0 + 5s);
  CHECK(site.sessions() == 2);
}

TEST_CASE("MX-27: twenty sessions that hear 421 within a second leave a site and its host half of them") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  const SitePtr site = gates.site("mx.example", {});
  std::vector<Gates::UsePtr> at_host, at_site;
  for (int i = 0; i < 20; ++i) {
    at_host.push_back(gates.use(gates.host(ip)));
    at_site.push_back(gates.use(site));
  }
  for (int i = 0; i < 19; ++i) {
    at_host.pop_back();
    gates.refused({site, ip, "421 4.7.0 try again later"});
    at_site.pop_back();
  }
  CHECK(gates.host(ip)->allowance.sessions() == 1);
  const auto later = Gates::Clock::now() + 2s;
  gates.host(ip)->allowance.took(1, later);
  site->allowance.took(1, later);
  CHECK(gates.host(ip)->allowance.sessions() == 10);
  CHECK(site->allowance.sessions() == 10);
}

// One sender's address that was put off cut the sessions that leave from another one.
TEST_CASE("MX-27: what a host tells one address of ours cuts no session that leaves from another") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  const Ip ours = Ip::parse("192.0.2.77").value();
  const auto used = gates.use(gates.host(ip)), used_too = gates.use(gates.host(ip, ours));
  gates.refused({gates.site("mx.example from 192.0.2.77", {}), ip, "421 4.7.0 deferred", ours});
  CHECK(gates.host(ip, ours)->allowance.sessions() == 1);
  CHECK(gates.host(ip)->allowance.sessions() == 20);
  CHECK(gates.host(ip) != gates.host(ip, ours));
}

TEST_CASE("MX-27: a host's limit is cut and grown with a line each, and every line says what it was") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  const SitePtr site = gates.site("mx.example", {});
  std::vector<Gates::UsePtr> uses;
  for (int i = 0; i < 5; ++i) uses.push_back(gates.use(gates.host(ip)));
  gates.refused({site, ip, "421 4.7.0 too many"});
  REQUIRE(log.events("throttled").size() == 1);
  const Event cut = log.events("throttled").front();
  CHECK(cut.get("site") == "mx.example");
  CHECK(cut.get("ip") == "192.0.2.1");
  CHECK(cut.get("sessions") == "5");
  CHECK(cut.get("was") == "20");
  CHECK(cut.get("reply") == "421 4.7.0 too many");
  CHECK(gates.host(ip)->is_full());
  uses.pop_back();
  CHECK_FALSE(gates.host(ip)->is_full());
  CHECK(gates.cuts() == 1);
}

TEST_CASE(
    "MX-27: what a provider tells all sessions at once, that it is too fast, costs a quarter of them, not all but "
    "one") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  const SitePtr site = gates.site("mx.example", {});
  std::vector<Gates::UsePtr> uses;
  for (int i = 0; i < 20; ++i) uses.push_back(gates.use(gates.host(ip)));
  for (int i = 0; i < 20; ++i) gates.too_fast({site, ip, "451 4.7.500 Server busy"});
  CHECK(gates.host(ip)->allowance.sessions() == 15);
  CHECK(site->allowance.sessions() == 15);
  CHECK(log.events("throttled").size() == 1);
  CHECK(gates.cuts() == 1);
}

TEST_CASE("destinations wait at a full site without a worker, and come back as places come free") {
  support::MemoryLog log;
  Gates gates(log);
  ConcurrencyLimits limits(gates);
  limits.limit(200, 20);
  gates.limit(200, 20);
  route::Limits two;
  two.sessions = 2;
  const SitePtr site = gates.site("mx.example", two);
  for (int i = 0; i < 5; ++i) {
    const std::string name = "d" + std::to_string(i) + ".example";
    gates.proven(name);
    gates.belongs(name, site);
  }
  std::vector<Gates::UsePtr> uses;
  for (int i = 0; i < 5; ++i) limits.add(ready("d" + std::to_string(i) + ".example"));
  limits.add(ready("other.example"));
  std::vector<std::string> got;
  while (const ActiveDestinationPtr one = limits.next()) {
    got.push_back(one->name);
    if (one->name != "other.example") uses.push_back(gates.use(site));
    limits.worker_came(*one);
  }
  CHECK(got == std::vector<std::string>{"d0.example", "d1.example", "other.example"});
  CHECK(limits.waiting() == 0);  // so that others are looked for
  CHECK(gates.parked_count() == 3);
  CHECK(limits.add(ready("d2.example")));  // it waits already
  CHECK(limits.waiting() == 0);
  uses.pop_back();
  const ActiveDestinationPtr next = limits.next();
  REQUIRE(next);
  CHECK(next->name == "d2.example");
}

// Two sites and forty destinations whose workers end in every way there is, in random order.
TEST_CASE(
    "MX-27: whoever asked first goes first, what is given back untried keeps its place, and all have their turn") {
  struct Model {
    std::map<std::string, int> asked;  // of those that wait: when
    std::map<std::string, int> had;    // of those that have a worker
    std::map<std::string, Gates::UsePtr> uses;
    std::map<std::string, int> turns;
    int clock = 0;
  };
  for (unsigned seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    support::MemoryLog log;
    Gates gates(log);
    ConcurrencyLimits limits(gates);
    limits.limit(7, 20);
    gates.limit(7, 20);
    route::Limits few;
    few.sessions = 3;
    std::map<std::string, SitePtr> sites;
    Model model;
    std::map<std::string, ActiveDestinationPtr> active;
    for (int i = 0; i < 40; ++i) {
      const std::string name = "d" + std::to_string(i) + ".example";
      sites[name] = gates.site(i % 2 == 0 ? "even" : "odd", few);
      gates.proven(name);
      gates.belongs(name, sites[name]);
      REQUIRE(limits.add(ready(name)));
      model.asked[name] = ++model.clock;
    }
    const auto begin = [&] {
      while (const ActiveDestinationPtr one = limits.next()) {
        const int place = model.asked.at(one->name);
        for (const auto& [name, asked] : model.asked) {
          CAPTURE(one->name);
          CAPTURE(name);
          if (sites[name] == sites[one->name]) CHECK(place <= asked);
        }
        model.had[one->name] = place;
        model.asked.erase(one->name);
        model.uses[one->name] = gates.use(sites[one->name]);
        one->site = sites[one->name];
        limits.worker_came(*one);
        active[one->name] = one;
      }
    };
    begin();
    for (int step = 0; step < 400; ++step) {
      REQUIRE_FALSE(active.empty());
      auto at = active.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random() % active.size()));
      const ActiveDestinationPtr one = at->second;
      active.erase(at);
      model.uses.erase(one->name);
      REQUIRE(limits.worker_left(*one));
      Waiting again;
      again.destination = one->name;
      if (random() % 3 == 0) {  // there was no room at the host
        again.place = one->place;
        model.asked[one->name] = model.had.at(one->name);
        const bool parks = random() % 2 == 0;
        const bool waits = parks ? limits.park(one->site, std::move(again)) : limits.add(std::move(again));
        REQUIRE(waits);
      } else {  // it had its turn, and has more mail
        ++model.turns[one->name];
        model.asked[one->name] = ++model.clock;
        REQUIRE(limits.add(std::move(again)));
      }
      begin();
    }
    for (const auto& [name, site] : sites) {
      CAPTURE(name);
      CHECK(model.turns[name] >= 3);
    }
  }
}

TEST_CASE("a destination that has workers takes no more while others wait at its site, also when the limit has grown") {
  support::MemoryLog log;
  Gates gates(log);
  ConcurrencyLimits limits(gates);
  limits.limit(200, 20);
  gates.limit(200, 20);
  const SitePtr site = gates.site("mx.example", {});
  site->allowance.fit(1);
  for (const char* name : {"busy.example", "waits.example"}) {
    gates.proven(name);
    gates.belongs(name, site);
    limits.add(ready(name));
  }
  const ActiveDestinationPtr busy = limits.next();
  REQUIRE(busy);
  busy->site = site;
  busy->connected = 1;
  const auto use = gates.use(site);
  limits.worker_came(*busy);
  CHECK_FALSE(limits.next());
  CHECK(gates.parked_count() == 1);
  CHECK_FALSE(gates.has_room());
  gates.took({site, std::nullopt, ""});
  CHECK(site->allowance.sessions() == 2);
  CHECK(gates.has_room());
  CHECK_FALSE(limits.may_grow(*busy));
  const ActiveDestinationPtr next = limits.next();
  REQUIRE(next);
  CHECK(next->name == "waits.example");
}

TEST_CASE("names of one owner that never worked take a tenth of the sessions; those that work are not counted") {
  support::MemoryLog log;
  Gates gates(log);
  ConcurrencyLimits limits(gates);
  limits.limit(100, 20);
  gates.limit(100, 20);
  for (int i = 0; i < 300; ++i) limits.add(ready("w" + std::to_string(i) + ".hostile.example"));
  limits.add(ready("good.example"));
  std::vector<Gates::UsePtr> uses;
  std::size_t hostile = 0;
  bool good = false;
  while (const ActiveDestinationPtr one = limits.next()) {
    for (GatePtr& gate : gates.for_unproven(one->name)) uses.push_back(gates.use(gate));
    limits.worker_came(*one);
    good = good || one->name == "good.example";
    if (one->name != "good.example") ++hostile;
  }
  CHECK(good);
  CHECK(hostile == 10);
}

TEST_CASE("three quarters of the sessions at most are for destinations that never worked") {
  support::MemoryLog log;
  Gates gates(log);
  ConcurrencyLimits limits(gates);
  limits.limit(100, 20);
  gates.limit(100, 20);
  for (int i = 0; i < 300; ++i) limits.add(ready("hostile" + std::to_string(i) + ".example"));
  gates.proven("good.example");
  std::vector<Gates::UsePtr> uses;
  std::size_t workers = 0;
  while (const ActiveDestinationPtr one = limits.next()) {
    for (GatePtr& gate : gates.for_unproven(one->name)) uses.push_back(gates.use(gate));
    limits.worker_came(*one);
    ++workers;
  }
  CHECK(workers == 75);
  limits.add(ready("good.example"));
  const ActiveDestinationPtr good = limits.next();
  REQUIRE(good);
  CHECK(good->name == "good.example");
}

// The first who worked held all workers, idle, and the others stood at the gate of those that have not worked yet: for idle_session, five
// seconds by default, nothing was delivered to anybody.
TEST_CASE("idle sessions give way to destinations that waited at a gate and for whom there is room by now") {
  support::MemoryLog log;
  Gates gates(log);
  ConcurrencyLimits limits(gates);
  limits.limit(8, 20);
  gates.limit(8, 20);
  for (int i = 0; i < 20; ++i) limits.add(ready("d" + std::to_string(i) + ".example"));
  std::vector<ActiveDestinationPtr> active;
  std::map<std::string, std::vector<Gates::UsePtr>> trials;
  const auto begin = [&] {
    while (const ActiveDestinationPtr one = limits.next()) {
      for (GatePtr& gate : gates.for_unproven(one->name)) trials[one->name].push_back(gates.use(gate));
      limits.worker_came(*one);
      active.push_back(one);
    }
  };
  begin();
  CHECK(active.size() == 6);  // three quarters
  for (std::size_t i = 0; i < active.size();
       ++i) {  // each delivers its mail, and lets another one in, until all workers are taken
    gates.proven(active[i]->name);
    trials[active[i]->name].clear();
    begin();
  }
  REQUIRE(active.size() == 8);
  CHECK(limits.is_full());
  CHECK(gates.parked_count() > 0);
  std::vector<IdleWorker> idle(active.size());
  for (std::size_t i = 0; i < idle.size(); ++i) {
    idle[i].at = active[i].get();
    idle[i].since = t0;
    limits.idle_begins(idle[i]);
  }
  for (IdleWorker& worker : idle) {
    begin();
    if (!limits.is_full()) break;
    limits.evict_idle(t0 + 1s);
    REQUIRE(worker.evicted);
    limits.evicted_left();
    limits.worker_left(*worker.at);
  }
  CHECK(active.size() == 14);  // six more that have not worked; the other places are for those that have
  CHECK_FALSE(idle.back().evicted);
  limits.idle_ends(idle.back());
}

TEST_CASE("the owner of a name") {
  CHECK(owner_of("example.org") == "example.org");
  CHECK(owner_of("a.b.example.org") == "example.org");
  CHECK(owner_of("a.example.co.uk") == "example.co.uk");
  CHECK(owner_of("example.co.uk") == "example.co.uk");
  CHECK(owner_of("org") == "org");
}

TEST_CASE("10,000 sites take little memory, and what is idle is forgotten") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  for (int i = 0; i < 60'000; ++i) {
    const std::string name = "d" + std::to_string(i) + ".example";
    gates.belongs(name, gates.site("mx." + name, {}));
    gates.host(Ip::parse("10." + std::to_string(i >> 16) + "." + std::to_string((i >> 8) & 255) + "." +
                         std::to_string(i & 255))
                   .value());
    gates.for_unproven(name);
  }
  CHECK(gates.sites_known() <= 20'000);
}

// Each of a site's three gates had an empty deque of half a KiB: 20 MiB for nothing.
TEST_CASE("a site with a host and a domain of its own takes less than 2.2 KiB") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  constexpr std::size_t sites = 10'000;
  const std::size_t before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < sites; ++i) {
    const std::string name = "d" + std::to_string(i) + ".example";
    gates.belongs(name, gates.site("mx." + name, {}));
    gates.host(Ip::parse("10.0." + std::to_string(i >> 8) + "." + std::to_string(i & 255)).value());
    gates.for_unproven(name);
  }
  CHECK(gates.sites_known() == sites);
  CHECK((mallinfo2().uordblks - before) / sites < 2200);
}

// An hour's turn went on for an hour after a SIGHUP had raised the rate, or taken the route away.
TEST_CASE("a rate that is raised, lowered or removed counts from the last message on, and who waits asks again") {
  support::MemoryLog log;
  Gates gates(log);
  gates.limit(200, 20);
  route::Limits limits;
  limits.rate = route::Rate{1, 3600s};
  const SitePtr site = gates.site("route:a", limits);
  for (const char* name : {"a.example", "b.example"}) {
    gates.proven(name);
    gates.belongs(name, site);
  }
  const auto now = Gates::Clock::now();
  CHECK(site->take_turn(now));
  CHECK(gates.closed_to("a.example") == site);
  limits.rate = route::Rate{1, 1s};
  gates.site("route:a", limits);
  CHECK_FALSE(site->take_turn(now + 900ms));
  CHECK(site->take_turn(now + 1s));
  limits.rate = route::Rate{1, 3600s};
  gates.site("route:a", limits);
  CHECK_FALSE(site->take_turn(now + 2s));
  limits.rate.reset();
  gates.site("route:a", limits);
  CHECK_FALSE(gates.closed_to("a.example"));

  limits.rate = route::Rate{1, 3600s};
  gates.site("route:a", limits);
  Waiting second, first;
  second.destination = "b.example";
  second.place = 2;
  first.destination = "a.example";
  first.place = 1;
  CHECK(gates.park(site, second));
  CHECK(gates.park(site, first));
  CHECK(gates.take_ready().empty());
  gates.reopen();
  CHECK_FALSE(gates.closed_to("a.example"));  // whose rules may be others
  const auto ready = gates.take_ready();
  REQUIRE(ready.size() == 2);
  CHECK(ready.front().destination == "a.example");
  CHECK(gates.parked_count() == 0);
  CHECK_FALSE(gates.is_parked("b.example"));
  CHECK_FALSE(site->take_turn(now + 2s));  // the rate is what it was
}

TEST_CASE("a rate lets messages through one by one in its time") {
  Site site(5);
  site.rate = route::Rate{100, 60s};
  CHECK(site.take_turn(t0));
  CHECK_FALSE(site.take_turn(t0 + 500ms));
  CHECK(site.take_turn(t0 + 600ms));
  CHECK(site.is_closed(t0 + 601ms));
  CHECK_FALSE(site.is_closed(t0 + 1200ms));
}

TEST_CASE(
    "MX-26: attempts hours apart go on behind what was tried; where mail goes, better hosts are asked again soon") {
  Rotation rotation;
  Rotation::Seen seen;
  seen.in_vain = {{"mx1:25", ip}};
  seen.hosts_through = {"mx1:25"};
  rotation.note("a", seen, t0);
  CHECK(rotation.is_behind("a", "mx1:25", t0 + 5h));  // retry.max is 4 h
  Rotation::Seen good;
  good.good = "mx9:25";
  for (int i = 0; i < 9; ++i) rotation.note("a", good, t0 + 5h + std::chrono::minutes(i));  // much mail
  CHECK(rotation.is_behind("a", "mx1:25", t0 + 5h + 9min));
  CHECK_FALSE(rotation.is_behind("a", "mx1:25", t0 + 5h + 10min));
}

TEST_CASE("MX-26: attempts go on behind what was tried in vain, for ten minutes, and know who worked") {
  Rotation rotation;
  Rotation::Seen seen;
  seen.in_vain = {{"mx1:25", ip}, {"mx2:25", ip}};
  seen.hosts_through = {"mx1:25"};
  rotation.note("a", seen, t0);
  CHECK(rotation.is_behind("a", "mx1:25", t0));
  CHECK_FALSE(rotation.is_behind("a", "mx2:25", t0));
  CHECK(rotation.was_tried("a", {"mx2:25", ip}, t0));
  CHECK_FALSE(rotation.was_tried("a", {"mx2:25", ip6}, t0));
  CHECK_FALSE(rotation.was_tried("a", {"mx1:25", ip}, t0));  // once its turn comes again, all of it
  CHECK_FALSE(rotation.is_behind("b", "mx1:25", t0));
  Rotation::Seen good;
  good.good = "mx9:25";
  rotation.note("a", good, t0);
  CHECK_FALSE(rotation.is_behind("a", "mx1:25", t0 + 11min));
  CHECK(rotation.good("a") == "mx9:25");
  rotation.start_over("a");
  CHECK_FALSE(rotation.knows("a"));
  for (int i = 0; i < 10'000; ++i) rotation.note("d" + std::to_string(i), seen, t0);
  CHECK(rotation.size() <= 4096);
}

TEST_CASE("MX-26: of more destinations than fit, the one that was noted longest ago is forgotten, whatever its name") {
  Rotation rotation;
  Rotation::Seen seen;
  seen.hosts_through = {"mx1:25"};
  rotation.note("b", seen, t0);
  rotation.note("a", seen, t0);
  for (int i = 0; i < 4095; ++i) rotation.note("d" + std::to_string(i), seen, t0);
  CHECK(rotation.knows("a"));
  CHECK_FALSE(rotation.knows("b"));
  rotation.note("a", seen, t0);
  for (int i = 0; i < 4000; ++i) rotation.note("e" + std::to_string(i), seen, t0);
  CHECK(rotation.is_behind("a", "mx1:25", t0));
  CHECK_FALSE(rotation.knows("d0"));
}

TEST_CASE("a family that failed lately goes second: at that host, and after three hosts everywhere") {
  Families families;
  const std::vector<Ip> both{ip6, ip};
  CHECK(families.ordered("mx1", both, t0) == both);
  families.failed("mx1", ip6, t0);
  CHECK(families.ordered("mx1", both, t0) == std::vector<Ip>{ip, ip6});
  CHECK(families.ordered("mx2", both, t0) == both);
  families.failed("mx2", ip6, t0);
  families.failed("mx3", ip6, t0);
  CHECK(families.ordered("mx4", both, t0) == std::vector<Ip>{ip, ip6});
  CHECK(families.ordered("mx4", both, t0 + 11min) == both);
  families.worked("mx4", ip6);
  CHECK(families.ordered("mx4", both, t0) == both);
  families.failed("mx1", ip, t0);
  CHECK(families.ordered("mx1", both, t0) == both);  // no better choice
}

TEST_CASE("a family that fails at one domain's hosts, however many, goes second at those alone") {
  Families families;
  const std::vector<Ip> both{ip6, ip};
  for (int i = 0; i < 50; ++i) families.failed("mx" + std::to_string(i) + ".dead.example", ip6, t0);
  CHECK(families.ordered("mx7.dead.example", both, t0) == std::vector<Ip>{ip, ip6});
  CHECK(families.ordered("mx.other.example", both, t0) == both);
  families.failed("mx.b.example", ip6, t0);
  CHECK(families.ordered("mx.other.example", both, t0) == both);
  families.failed("mx.c.example", ip6, t0);
  CHECK(families.ordered("mx.other.example", both, t0) == std::vector<Ip>{ip, ip6});
}

TEST_CASE("the words of big receivers") {
  CHECK(speaks_of_load("451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77713120)"));
  CHECK(speaks_of_load("421 4.7.28 Our system has detected an unusual rate of unsolicited mail"));
  CHECK(speaks_of_load("421 4.7.0 too many connections"));
  CHECK_FALSE(speaks_of_load("451 4.3.0 corporate policy"));
  CHECK_FALSE(speaks_of_load("450 4.2.0 greylisted"));
  CHECK_FALSE(speaks_of_load("450 4.2.1 mailbox busy, try again later"));  // RFC 5321's own words
  CHECK_FALSE(speaks_of_load("452 4.2.2 mailbox full, too many messages"));
  CHECK(speaks_of_load("451 too many messages, slow down"));
  CHECK(speaks_of_load_at_rcpt("451 4.7.500 Server busy"));
  CHECK(speaks_of_load_at_rcpt("450 4.7.1 too many messages from 192.0.2.1"));
  CHECK(speaks_of_load_at_rcpt("451 4.3.2 system not accepting network messages"));
  CHECK_FALSE(speaks_of_load_at_rcpt("451 too many messages"));  // for whom?
  CHECK_FALSE(speaks_of_load_at_rcpt("450 4.2.1 mailbox busy"));
  CHECK_FALSE(speaks_of_load_at_rcpt("450 4.7.1 greylisted"));
  CHECK_FALSE(speaks_of_load_at_rcpt("451"));
  CHECK(names_system("451 4.7.500 Server busy"));
  CHECK(names_system("421 too many messages"));
  CHECK_FALSE(names_system("450 4.7.1 too many messages from this sender"));
  CHECK(names_public_list("550 5.7.1 blocked using zen.spamhaus.org"));
  CHECK(names_public_list("550 5.7.606 Access denied, banned sending IP"));
  CHECK_FALSE(names_public_list("550 5.7.1 you are on this recipient's personal block list"));
  CHECK_FALSE(names_public_list("550 5.7.1 this tenant's block list refuses you"));
  CHECK_FALSE(speaks_of_load("450 4.2.1 <busy.bee@dest.test>: mailbox is locked"));
  CHECK_FALSE(speaks_of_load("450 4.2.1 busy.bee@dest.test: mailbox is locked"));
  CHECK_FALSE(speaks_of_reputation("550 5.7.1 <spamhaus@dest.test>: relaying denied"));
  CHECK(retry_class_of(hop::Reason::smtp_reply, "450 4.2.1 <greylist@dest.test>: mailbox is locked") ==
        RetryClass::reply);
  CHECK(speaks_of_reputation("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"));
  CHECK(speaks_of_reputation("550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using Spamhaus"));
  CHECK(speaks_of_reputation("550 5.7.1 your IP has a poor reputation"));
  CHECK_FALSE(speaks_of_reputation("550 5.7.1 relaying denied"));
  CHECK_FALSE(speaks_of_reputation("550 5.1.1 no such user on our blocklist team"));
  CHECK(is_about_our_address("550 5.7.25 The IP address sending this message does not have a PTR record"));
  CHECK(is_about_our_address("550-5.7.1 does not meet IPv6 sending guidelines regarding PTR records"));
  CHECK(is_about_our_address("550 5.7.25 Client host rejected: cannot find your hostname, [2001:db8::1]"));
  CHECK(is_about_our_address("550 5.7.1 <ann@a.example>: Recipient address rejected: no PTR record"));
  CHECK_FALSE(is_about_our_address("550 5.1.1 no such user"));
  CHECK_FALSE(is_about_our_address("550 5.1.1 <ptr-team@ipv6.example>: user unknown (<rdns@a.example>)"));
  CHECK_FALSE(is_about_our_address("550 5.1.1 scriptrunner: user unknown"));
  CHECK_FALSE(is_about_our_address("550 5.1.1 no such user (client [IPv6:2001:db8::1], [IPv6:2001:db8::2])"));
}

// One recipient at whom every session was ended, and a sender of its own for each message: one entry more for each, for ever.
TEST_CASE("MX-27: what is remembered of sessions that were cut off is bounded, whatever the senders are called") {
  Site::CutOff cut;
  std::size_t most = 0;
  for (int i = 0; i < 5000; ++i) {
    store::Envelope from;
    from.sender = "bounce-" + std::to_string(i) + "@app.example";
    cut.add(1, "a.example", from);
    most = std::max({most, cut.senders.size(), cut.whom.size()});
  }
  CHECK(most <= 256);
}

}  // namespace delivery_gates_test
