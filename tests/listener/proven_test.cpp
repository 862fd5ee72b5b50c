// SPDX-License-Identifier: Apache-2.0
#include "listener/proven.h"

#include <doctest/doctest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/support/loop.h"

namespace listener_proven_test {

using namespace hoplock;
using listener::Credentials;
using listener::Passwords;
using listener::ProvenLogins;
using listener::Users;
namespace asio = boost::asio;

namespace {

// Counts the hashes that would be made. Right is the password "right".
struct Counted {
  Counted()
      : logins([this](std::shared_ptr<const Users> against,
                      Passwords::Attempt attempt) { return hash(*this, std::move(against), std::move(attempt)); },
               [this] { return now; }) {}

  static asio::awaitable<Credentials> hash(Counted& self, std::shared_ptr<const Users>, Passwords::Attempt attempt) {
    ++self.hashes;
    co_await asio::post(self.loop.executor(), asio::use_awaitable);
    co_return attempt.password == "right" ? Credentials::right : self.otherwise;
  }
  Credentials ask(const std::string& user, const std::string& password, const std::string& from = "192.0.2.1") {
    Passwords::Attempt attempt{Ip::parse(from).value(), user, password};
    return loop.run(logins.check(users, std::move(attempt)));
  }
  static asio::awaitable<void> note(Counted& self, std::string password, std::vector<Credentials>& found) {
    Passwords::Attempt attempt{Ip::parse("192.0.2.1").value(), "anna", std::move(password)};
    found.push_back(co_await self.logins.check(self.users, std::move(attempt)));
  }

  support::Loop loop;
  int hashes = 0;
  Credentials otherwise = Credentials::wrong;
  net::SteadyTime now{};
  std::shared_ptr<const Users> users = Users::parse("", "users").value();
  ProvenLogins logins;
};

}  // namespace

TEST_CASE("proven logins: a page that refreshes its parts costs one hash; another name or password is another") {
  Counted counted;
  for (int i = 0; i < 100; ++i) CHECK(counted.ask("anna", "right") == Credentials::right);
  CHECK(counted.hashes == 1);
  CHECK(counted.ask("otto", "right") == Credentials::right);
  CHECK(counted.ask("anna", "Right") == Credentials::wrong);
  CHECK(counted.ask("annar", "ight") == Credentials::wrong);
  CHECK(counted.ask("", "annaright") == Credentials::wrong);
  CHECK(counted.hashes == 5);
  CHECK(counted.ask("anna", "right") == Credentials::right);
  CHECK(counted.hashes == 5);
}

TEST_CASE("proven logins: what one address proved spares a guesser at another no hash") {
  Counted counted;
  CHECK(counted.ask("anna", "right") == Credentials::right);
  CHECK(counted.ask("anna", "right", "198.51.100.7") == Credentials::right);
  CHECK(counted.hashes == 2);
  CHECK(counted.ask("anna", "right", "198.51.100.7") == Credentials::right);
  CHECK(counted.hashes == 2);
}

TEST_CASE("proven logins: many requests at once wait for one hash") {
  Counted counted;
  std::vector<Credentials> found;
  for (int i = 0; i < 20; ++i) counted.loop.start(Counted::note(counted, "right", found));
  counted.loop.run_all();
  CHECK(found == std::vector<Credentials>(20, Credentials::right));
  CHECK(counted.hashes == 1);
  found.clear();
  for (int i = 0; i < 20; ++i) counted.loop.start(Counted::note(counted, "wrong", found));
  counted.loop.run_all();
  CHECK(found == std::vector<Credentials>(20, Credentials::wrong));
  CHECK(counted.hashes == 2);
}

TEST_CASE("proven logins: what was wrong, or could not be said, is asked again") {
  Counted counted;
  for (const Credentials answer : {Credentials::wrong, Credentials::unknown}) {
    counted.otherwise = answer;
    for (int i = 0; i < 3; ++i) CHECK(counted.ask("anna", "other") == answer);
  }
  CHECK(counted.hashes == 6);
  CHECK(counted.logins.size() == 0);
}

TEST_CASE("proven logins: forgotten after some minutes, however often they were used, and with the users at once") {
  Counted counted;
  for (int minute = 0; minute < 10; ++minute) {
    CHECK(counted.ask("anna", "right") == Credentials::right);
    counted.now += std::chrono::minutes(1);
  }
  CHECK(counted.hashes == 2);
  counted.ask("anna", "right");
  counted.hashes = 0;
  counted.users = Users::parse("", "users").value();
  CHECK(counted.ask("anna", "right") == Credentials::right);
  CHECK(counted.hashes == 1);
  CHECK(counted.logins.size() == 1);
}

TEST_CASE("proven logins: bounded, and the newest stay") {
  Counted counted;
  const auto name = [](std::size_t i) { return "user" + std::to_string(i); };
  constexpr std::size_t many = 3 * ProvenLogins::most;
  for (std::size_t i = 0; i < many; ++i) {
    counted.ask(name(i), "right");
    counted.now += std::chrono::milliseconds(1);
  }
  CHECK(counted.logins.size() == ProvenLogins::most);
  counted.hashes = 0;
  for (std::size_t i = many - ProvenLogins::most; i < many; ++i) counted.ask(name(i), "right");
  CHECK(counted.hashes == 0);
  counted.ask(name(0), "right");
  CHECK(counted.hashes == 1);
}

}  // namespace listener_proven_test
