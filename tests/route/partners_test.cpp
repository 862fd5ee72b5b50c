// SPDX-License-Identifier: Apache-2.0
// Partners: stored before they count, whole or not at all, read again at a start; and what they make of a route's rule.
#include <doctest/doctest.h>

#include "route/table.h"
#include "store_sqlite/partners.h"
#include "tests/route/partners_world.h"

namespace route_partners_test {

using namespace hoplock;
using namespace hoplock::route;
using namespace hoplock::route::partners_test;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;
using partners::Entry;
using partners::Order;
using partners::Rule;

TEST_CASE("Partners: what was ordered counts at once, survives a restart, and is told with who and why") {
  PartnersWorld world;
  CHECK(world.order({put(made("contoso.com")), put(made("*.contoso.com", Rule::dane))}).changed == 2);
  CHECK(world.last_changed == 2);
  CHECK(world.terms("contoso.com").mandate->level == hop::Mandate::dane);
  CHECK(world.terms("contoso.com").mandate->by == "ann");
  CHECK(world.terms("x.contoso.com").dane->until == this_day + partners::longest_exception);
  world.restart();
  CHECK(world.terms("contoso.com").mandate->note == "ticket 4711");
  CHECK(world.listed() == std::vector<std::string>{"*.contoso.com dane", "contoso.com dane"});
  const auto events = world.log.events("partner");
  REQUIRE(events.size() == 2);
  CHECK(events[0].get("domain") == "contoso.com");
  CHECK(events[0].get("action") == "required");
  CHECK(events[0].get("level") == "dane");
  CHECK(events[0].get("by") == "ann");
  CHECK(events[1].get("action") == "excepted");
  CHECK(events[1].get("until") == partners::to_text(this_day + partners::longest_exception));
}

TEST_CASE(
    "Partners: the same again changes nothing, a removal takes what it names, and one of nothing is told as such") {
  PartnersWorld world;
  world.order(
      {put(made("contoso.com")), put(made("contoso.com", Rule::dane)), put(made("contoso.com", Rule::mta_sts))});
  const int before = world.followed;
  const auto again = world.order({put(made("contoso.com"))});
  CHECK(again.changed == 0);
  CHECK(again.unchanged == 1);
  CHECK(world.followed == before);
  CHECK(world.order({removal("contoso.com", Rule::dane)}).changed == 1);
  CHECK(world.terms("contoso.com").dane == nullptr);
  CHECK(world.terms("contoso.com").mandate != nullptr);
  CHECK(world.order({removal("contoso.com")}).changed == 2);
  CHECK(world.order({removal("contoso.com")}).changed == 0);
  world.restart();
  CHECK_FALSE(world.terms("contoso.com").any());
}

TEST_CASE("Partners: a removal is told with why it was ordered, or else with what had been noted") {
  PartnersWorld world;
  world.order({put(made("a.example")), put(made("b.example"))});
  Order why = removal("a.example");
  why.entry.note = "they  mended\tit";
  world.order({why, removal("b.example")});
  std::vector<std::string> notes;
  for (const Event& event : world.log.events("partner"))
    if (event.get("action") == "removed") notes.emplace_back(event.get("note"));
  CHECK(notes == std::vector<std::string>{"they mended it", "ticket 4711"});
  why.entry.note = "\x1b[31m";
  world.order({put(made("a.example"))});
  CHECK_FALSE(world.order({why}).refused.empty());
  CHECK(world.terms("a.example").any());
}

TEST_CASE("Partners: orders are carried out all or none") {
  PartnersWorld world;
  Entry late = made("b.example", Rule::dane);
  late.until = this_day + std::chrono::days(91);
  const auto done = world.order({put(made("a.example")), put(late)});
  CHECK(done.refused.find("an exception may last 90 days") == 0);
  CHECK(done.changed == 0);
  CHECK_FALSE(world.terms("a.example").any());
  CHECK(world.listed().empty());
}

TEST_CASE("Partners: rows of an import that did not come to its end never count, and are gone before the next one") {
  PartnersWorld world;
  world.order({put(made("a.example"))});
  world.write([](disk::Tx& tx) {
    for (int i = 0; i < 1000; ++i) {
      Entry entry = made("torn" + std::to_string(i) + ".example");
      put_partner(tx, entry, committed_batch(tx) + 1);
    }
    put_partner(tx, made("a.example", Rule::mandate, hop::Mandate::encrypt), committed_batch(tx) + 1);
  });
  world.restart();
  CHECK(world.listed() == std::vector<std::string>{"a.example dane"});
  CHECK(world.in_force->size() == 1);
  world.order({put(made("b.example"))});
  world.restart();
  CHECK(world.listed() == std::vector<std::string>{"a.example dane", "b.example dane"});
}

TEST_CASE("PartnerReader: what counts for a domain is found, of all rules and of the domains above it") {
  PartnersWorld world;
  world.order({put(made("sub.contoso.com")), put(made("sub.contoso.com", Rule::dane)),
               put(made("sub.contoso.com", Rule::mta_sts)), put(made("*.contoso.com", Rule::dane)),
               put(made("other.example"))});
  auto reader = SqlitePartnerReader::open(world.disk->path()).value();
  CHECK(reader.find(named("sub.contoso.com")).value().size() == 4);
  CHECK(reader.find(partners::parse_domain("sub.contoso.com").value()).value().size() == 3);
  CHECK(reader.find(partners::parse_domain("*.contoso.com").value()).value().size() == 1);
  CHECK(reader.find(named("contoso.com")).value().empty());
}

TEST_CASE("Partners: a later batch counts where an earlier one's row is still there") {
  PartnersWorld world;
  world.order({put(made("a.example"))});
  world.write([](disk::Tx& tx) {
    const PartnerBatch next = committed_batch(tx) + 1;
    put_partner(tx, made("a.example", Rule::mandate, hop::Mandate::encrypt), next);
    commit_batch(tx, next);
  });
  world.restart();
  CHECK(world.terms("a.example").mandate->level == hop::Mandate::encrypt);
  CHECK(world.listed() == std::vector<std::string>{"a.example encrypt"});
}

TEST_CASE("Partners: a row that nobody can read lets no daemon start") {
  PartnersWorld world;
  world.order({put(made("a.example"))});
  world.write([](disk::Tx& tx) { tx.prepare("UPDATE partner SET level = 99").run(); });
  Partners other(*world.kept, world.log);
  const auto loaded = world.loop.run(other.load());
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().code == errc::bad_message);
  CHECK(loaded.error().detail.find("a.example") != std::string::npos);
}

TEST_CASE(
    "Partners: what has ended counts no more and is told once, also when it ended while nobody ran; the last week is "
    "told") {
  PartnersWorld world;
  Entry soon = made("soon.example", Rule::dane);
  soon.until = this_day + std::chrono::days(6);
  Entry later = made("later.example", Rule::dane);
  later.until = this_day + std::chrono::days(7);
  world.order({put(made("a.example", Rule::dane)), put(soon), put(later), put(made("b.example"))});
  const auto yesterday = (this_day - std::chrono::days(1)).time_since_epoch().count();
  world.write([yesterday](disk::Tx& tx) {
    tx.prepare("UPDATE partner SET until = ?1 WHERE domain = 'a.example'").bind(yesterday).run();
  });
  world.restart();
  CHECK_FALSE(world.terms("a.example").any());
  const auto warned_times = [&world](std::size_t times) {
    world.watch_until([&world, times] { return world.log.events("partner-ends").size() >= times; });
  };
  warned_times(1);
  world.restart();
  warned_times(2);
  std::vector<std::string> ended;
  for (const auto& event : world.log.events("partner"))
    if (event.get("action") == "ended") ended.emplace_back(event.get("domain"));
  CHECK(ended == std::vector<std::string>{"a.example"});
  const auto warned = world.log.events("partner-ends");
  REQUIRE(warned.size() == 2);  // once each start
  CHECK(warned[0].get("domain") == "soon.example");
  CHECK(warned[0].get("days") == "7");
  CHECK(world.order({put(made("a.example", Rule::dane))}).changed == 1);
  CHECK(world.terms("a.example").dane != nullptr);
}

TEST_CASE(
    "Partners: a clock that was set back brings no exception back that has ended, and every mandate, told again") {
  PartnersWorld world;
  Entry mandate = made("m.example"), exception = made("e.example", Rule::dane);
  mandate.until = exception.until = this_day + std::chrono::days(2);
  world.order({put(mandate), put(exception)});
  world.at = now_here + std::chrono::days(5);
  world.watch_until_followed();
  CHECK(world.told("ended") == std::vector<std::string>{"e.example", "m.example"});
  world.at = now_here;
  CHECK(world.terms("e.example").dane == nullptr);
  CHECK(world.terms("m.example").mandate != nullptr);
  const int before = world.followed;
  world.watch_until_followed();
  CHECK(world.followed == before + 1);
  CHECK(world.told("required") == std::vector<std::string>{"m.example", "m.example"});
  world.restart();
  world.watch(std::chrono::milliseconds(100));
  CHECK(world.terms("e.example").dane == nullptr);
  CHECK(world.terms("m.example").mandate != nullptr);
  world.at = now_here + std::chrono::days(3);
  world.watch_until_followed();
  CHECK(world.told("ended").size() == 3);
  world.at = now_here;  // the same exception, set anew: it counts
  CHECK(world.order({put(exception)}).changed == 1);
  CHECK(world.terms("e.example").dane != nullptr);
}

TEST_CASE("Partners: what was stored and not told of when the daemon was killed is told of at the next start, once") {
  PartnersWorld world;
  world.order({put(made("a.example")), put(made("b.example"))});
  world.write([](disk::Tx& tx) {
    const PartnerBatch next = committed_batch(tx) + 1;
    put_partner(tx, made("a.example"), next, PartnerRow::gone);
    put_partner(tx, made("c.example", Rule::mandate, hop::Mandate::encrypt), next);
    commit_batch(tx, next);
  });
  world.restart();
  CHECK(world.listed() == std::vector<std::string>{"b.example dane", "c.example encrypt"});
  CHECK_FALSE(world.terms("a.example").any());
  CHECK(world.told("removed").empty());
  world.watch_until_followed();
  CHECK(world.told("removed") == std::vector<std::string>{"a.example"});
  CHECK(world.told("required") == std::vector<std::string>{"a.example", "b.example", "c.example"});
  CHECK(world.all_changed);
  world.restart();
  world.watch(std::chrono::milliseconds(100));
  CHECK(world.log.events("partner").size() == 4);
  world.order({put(made("a.example")), removal("b.example")});
  world.restart();
  CHECK(world.listed() == std::vector<std::string>{"a.example dane", "c.example encrypt"});
}

TEST_CASE("Partners: less than what counted until now is told with that, also where it counted for all subdomains") {
  PartnersWorld world;
  const auto first =
      world.order({put(made("contoso.com")), put(made("*.contoso.com", Rule::mandate, hop::Mandate::verify))});
  CHECK(first.before.empty());
  const auto lower = world.order({put(made("contoso.com", Rule::mandate, hop::Mandate::encrypt))});
  CHECK(lower.before == "partner, dane required: ticket 4711");
  world.order({put(made("x.contoso.com", Rule::mandate, hop::Mandate::encrypt))});
  const auto events = world.log.events("partner");
  REQUIRE(events.size() == 4);
  CHECK(events[1].get("was") == "");
  CHECK(events[2].get("was") == "dane");
  CHECK(events[3].get("was") == "verify");
}

TEST_CASE("Partners: 100,000 exceptions that end at the same moment keep no step of the loop long") {
  PartnersWorld world;
  std::vector<Order> orders;
  for (int i = 0; i < 100'000; ++i) {
    Entry entry = made("partner" + std::to_string(i) + ".example", Rule::dane);
    entry.until = this_day + std::chrono::days(1);
    orders.push_back(put(std::move(entry)));
  }
  world.order(std::move(orders));
  world.at = now_here + std::chrono::days(3);
  support::LongestStep steps;
  const auto ended = [](PartnersWorld& of) -> boost::asio::awaitable<int> {
    net::TaskGroup tasks(of.loop.executor(), of.log);
    tasks.spawn("partners", of.service->watch());
    const int before = of.followed;
    while (of.followed == before) co_await PartnersWorld::pause(std::chrono::milliseconds(5));
    tasks.stop();
    co_await tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds{5});
    co_return 0;
  };
  world.loop.run(steps.beside(ended(world)));
  CHECK(world.told("ended").size() == 100'000);
  MESSAGE("the longest step: " << steps.longest().count() << " ms");
  CHECK(steps.longest() < slower * std::chrono::milliseconds(50));
}

TEST_CASE("Table: exceptions that let mail pass are told apart from those that a route leaves without effect") {
  auto book = std::make_shared<partners::Book>();
  for (const char* domain : {"free.example", "strict.example", "hosts.example"}) {
    Entry dane = made(domain, Rule::dane), sts = made(domain, Rule::mta_sts);
    dane.until = sts.until = this_day;
    book->put(dane);
    book->put(sts);
  }
  Route strict, hosts;
  strict.match = {dns::parse_pattern("strict.example").value()};
  strict.dane = hop::Mode::enforce;
  hosts.match = {dns::parse_pattern("hosts.example").value()};
  hosts.hosts = {{named("mx.hosts.example"), 25}};
  const Table table({strict, hosts}, {}, book);
  CHECK(table.loosening(named("free.example"), now_here).dane);
  CHECK(table.loosening(named("free.example"), now_here).mta_sts);
  CHECK_FALSE(table.loosening(named("strict.example"), now_here).dane);
  CHECK(table.loosening(named("strict.example"), now_here).mta_sts);
  CHECK_FALSE(table.loosening(named("hosts.example"), now_here).any());
  hop::LocalRule lax;
  lax.dane = lax.mta_sts = hop::Mode::audit;
  CHECK_FALSE(Table({}, lax, book).loosening(named("free.example"), now_here).any());
  book->put(made("hosts.example"));
  CHECK(Table({hosts}, {}, book).loosening(named("hosts.example"), now_here).dane);
}

TEST_CASE("Table: domains of one route with hosts share a destination only under the same mandate") {
  Route hosts;
  hosts.match = {dns::parse_pattern("*").value()};
  hosts.hosts = {NextHop{named("smarthost.example"), 25}};
  auto book = std::make_shared<partners::Book>();
  book->put(made("bank.example", Rule::mandate, hop::Mandate::verify));
  book->put(made("clinic.example", Rule::mandate, hop::Mandate::verify));
  book->put(made("ends.example", Rule::mandate, hop::Mandate::dane));
  book->put(made("ends.example", Rule::dane));
  const Table table({hosts}, {}, book);
  const auto to = [&table](const char* domain) { return table.destination(named(domain), now_here); };
  CHECK(to("free.example") == "route:smarthost.example:25");
  CHECK(to("bank.example") == "route:smarthost.example:25+verify");
  CHECK(to("clinic.example") == to("bank.example"));
  CHECK(to("ends.example") == "route:smarthost.example:25+dane-audit");
  for (const char* one : {"free.example", "bank.example", "ends.example"}) {
    CHECK(route::has_hosts(to(one)));
    CHECK(route::next_hop(to(one)) == "smarthost.example:25");
  }
  CHECK(Table({}, {}, book).destination(named("bank.example"), now_here) == "bank.example");
}

TEST_CASE("Table: a mandate is laid over what a route says, an exception loosens what the route leaves open") {
  auto book = std::make_shared<partners::Book>();
  for (const char* domain : {"free.example", "silent.example", "strict.example", "loose.example"}) {
    book->put(made(domain));
    Entry dane = made(domain, Rule::dane), sts = made(domain, Rule::mta_sts);
    dane.until = sts.until = this_day;
    book->put(dane);
    book->put(sts);
  }
  Route silent, strict, loose;
  silent.match = {dns::parse_pattern("silent.example").value()};
  silent.note = "of the route";
  strict.match = {dns::parse_pattern("strict.example").value()};
  strict.dane = strict.mta_sts = hop::Mode::enforce;
  loose.match = {dns::parse_pattern("loose.example").value()};
  loose.tls = hop::RouteTls::opportunistic;
  const Table table({silent, strict, loose}, {}, book);
  for (const char* domain : {"free.example", "silent.example"}) {
    const auto rule = table.rule(named(domain), now_here);
    CHECK(rule.mandate == hop::Mandate::dane_audit);
    CHECK(rule.dane == hop::Mode::audit);
    CHECK(rule.mta_sts == hop::Mode::audit);
  }
  const auto own = table.rule(named("strict.example"), now_here);
  CHECK(own.mandate == hop::Mandate::dane);
  CHECK(own.dane == hop::Mode::enforce);
  CHECK(own.mta_sts == hop::Mode::enforce);
  CHECK(table.rule(named("loose.example"), now_here).mandate == hop::Mandate::dane_audit);
  CHECK(table.rule(named("other.example"), now_here) == hop::LocalRule{});
  CHECK(table.note(named("silent.example"), now_here)
            .find("of the route; partner, dane required: ticket 4711; partner, excepted from dane until ") == 0);
  CHECK(table.next_end(now_here) == Time{this_day + std::chrono::days(1)});
  hop::LocalRule off;
  off.dane = hop::Mode::off;
  CHECK(Table({}, off, book).rule(named("free.example"), now_here).dane == hop::Mode::off);
}

}  // namespace route_partners_test
