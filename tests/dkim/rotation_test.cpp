// SPDX-License-Identifier: Apache-2.0
#include "dkim/rotation.h"

#include <doctest/doctest.h>

#include <map>

#include "tests/dkim/verify.h"

namespace dkim_rotation_test {

using namespace hoplock;
using namespace hoplock::dkim;

namespace {
dns::Name name(const char* text) { return dns::Name::parse(text).value(); }
const Time noon = from_millis(1'740'830'400'000);
constexpr std::chrono::hours day{24};

// A letter for each of: y published, n not, ? not known; behind it a for `always`, * for the one that signed last.
std::vector<Candidate> keys(std::string_view text) {
  std::vector<Candidate> all;
  for (const char c : text) {
    if (c == ' ') continue;
    if (c == 'a') all.back().always = true;
    if (c == '*') all.back().signed_last = true;
    if (c == 'y') all.push_back({{true, false}, false, false});
    if (c == 'n') all.push_back({{false, false}, false, false});
    if (c == '?') all.push_back({{std::nullopt, false}, false, false});
  }
  return all;
}

std::string words(const std::vector<Role>& roles) {
  std::string text;
  for (const Role role : roles) {
    const char* word = role == Role::signs ? "signs" : role == Role::waits ? "waits" : "retires";
    text += (text.empty() ? "" : " ") + std::string(word);
  }
  return text;
}

Identity identity(const char* domain, const char* selector, std::shared_ptr<const Key> key) {
  return {name(domain), selector, std::move(key), std::make_shared<Standing>()};
}
std::shared_ptr<const Key> key_of(const std::string& pem) {
  return std::make_shared<const Key>(Key::parse(pem).value());
}
Keyring ring_of(std::vector<Identity> identities) { return Keyring::make(std::move(identities)).value(); }
}  // namespace

TEST_CASE("roles: the newest published key signs, older ones retire, newer ones wait") {
  const struct {
    const char* why;
    const char* keys;
    const char* roles;
  } rows[] = {
      {"one, published", "y", "signs"},
      {"one, not published: nobody could verify it", "n", "waits"},
      {"one, nobody was asked yet: a signature that cannot be verified yet does no harm, one that lacks may", "?",
       "signs"},
      {"one that signs always", "na", "signs"},
      {"the new one waits for the DNS, the old one signs", "y* n", "signs waits"},
      {"the new one is seen", "y* y", "retires signs"},
      {"nothing is known yet: the one that signed", "?* ?", "signs waits"},
      {"nothing is known yet, after the change: the one that signed", "? ?*", "retires signs"},
      {"nothing is known, nothing is remembered: the old one, which is more likely published", "? ?", "signs waits"},
      {"the look-up of the new one failed before it was ever seen", "y* ?", "signs waits"},
      {"the look-up of the old one failed, the new one is seen", "?* y", "retires signs"},
      {"the old record is gone already", "n* y", "retires signs"},
      {"the new record is gone again: back to the old one", "y n*", "signs waits"},
      {"the new record is gone, nothing is known of the old one", "? n*", "signs waits"},
      {"both records are gone", "n n*", "waits waits"},
      {"three keys, the middle one is the newest published", "y y* n", "retires signs waits"},
      {"three keys, two changes at once", "y* y y", "retires retires signs"},
      {"the new one signs always: the old one retires at once", "y* na", "retires signs"},
      {"the old one signs always: both sign", "ya y", "signs signs"},
      {"the old one signs always, the new one waits", "na* n", "signs waits"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CAPTURE(row.keys);
    CHECK(words(roles(keys(row.keys))) == row.roles);
  }
  CHECK(roles(std::vector<Candidate>{}).empty());
}

TEST_CASE("roles: keys of other domains and of the other algorithm are none of a key's successors") {
  const auto rsa = key_of(testing::rsa_pem()), ed = key_of(testing::ed25519_pem());
  const auto ring =
      ring_of({identity("example.net", "r1", rsa), identity("example.net", "e1", ed),
               identity("example.org", "r1", rsa), identity("example.net", "r2", key_of(testing::rsa_pem()))});
  for (const auto& one : ring.all()) one.standing->published = true;
  CHECK(words(roles(ring, {})) == "retires signs signs signs");
  ring.all()[3].standing->published = false;
  CHECK(words(roles(ring, {})) == "signs signs signs waits");
  for (const auto& one : ring.all()) one.standing->published.reset();
  CHECK(words(roles(ring, {{name("example.net"), "R2", std::nullopt}})) == "retires signs signs signs");
}

TEST_CASE("advance: a key's last signature is remembered from the moment that another signs, also once it is gone") {
  const auto old_key = key_of(testing::rsa_pem()), new_key = key_of(testing::rsa_pem());
  const auto both = ring_of({identity("example.net", "old", old_key), identity("example.net", "new", new_key)});
  const auto only_new = ring_of({identity("example.net", "new", new_key)});
  using Roles = std::vector<Role>;
  const auto at = [](std::chrono::hours later) { return Moment{noon + later, 40 * day}; };

  Pasts pasts = advance({}, both, Roles{Role::signs, Role::waits}, at(0 * day));
  CHECK(to_text(pasts) == "example.net old signs\n");
  pasts = advance(pasts, both, Roles{Role::retires, Role::signs}, at(1 * day));
  CHECK(to_text(pasts) == "example.net old stopped 2025-03-02T12:00:00.000Z\nexample.net new signs\n");
  CHECK_MESSAGE(advance(pasts, both, Roles{Role::retires, Role::signs}, at(3 * day)) == pasts, "it stopped once");
  const Pasts without = advance(pasts, only_new, Roles{Role::signs}, at(4 * day));
  CHECK(to_text(without) == "example.net new signs\nexample.net old stopped 2025-03-02T12:00:00.000Z\n");
  CHECK_MESSAGE(advance(without, only_new, Roles{Role::signs}, at(42 * day)).size() == 1, "kept long enough");
  const Pasts gone = advance(pasts, ring_of({}), {}, at(5 * day));
  CHECK_MESSAGE(past_of(gone, both.all()[1])->stopped == noon + 5 * day, "it signed until it left the configuration");
  const Pasts back = advance(pasts, both, Roles{Role::signs, Role::waits}, at(6 * day));
  CHECK(past_of(back, both.all()[0])->stopped == std::nullopt);
  CHECK(past_of(back, both.all()[1])->stopped == noon + 6 * day);

  const Pasts lost = advance({}, both, Roles{Role::retires, Role::signs}, at(7 * day));
  CHECK_MESSAGE(past_of(lost, both.all()[0])->stopped == noon + 7 * day, "nothing is known: it may have signed so far");
  const Pasts set_back = advance(pasts, both, Roles{Role::retires, Role::signs}, at(-300 * day));
  CHECK_MESSAGE(past_of(set_back, both.all()[0])->stopped == noon - 300 * day, "a clock that was ahead");
}

TEST_CASE("parse_pasts: what to_text wrote comes back; whatever else stands there is nothing") {
  const Pasts pasts{{name("example.net"), "a.b", std::nullopt}, {name("xn--bcher-kva.example"), "r", noon}};
  CHECK(parse_pasts(to_text(pasts)) == pasts);
  for (const char* text :
       {"", "\n\n", "example.net", "example.net s", "example.net s stopped", "example.net s stopped x",
        "example.net s signs now", "example.net  signs", ". s signs", "a..b s signs", "\0\0\0\0"}) {
    CAPTURE(text);
    CHECK(parse_pasts(text).empty());
  }
  CHECK(parse_pasts("torn line\nexample.net s signs\nexample.net t stop").size() == 1);
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "example.net s" + std::to_string(i) + " signs\n";
  CHECK(parse_pasts(many).size() == 10'000);
}

TEST_CASE("Keyring: while the new key waits the old one signs, and never both") {
  const auto both = ring_of({identity("example.net", "old", key_of(testing::rsa_pem())),
                             identity("example.net", "new", key_of(testing::rsa_pem()))});
  both.all()[1].standing->signs = false;
  const auto signing = both.for_domain(name("example.net"));
  REQUIRE(signing.size() == 1);
  CHECK(signing[0].selector == "old");
}

TEST_CASE("longest_on_the_way: our own tries and those of the next system") {
  CHECK(longest_on_the_way(5 * day) == 10 * day);
  CHECK(longest_on_the_way(14 * day) == 19 * day);
}

}  // namespace dkim_rotation_test
