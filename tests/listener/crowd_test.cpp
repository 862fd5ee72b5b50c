// SPDX-License-Identifier: Apache-2.0
// A crowd at the door: who gets a place when there are more clients than places.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <fstream>
#include <memory>
#include <thread>

#include "base/ascii.h"
#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_crowd_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {

// Both ends of every connection are this process's.
void allow_many_descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string stranger(int number) {
  return "127.1." + std::to_string(number / 200) + "." + std::to_string(number % 200 + 1);
}

using Crowd = std::vector<std::unique_ptr<SmtpClient>>;

Crowd silent(Intake& intake, int count) {
  Crowd crowd;
  for (int i = 0; i < count; ++i)
    crowd.push_back(std::make_unique<SmtpClient>(intake.port(), "127.0.0.1", stranger(i)));
  return crowd;
}

}  // namespace

TEST_CASE(
    "SUB-34: 1,200 silent strangers from as many addresses; who may relay is greeted and its mail taken at once") {
  allow_many_descriptors();
  Intake intake;
  const Crowd crowd = silent(intake, 1200);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    SmtpClient client(intake.port());
    client.greet();
    CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  }
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
  CHECK(intake.stored().size() == 20);
}

TEST_CASE(
    "SUB-34: clients that may relay take the places of strangers one by one, the longest idle first, told with 421 "
    "4.7.0") {
  auto options = Intake::usual();
  options.limits.connections = 4;
  Intake intake(options);
  Crowd strangers;
  for (int i = 0; i < 4; ++i) {
    strangers.push_back(std::make_unique<SmtpClient>(intake.port(), "127.0.0.1", stranger(i)));
    CHECK(strangers.back()->reply().starts_with("220 "));
  }
  CHECK(strangers[0]->command("EHLO stranger.test").starts_with("250"));  // so the second is idle for longest
  Crowd known;
  for (const int gives_way : {1, 2, 3, 0}) {
    known.push_back(std::make_unique<SmtpClient>(intake.port()));
    known.back()->greet();
    CAPTURE(gives_way);
    CHECK(strangers[static_cast<std::size_t>(gives_way)]->reply().starts_with("421 4.7.0 "));
    CHECK(strangers[static_cast<std::size_t>(gives_way)]->ended());
  }
  for (auto& one : known) CHECK(one->command("NOOP").starts_with("250 "));
  SmtpClient last(intake.port());
  CHECK(last.reply().starts_with("421 4.7.0 "));
}

TEST_CASE(
    "SUB-34: octets now and then keep no place: a stranger that trickles its message gives way before one that greeted "
    "later") {
  auto options = Intake::usual();
  options.limits.connections = 3;
  Intake intake(options);
  SmtpClient trickles(intake.port(), "127.0.0.1", stranger(1)), half_open(intake.port(), "127.0.0.1", stranger(2));
  trickles.greet();
  CHECK(trickles.command("MAIL FROM:<a@example.net>").starts_with("250 "));
  CHECK(trickles.command("RCPT TO:<postmaster>").starts_with("250 "));
  CHECK(trickles.command("DATA").starts_with("354 "));
  half_open.greet();
  CHECK(half_open.command("STARTTLS").starts_with("220 "));  // and then no handshake
  SmtpClient later(intake.port(), "127.0.0.1", stranger(3));
  later.greet();
  for (int i = 0; i < 20; ++i) {
    trickles.send("x");
    std::this_thread::sleep_for(5ms);
  }
  SmtpClient first(intake.port());
  first.greet();
  CHECK(trickles.reply().starts_with("421 4.7.0 "));
  CHECK(trickles.ended());
  SmtpClient second(intake.port());
  second.greet();
  CHECK(half_open.ended());
  CHECK(later.command("NOOP").starts_with("250 "));
  CHECK(intake.stored().empty());
}

TEST_CASE("SUB-34: who proved by login or certificate that he may relay keeps his place, and is known from there on") {
  auto options = Intake::usual();
  options.limits.connections = 2;
  options.limits.failed_login = 1ms;
  options.addresses[0].allow = {*Network::parse("127.0.0.99")};
  support::TempDirectory dir;
  std::ofstream(dir.file("users")) << "ann:$y$j75$.Q2rTUkrdj1iCyRdxVVvV/$VTHKzUZhIBqAGnMVdZ8TOhOU8U/.svN6nHv7tBDk9F6\n";
  options.addresses[0].users_file = dir.file("users");
  Intake intake(options);
  SmtpClient ann(intake.port(), "127.0.0.1", "127.0.0.5");
  ann.greet();
  ann.start_tls();
  ann.command("EHLO client.test");
  CHECK(ann.command("AUTH PLAIN " + to_base64(std::string("\0ann\0secret", 11))).starts_with("235 "));
  SmtpClient idle(intake.port(), "127.0.0.1", stranger(1));
  idle.greet();
  SmtpClient again(intake.port(), "127.0.0.1", "127.0.0.5");  // no login yet
  again.greet();
  CHECK(idle.reply().starts_with("421 4.7.0 "));
  CHECK(ann.command("NOOP").starts_with("250 "));
  SmtpClient other(intake.port(), "127.0.0.1", stranger(2));
  CHECK(other.reply().starts_with("421 4.7.0 "));
}

TEST_CASE(
    "what strangers do wrong does not fill the log: some lines of a session, then a number; some refusals of a "
    "minute") {
  auto options = Intake::usual();
  Intake intake(options);
  {
    SmtpClient client(intake.port());
    client.greet();
    for (int i = 0; i < 50; ++i) CHECK(client.command("FOO").starts_with("500 "));
    client.command("QUIT");
  }
  intake.wait_idle();
  CHECK(intake.log().events("rejected").size() == 20);
  const auto counted = intake.log().events("rejections");
  REQUIRE(counted.size() == 1);
  CHECK(counted[0].get("client") == "127.0.0.1");
  CHECK(counted[0].get("count") == "30");
  CHECK(intake.counts().rejected == 50);
  options.limits.connections = 0;
  CHECK_FALSE(intake.open(options));
  for (int i = 0; i < 90; ++i) SmtpClient(intake.port(), "127.0.0.1", stranger(i)).reply();
  CHECK(intake.log().events("rejected").size() == 80);
  CHECK(intake.counts().rejected == 140);
  intake.stop(0ms);
  CHECK(intake.log().events("rejections").back().get("count") == "30");
}

TEST_CASE(
    "BND-04: a stranger who comes again and again fills the log no more than one who stays; others are still named") {
  auto options = Intake::usual();
  options.addresses[0].allow = {};
  Intake intake(options);
  const auto knock = [&](const std::string& from) {
    SmtpClient client(intake.port(), "127.0.0.1", from);
    client.greet();
    client.command("MAIL FROM:<a@client.test>");
    for (int i = 0; i < 15; ++i) CHECK(client.command("RCPT TO:<b@far.test>").starts_with("550 "));
    client.command("QUIT");
  };
  for (int i = 0; i < 20; ++i) knock(stranger(1));
  intake.wait_idle();
  CHECK(intake.log().events("rejected").size() == 120);
  CHECK(intake.log().events("rejections").empty());  // when the minute is over
  knock(stranger(2));
  intake.wait_idle();
  CHECK(intake.log().events("rejected").size() == 135);
  CHECK(intake.counts().rejected == 315);
  intake.stop(0ms);
  REQUIRE(intake.log().events("rejections").size() == 1);
  CHECK(intake.log().events("rejections")[0].get("count") == "180");
}

}  // namespace listener_crowd_test
