// SPDX-License-Identifier: Apache-2.0
// Logins over real sockets: who gets in, how long a wrong one takes, and that nobody else waits for it.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "base/ascii.h"
#include "listener/logins.h"
#include "listener/users.h"
#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"
#include "tests/support/test_ca.h"

namespace listener_auth_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {

// Of "secret" (yescrypt at a low cost) and of "other" (sha512crypt).
const std::string ann = "$y$j75$.Q2rTUkrdj1iCyRdxVVvV/$VTHKzUZhIBqAGnMVdZ8TOhOU8U/.svN6nHv7tBDk9F6";
const std::string bob =
    "$6$rounds=5000$saltsalt$r4j7z8gOqxO9zYH/VSQ4MPgAu/GTg0.tIK5o0K3dXowoILt/JRmXmiqFa26mKioMH3Fwhg6qaU0XTibPpoJ8z.";

std::string plain(const std::string& user, const std::string& password) {
  const std::string nul(1, '\0');
  return "AUTH PLAIN " + to_base64(nul + user + nul + password);
}

struct Door {
  support::TempDir dir;
  std::string users = dir.write("users", "# who may log in\nann:" + ann + "\n\nbob:" + bob + "\r\n");
  listener::Options options = Intake::usual();
  Door() {
    options.addresses[0].allow.clear();
    options.addresses[0].users_file = users;
    options.limits.failed_login = 10ms;
  }
};

struct Inside : SmtpClient {
  explicit Inside(std::uint16_t port, const std::string& from = "127.0.0.1") : SmtpClient(port, "127.0.0.1", from) {
    greet();
    start_tls();
    hello = command("EHLO client.test");
  }
  std::string hello;
};

}  // namespace

TEST_CASE("SUB-01, SUB-31: a logged-in client may relay; its message says ESMTPSA and its log line names the user") {
  Door door;
  Intake intake(door.options);
  Inside client(intake.port());
  CHECK(client.hello.find("AUTH PLAIN LOGIN\r\n") != std::string::npos);
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("550 5.7.1 "));
  client.command("RSET");
  CHECK(client.command(plain("ann", "secret")) == "235 2.7.0 Authentication successful\r\n");
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].content.find(" with ESMTPSA id ") != std::string::npos);
  CHECK(stored[0].content.find("ann") == std::string::npos);
  CHECK(intake.log().events("accepted").at(0).get("user") == "ann");
}

TEST_CASE("AUTH LOGIN against a sha512crypt hash, pipelined too") {
  Door door;
  Intake intake(door.options);
  Inside client(intake.port());
  client.send("AUTH LOGIN\r\n" + to_base64("bob") + "\r\n" + to_base64("other") + "\r\nNOOP\r\n");
  const auto replies = client.replies(4);
  CHECK(replies[0] == "334 VXNlcm5hbWU6\r\n");
  CHECK(replies[1] == "334 UGFzc3dvcmQ6\r\n");
  CHECK(replies[2].starts_with("235 2.7.0 "));
  CHECK(replies[3].starts_with("250 2.0.0 "));
}

TEST_CASE("SUB-24: in clear there is no AUTH, and what is tried anyway is neither looked up nor logged") {
  Door door;
  Intake intake(door.options);
  SmtpClient client(intake.port());
  client.reply();
  CHECK(client.command("EHLO client.test").find("AUTH") == std::string::npos);
  CHECK(client.command(plain("ann", "secret")).starts_with("538 5.7.11 "));
  for (const auto& event : intake.log().events("rejected")) {
    CHECK(event.get("user").empty());
    CHECK(event.get("reply").find(to_base64("secret")) == std::string::npos);
  }
}

TEST_CASE("SUB-25: wrong passwords, unknown users and empty ones are 535 alike, slower each time, then 421") {
  Door door;
  door.options.limits.failed_login = 40ms;
  Intake intake(door.options);
  Inside client(intake.port());
  const auto begin = std::chrono::steady_clock::now();
  CHECK(client.command(plain("ann", "wrong")) == "535 5.7.8 Authentication credentials invalid\r\n");
  const auto first = std::chrono::steady_clock::now();
  CHECK(client.command(plain("nobody", "secret")) == "535 5.7.8 Authentication credentials invalid\r\n");
  const auto second = std::chrono::steady_clock::now();
  CHECK(client.command(plain("ann", std::string("secret\0x", 8))).starts_with("501 5.5.2 "));
  CHECK(client.command(plain("Ann", "secret")).starts_with("421 4.7.0 "));
  CHECK(client.ended());
  CHECK(first - begin >= 40ms);
  CHECK(second - first >= 80ms);
  const auto rejected = intake.log().events("rejected");
  REQUIRE(rejected.size() == 4);
  CHECK(rejected[0].get("user") == "ann");
  CHECK(rejected[1].get("user") == "nobody");
  for (const auto& event : rejected) CHECK(event.get("reply").find("secret") == std::string::npos);
  // the next connection from there is slowed at once
  Inside again(intake.port());
  const auto before = std::chrono::steady_clock::now();
  CHECK(again.command(plain("ann", "wrong")).starts_with("535 "));
  CHECK(std::chrono::steady_clock::now() - before >= 320ms);
  CHECK(again.command(plain("ann", "secret")).starts_with("235 "));
}

TEST_CASE("brute force from many connections delays no other session") {
  Door door;
  door.options.limits.failed_login = 30s;
  door.options.addresses.push_back(Intake::address(2, smtp::TlsMode::starttls));
  Intake intake(door.options);
  std::vector<std::unique_ptr<Inside>> guessing;
  for (int i = 0; i < 20; ++i) {
    guessing.push_back(std::make_unique<Inside>(intake.port()));
    guessing.back()->send(plain("ann", "guess" + std::to_string(i)) + "\r\n");
  }
  SmtpClient other(intake.port(1), "127.0.0.2");
  other.greet();
  for (int i = 0; i < 20; ++i) CHECK(other.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  for (auto& one : guessing) CHECK(one->is_silent(1ms));
  intake.stop(2s);  // and the end does not wait for them
}

TEST_CASE("160 connections that guess passwords: everybody who knows his own gets in") {
  Door door;
  door.options.limits.failed_login = 1s;
  Intake intake(door.options);
  std::vector<std::unique_ptr<Inside>> guessing;
  for (int i = 0; i < 160; ++i) {
    guessing.push_back(std::make_unique<Inside>(intake.port(), i % 2 == 0 ? "127.0.0.7" : "127.0.0.8"));
    guessing.back()->send(plain("ann", "guess") + "\r\n");
  }
  for (int i = 0; i < 10; ++i) {
    Inside client(intake.port());
    CHECK(client.command(plain("ann", "secret")).starts_with("235 "));
    for (auto& one : guessing) one->send_some(plain("ann", "guess") + "\r\n");
  }
}

TEST_CASE("users_file is read again on reload; a bad one changes nothing and is told with its line") {
  Door door;
  Intake intake(door.options);
  door.dir.write("users", "carl:" + ann + "\n");
  CHECK_FALSE(intake.open(door.options).has_value());
  Inside client(intake.port());
  CHECK(client.command(plain("ann", "secret")).starts_with("535 "));
  CHECK(client.command(plain("carl", "secret")).starts_with("235 "));
  door.dir.write("users", "carl:" + ann + "\ndora:plain text\n");
  const auto error = intake.open(door.options);
  REQUIRE(error.has_value());
  CHECK(error->what == listener::ListenError::What::users_file);
  CHECK(error->error.detail.starts_with(door.users + ":2: user 'dora': "));
  Inside after(intake.port());
  CHECK(after.command(plain("carl", "secret")).starts_with("235 "));
}

TEST_CASE("a users_file: what is wrong with it, with file and line, and never a hash in the words") {
  struct Row {
    std::string text;
    const char* says;
  };
  for (const Row& row : std::vector<Row>{
           {"ann\n", "f:1: allowed: name:hash"},
           {":x\n", "f:1: allowed: name:hash"},
           {"# c\n\nann:\n", "f:3: user 'ann': the hash is missing"},
           {"ann:secret\n", "f:1: user 'ann': its method is too weak"},
           {"ann:*\n", "f:1: user 'ann': it is no hash"},
           {"ann:ab12345678901\n", "f:1: user 'ann': its method is too weak"},
           {"ann:$1$salt$UVhbnkVIb1hPPkNCbkZjd/\n", "f:1: user 'ann': its method is too weak"},
           {"ann:$6$saltsalt\n", "f:1: user 'ann': "},
           {"ann:" + ann.substr(0, ann.size() - 1) + "\n", "f:1: user 'ann': the hash is not whole"},
           {"ann:" + ann + "\nann:" + bob + "\n", "f:2: user 'ann' is there twice"},
           {" ann:" + ann + "\n", "f:1: this is no name"},
           {std::string(256, 'a') + ":" + ann + "\n", "f:1: this is no name"},
       }) {
    CAPTURE(row.text);
    const auto users = listener::Users::parse(row.text, "f");
    REQUIRE_FALSE(users.has_value());
    CHECK(users.error().detail.starts_with(row.says));
    CHECK(users.error().detail.find("$y$") == std::string::npos);
  }
  CHECK(listener::Users::load("/nowhere/users").error().detail.starts_with("/nowhere/users: "));
  const auto none = listener::Users::parse("", "f");
  REQUIRE(none.has_value());
  CHECK((*none)->check("ann", "") == listener::Credentials::wrong);
}

TEST_CASE("an unknown user takes as long as one who is known") {
  const auto users = listener::Users::parse("bob:" + bob + "\n", "f").value();
  const auto time = [&](const char* name) {
    auto best = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 7; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      CHECK(users->check(name, "wrong") == listener::Credentials::wrong);
      best = std::min(best, std::chrono::steady_clock::now() - begin);
    }
    return best;
  };
  const auto known = time("bob"), unknown = time("eve");
  CHECK(unknown > known / 2);
  CHECK(unknown < known * 2);
}

TEST_CASE(
    "wrong logins are counted by site and by user, doubled, bounded and forgotten; a right one wipes none of them") {
  listener::Logins logins;
  const auto one = *Ip::parse("192.0.2.1"), two = *Ip::parse("192.0.2.2");
  const net::SteadyTime now{};
  CHECK(logins.wrong(one, "ann", now + 1h, 1000ms) == 1000ms);
  CHECK(logins.wrong(one, "bob", now + 1h, 1000ms) == 2000ms);
  CHECK(logins.wrong(two, "carl", now + 1h, 1000ms) == 1000ms);
  CHECK(logins.wrong(two, "ann", now + 1h, 1000ms) == 2000ms);
  const auto third = *Ip::parse("192.0.2.3");
  CHECK(logins.wrong(third, "ann", now + 1h, 1000ms) == 4000ms);  // guessed at from everywhere
  logins.right(one, "mallory", now + 1h);                         // an account of the guesser's own
  CHECK(logins.wrong(one, "dora", now + 1h, 1000ms) == 4000ms);
  for (int i = 0; i < 40; ++i) logins.wrong(one, "ann", now + 1h, 1000ms);
  CHECK(logins.wrong(one, "ann", now + 1h, 1000ms) == 30s);
  CHECK(logins.wrong(one, "ann", now + 2h, 1000ms) == 1000ms);
  for (std::uint32_t i = 0; i < 10100; ++i) {
    const auto site = *Ip::parse("10." + std::to_string(i >> 16U) + "." + std::to_string(i >> 8U & 255U) + "." +
                                 std::to_string(i & 255U));
    logins.wrong(site, "u" + std::to_string(i), now + 2h, 1000ms);
  }
  CHECK(logins.size() <= 20000);
}

TEST_CASE("who logged in lately goes first, then those of whom nothing bad is known, and guessers last") {
  listener::Logins logins;
  const auto home = *Ip::parse("192.0.2.1"), guesser = *Ip::parse("192.0.2.2"), fresh = *Ip::parse("192.0.2.3");
  const net::SteadyTime now{};
  const auto at = now + 1h;
  logins.right(home, "ann", at);
  for (int i = 0; i < 50; ++i) logins.wrong(guesser, "ann", at, 1ms);
  for (int i = 0; i < 5; ++i) logins.wrong(home, "bob", at, 1ms);  // behind the same address
  CHECK(logins.rank(home, "ann", at) < logins.rank(home, "carl", at));
  CHECK(logins.rank(home, "carl", at) < logins.rank(fresh, "ann", at));
  CHECK(logins.rank(fresh, "ann", at) <
        logins.rank(guesser, "ann", at));  // who guesses about ann keeps her out nowhere
  CHECK(logins.rank(guesser, "ann", at) < logins.rank(fresh, "carl", at));
  CHECK(logins.rank(fresh, "carl", at) < logins.rank(guesser, "carl", at));
  CHECK(logins.rank(home, "ann", at + 48h) == logins.rank(fresh, "ann", at + 48h));
}

TEST_CASE("SUB-33: AUTH PLAIN as somebody else is 535, with the right password and with a wrong one alike") {
  Door door;
  Intake intake(door.options);
  const std::string nul(1, '\0');
  Inside client(intake.port());
  for (const char* password : {"secret", "wrong"})
    CHECK(client.command("AUTH PLAIN " + to_base64("bob" + nul + "ann" + nul + password)).starts_with("535 5.7.8 "));
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("550 5.7.1 "));
  Inside self(intake.port());
  CHECK(self.command("AUTH PLAIN " + to_base64("ann" + nul + "ann" + nul + "secret")).starts_with("235 "));
}

}  // namespace listener_auth_test
