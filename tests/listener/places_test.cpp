// SPDX-License-Identifier: Apache-2.0
// Who gets a place: the rules alone, without sockets and at any time.
#include "listener/places.h"

#include <doctest/doctest.h>

namespace listener_places_test {

using namespace hoplock;
using namespace hoplock::listener;
using namespace std::chrono_literals;

namespace {

const net::SteadyTime t0 = net::SteadyTime{} + 1h;

Ip ip(const std::string& text) { return *Ip::parse(text); }
Ip v4(int number) { return ip("198.51." + std::to_string(number / 250) + "." + std::to_string(number % 250)); }

struct Room {
  Places places;
  std::vector<std::shared_ptr<Places::Place>> held;
  explicit Room(std::size_t size, std::size_t per_site = 100) { places.set({size, per_site}); }
  Places::Refusal come(const Ip& client, Standing standing, net::SteadyTime now = t0) {
    auto admission = places.admit(client, standing, now);
    if (admission.place) held.push_back(admission.place);
    return admission.why;
  }
};

}  // namespace

TEST_CASE("SUB-34: a /64 is one client, an address of IPv4 is one, mapped or not") {
  CHECK(site_of(ip("2001:db8:1:2:3:4:5:6")) == ip("2001:db8:1:2::"));
  CHECK(site_of(ip("2001:db8:1:3::1")) != site_of(ip("2001:db8:1:2::1")));
  CHECK(site_of(ip("::ffff:192.0.2.1")) == ip("192.0.2.1"));
  Room room(100, 3);
  for (int i = 1; i <= 3; ++i)
    CHECK(room.come(ip("2001:db8::" + std::to_string(i)), Standing::stranger) == Places::Refusal::none);
  CHECK(room.come(ip("2001:db8::ffff:ffff:ffff:1"), Standing::stranger) == Places::Refusal::per_site);
  CHECK(room.come(ip("2001:db8:0:1::1"), Standing::stranger) == Places::Refusal::none);
}

TEST_CASE("SUB-34: strangers get nine places in ten; who may relay gets the others, and then theirs") {
  Room room(100);
  for (int i = 0; i < 90; ++i) CHECK(room.come(v4(i), Standing::stranger) == Places::Refusal::none);
  CHECK(room.come(v4(90), Standing::stranger) == Places::Refusal::full);
  CHECK(room.places.counts().full_at == t0);
  for (int i = 0; i < 10; ++i) CHECK(room.come(v4(100 + i), Standing::known) == Places::Refusal::none);
  CHECK(room.places.counts().gave_way == 0);
  for (int i = 0; i < 90; ++i) CHECK(room.come(v4(200 + i), Standing::known) == Places::Refusal::none);
  CHECK(room.places.counts().gave_way == 90);
  CHECK(room.places.counts().strangers == 0);
  CHECK(room.places.taken() == 100);
  CHECK(room.come(v4(400), Standing::known) == Places::Refusal::full);
  room.held.clear();
  CHECK(room.places.taken() == 0);
  CHECK(room.come(v4(400), Standing::stranger) == Places::Refusal::none);
}

TEST_CASE("SUB-34: a stranger takes another one's place only when that one did nothing for long") {
  Room room(4);
  for (int i = 0; i < 4; ++i) room.come(v4(i), Standing::stranger, t0 + std::chrono::seconds(i));
  CHECK(room.come(v4(9), Standing::stranger, t0 + 9s) == Places::Refusal::full);
  room.held[0]->got_on(t0 + 9s);
  CHECK(room.come(v4(9), Standing::stranger, t0 + 11s) == Places::Refusal::none);
  CHECK(room.held[1]->is_lost());
  CHECK_FALSE(room.held[0]->is_lost());
  CHECK(room.come(v4(10), Standing::stranger, t0 + 11s) == Places::Refusal::full);
}

TEST_CASE("under pressure strangers that do nothing lose their places, told while they are few, and nobody else does") {
  Room room(1000);
  int told = 0, cut = 0;
  for (int i = 0; i < 800; ++i) {
    room.come(v4(i), Standing::stranger);
    room.held.back()->on_give_way([&](Places::Manner manner) { ++(manner == Places::Manner::told ? told : cut); });
  }
  room.come(v4(900), Standing::known);
  room.held[7]->prove();
  room.held[8]->got_on(t0 + 5s);
  CHECK(room.places.under_pressure());
  CHECK(room.places.relieve(t0 + 9s));
  CHECK(told + cut == 0);
  CHECK_FALSE(room.places.relieve(t0 + 10s));
  CHECK(told == 100);
  CHECK(cut == 698);
  CHECK(room.places.taken() == 3);
  CHECK_FALSE(room.held[7]->is_lost());
  CHECK_FALSE(room.held[8]->is_lost());
}

}  // namespace listener_places_test
