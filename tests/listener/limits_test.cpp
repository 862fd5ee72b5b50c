// SPDX-License-Identifier: Apache-2.0
// How many connections, from whom, with how many messages; and what a reload changes.
#include <doctest/doctest.h>

#include <memory>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_limits_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

TEST_CASE("limits.connections: one too many gets 421 4.7.0; when one leaves there is room again") {
  auto options = Intake::usual();
  options.limits.connections = 3;
  Intake intake(options);
  std::vector<std::unique_ptr<SmtpClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<SmtpClient>(intake.port(), "127.0.0.1", "127.0.0." + std::to_string(10 + i)));
    CHECK(clients.back()->reply().starts_with("220 "));
  }
  SmtpClient refused(intake.port(), "127.0.0.1", "127.0.0.20");  // a stranger as they are: SUB-34 says who else gets in
  CHECK(refused.reply().starts_with("421 4.7.0 relay.test "));
  CHECK(refused.ended());
  const auto rejected = intake.log().events("rejected");
  REQUIRE(rejected.size() == 1);
  CHECK(rejected[0].get("client") == "127.0.0.20");
  CHECK(rejected[0].get("code") == "421");
  CHECK(clients[0]->command("QUIT").starts_with("221 "));
  clients.erase(clients.begin());
  while (intake.counts().open > 2) std::this_thread::sleep_for(1ms);
  SmtpClient next(intake.port());
  CHECK(next.reply().starts_with("220 "));
  CHECK(intake.counts().connections == 5);
}

TEST_CASE("limits.connections_per_client: by address; another client still gets in") {
  auto options = Intake::usual();
  options.limits.connections_per_client = 2;
  Intake intake(options);
  SmtpClient one(intake.port()), two(intake.port()), three(intake.port());
  CHECK(one.reply().starts_with("220 "));
  CHECK(two.reply().starts_with("220 "));
  CHECK(three.reply().starts_with("421 4.7.0 "));
  SmtpClient other(intake.port(), "127.0.0.1", "127.0.0.9");
  CHECK(other.reply().starts_with("220 "));
}

TEST_CASE("a refused client that never reads or leaves costs nothing for long, and too many of them are just closed") {
  auto options = Intake::usual();
  options.limits.connections = 0;
  Intake intake(options);
  std::vector<std::unique_ptr<SmtpClient>> clients;
  std::size_t told = 0;
  for (int i = 0; i < 150; ++i) clients.push_back(std::make_unique<SmtpClient>(intake.port()));
  for (auto& client : clients) {
    try {
      told += client->reply().starts_with("421 4.7.0 ") ? 1 : 0;
    } catch (const std::runtime_error&) {
    }
  }
  CHECK(told >= 100);
  CHECK(intake.counts().open == 0);
}

TEST_CASE("limits.messages_per_connection: the next MAIL gets 421 4.7.0, what was accepted stays") {
  auto options = Intake::usual();
  options.limits.messages_per_connection = 2;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: 1\r\n\r\n1\r\n").starts_with("250 2.0.0 "));
  CHECK(client.deliver("Subject: 2\r\n\r\n2\r\n").starts_with("250 2.0.0 "));
  CHECK(client.deliver("Subject: 3\r\n\r\n3\r\n").starts_with("421 4.7.0 "));
  CHECK(client.ended());
  CHECK(intake.stored().size() == 2);
}

TEST_CASE("senders: only the domains that are listed may be used, and the null sender") {
  auto options = Intake::usual();
  options.addresses[0].senders = {*dns::Name::parse("example.net"), *dns::Name::parse("*.example.com")};
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  for (const std::string good : {"a@example.net", "a@sub.example.com", ""}) {
    CAPTURE(good);
    CHECK(client.command("MAIL FROM:<" + good + ">").starts_with("250 "));
    client.command("RSET");
  }
  for (const std::string bad : {"a@example.org", "a@example.com", "a@sub.example.net"}) {
    CAPTURE(bad);
    CHECK(client.command("MAIL FROM:<" + bad + ">").starts_with("550 5.7.1 "));
  }
}

TEST_CASE("reload: addresses that stay keep their sockets and sessions, new sessions get the new options") {
  auto options = Intake::usual();
  options.addresses.push_back(Intake::address(2, smtp::TlsMode::starttls));
  Intake intake(options);
  const auto before = intake.bound();
  REQUIRE(before.size() == 2);
  SmtpClient old(intake.port(0)), gone(intake.port(1), "127.0.0.2");
  old.greet();
  gone.greet();
  auto changed = Intake::usual();
  changed.limits.message_size = 100;
  changed.addresses.push_back(Intake::address(3, smtp::TlsMode::none));
  CHECK_FALSE(intake.open(changed));
  const auto after = intake.bound();
  REQUIRE(after.size() == 2);
  CHECK(after[0] == before[0]);
  CHECK(after[1].ip.text() == "127.0.0.3");
  CHECK_THROWS(SmtpClient(intake.port(1), "127.0.0.2"));
  const std::string large = "Subject: x\r\n\r\n" + std::string(200, 'x') + "\r\n";
  CHECK(old.deliver(large).starts_with("250 2.0.0 "));
  CHECK(gone.deliver(large).starts_with("250 2.0.0 "));
  SmtpClient fresh(intake.port(0)), added(after[1].port, "127.0.0.3");
  fresh.greet();
  added.greet();
  CHECK(fresh.deliver(large).starts_with("552 5.3.4 "));
  CHECK(added.deliver(large).starts_with("552 5.3.4 "));
}

TEST_CASE("reload: new sessions are shown a new certificate, old ones go on") {
  Intake intake;
  SmtpClient old(intake.port());
  old.greet();
  old.start_tls();
  SmtpClient half(intake.port());
  half.greet();
  intake.renew_certificate();
  CHECK_FALSE(intake.open(Intake::usual()));
  SmtpClient fresh(intake.port());
  fresh.greet();
  fresh.start_tls();
  CHECK(fresh.certificate_serial() != old.certificate_serial());
  half.start_tls();  // a session keeps what it began with
  CHECK(half.certificate_serial() == old.certificate_serial());
  old.command("EHLO x.test");
  CHECK(old.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
}

TEST_CASE("reload: options that cannot be served are refused by name and change nothing") {
  Intake intake;
  auto changed = Intake::usual();
  changed.limits.message_size = 100;
  auto nobody = Intake::address(5, smtp::TlsMode::starttls);
  nobody.users_file = "/nowhere/users";
  changed.addresses.push_back(Intake::address(4, smtp::TlsMode::none));
  changed.addresses.push_back(nobody);
  const auto error = intake.open(changed);
  REQUIRE(error);
  CHECK(error->index == 2);
  CHECK(error->what == listener::ListenError::What::users_file);
  CHECK(intake.bound().size() == 1);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: x\r\n\r\n" + std::string(200, 'x') + "\r\n").starts_with("250 2.0.0 "));
}

TEST_CASE("an address in use or not there yet: the others serve, it is tried again, and the log says when it works") {
  auto options = Intake::usual();
  auto blocker = std::make_unique<Intake>();  // has a port of 127.0.0.1
  auto taken = Intake::address(1, smtp::TlsMode::none);
  taken.at.port = blocker->port();
  auto absent = Intake::address(1, smtp::TlsMode::none);
  absent.at = {*Ip::parse("192.0.2.77"), 2525};  // no interface has it
  options.addresses.push_back(taken);
  options.addresses.push_back(absent);
  Intake intake(options);
  CHECK(intake.bound().size() == 1);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  const std::string name = "127.0.0.1:" + std::to_string(taken.at.port);
  while (intake.log().events("listener-failed").size() < 2) std::this_thread::sleep_for(1ms);
  std::string failed;
  for (const auto& event : intake.log().events("listener-failed")) failed += std::string(event.get("listener")) + " ";
  CHECK(failed.find(name) != std::string::npos);
  CHECK(failed.find("192.0.2.77:2525") != std::string::npos);
  CHECK(intake.missing().size() == 2);
  blocker.reset();
  while (intake.log().events("listener-works").empty()) std::this_thread::sleep_for(1ms);
  CHECK(intake.log().events("listener-works")[0].get("listener") == name);
  SmtpClient late(taken.at.port);
  late.greet();
  CHECK(late.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  // a reload that no longer names it stops the attempts, and one that moves a listener onto its own wildcard works
  auto moved = Intake::usual();
  moved.addresses[0].at = {*Ip::parse("0.0.0.0"), taken.at.port};
  CHECK_FALSE(intake.open(moved));
  while (intake.bound().empty()) std::this_thread::sleep_for(1ms);
  CHECK(intake.missing().empty());
  SmtpClient wild(taken.at.port, "127.0.0.3");
  CHECK(wild.reply().starts_with("220 "));
}

TEST_CASE("a plan that is dropped changes nothing, and what it had bound is free again") {
  Intake intake;
  const auto before = intake.bound();
  auto other = Intake::usual();
  other.addresses[0] = Intake::address(6, smtp::TlsMode::none);
  other.limits.message_size = 100;
  CHECK(intake.prepare_and_drop(other));
  CHECK(intake.bound() == before);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: x\r\n\r\n" + std::string(200, 'x') + "\r\n").starts_with("250 2.0.0 "));
}

}  // namespace listener_limits_test
