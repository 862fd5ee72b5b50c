// SPDX-License-Identifier: Apache-2.0
// How sessions end that neither side ended by QUIT: time-outs, and a daemon that stops.
#include <doctest/doctest.h>

#include "tests/support/faulty_vfs.h"
#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_end_test {

using namespace hoplock;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using support::FaultyVfs;
using support::Intake;
using support::SmtpClient;

namespace {
listener::Options impatient(std::chrono::milliseconds command, std::chrono::milliseconds data) {
  auto options = Intake::usual();
  options.limits.command_timeout = command;
  options.limits.data_timeout = data;
  return options;
}

const std::string envelope = "MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n";
}  // namespace

TEST_CASE("SUB-30: the default time-outs are at least five and three minutes") {
  CHECK(listener::Limits{}.command_timeout >= 5min);
  CHECK(listener::Limits{}.data_timeout >= 3min);
}

TEST_CASE("SUB-30: a silent client gets 421 4.4.2 after command_timeout") {
  Intake intake(impatient(100ms, 10s));
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.reply().starts_with("421 4.4.2 relay.test "));
  CHECK(client.ended());
}

TEST_CASE("SUB-30: command_timeout is a deadline for the whole line, however steadily it drips") {
  Intake intake(impatient(300ms, 10s));
  SmtpClient client(intake.port());
  client.greet();
  const auto start = steady_clock::now();
  std::size_t dripped = 0;
  while (client.is_silent(20ms) && dripped < 200) {
    client.send("x");
    ++dripped;
  }
  const auto lasted = steady_clock::now() - start;
  CHECK(client.reply().starts_with("421 4.4.2 "));
  CHECK(lasted >= 200ms);
  CHECK(lasted < 3s);
}

TEST_CASE("SUB-30: each command has its own deadline") {
  Intake intake(impatient(400ms, 10s));
  SmtpClient client(intake.port());
  client.greet();
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(100ms);
    CHECK(client.command("NOOP").starts_with("250 "));
  }
  CHECK(client.reply().starts_with("421 4.4.2 "));
}

TEST_CASE("SUB-30: data_timeout counts from the last octet; a message that stops gets 421 4.4.2 and is not stored") {
  Intake intake(impatient(100ms, 300ms));
  SmtpClient client(intake.port());
  client.greet();
  client.send(envelope);
  client.replies(3);
  for (int i = 0; i < 10; ++i) {
    client.send("x\r\n");
    std::this_thread::sleep_for(50ms);
  }
  CHECK(client.is_silent(0ms));
  CHECK(client.reply().starts_with("421 4.4.2 "));
  CHECK(client.ended());
  CHECK(intake.stored().empty());
}

TEST_CASE("SUB-30: a stop tells whoever is between commands 421 4.3.2, at once") {
  Intake intake;
  SmtpClient fresh(intake.port()), greeted(intake.port()), inside(intake.port()), half(intake.port());
  fresh.reply();
  greeted.greet();
  inside.greet();
  inside.start_tls();
  inside.command("EHLO x.test");
  half.greet();
  half.command("MAIL FROM:<a@example.net>");
  half.send("RCPT TO:<u@exa");
  half.is_silent(20ms);
  const auto start = steady_clock::now();
  auto stopped = intake.begin_stop(20s);
  for (SmtpClient* one : {&fresh, &greeted, &inside, &half}) {
    CHECK(one->reply().starts_with("421 4.3.2 relay.test "));
    CHECK(one->ended());
    one->finish_sending();
  }
  stopped.get();
  CHECK(steady_clock::now() - start < 5s);
  CHECK(intake.counts().open == 0);
}

TEST_CASE("SUB-30: a stop waits for the message under way, which gets its 250; then 421") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send(envelope);
  client.replies(3);
  client.send("Subject: x\r\n");
  auto stopped = intake.begin_stop(20s);
  CHECK(client.is_silent(50ms));
  CHECK_THROWS(SmtpClient(intake.port()));
  client.send("\r\nx\r\n.\r\nMAIL FROM:<a@example.net>\r\n");
  CHECK(client.reply().starts_with("250 2.0.0 Ok: queued"));
  CHECK(client.reply().starts_with("421 4.3.2 "));
  CHECK(client.ended());
  client.finish_sending();
  stopped.get();
  CHECK(intake.stored().size() == 1);
}

TEST_CASE(
    "SUB-30: a stop cuts what has not ended by its deadline: in data, in a handshake, in replies that nobody reads") {
  auto options = Intake::usual();
  options.addresses.push_back(Intake::address(2, smtp::TlsMode::implicit));
  Intake intake(options);
  SmtpClient data(intake.port()), starting(intake.port()), implicit(intake.port(1), "127.0.0.2"), deaf(intake.port());
  data.greet();
  data.send(envelope + "Subject: x\r\n\r\n" + std::string(200'000, 'x'));
  data.replies(3);
  starting.greet();
  starting.command("STARTTLS");
  deaf.greet();
  std::string hellos;
  for (int i = 0; i < 200'000; ++i) hellos += "EHLO x.test\r\n";
  for (int quiet = 0; quiet < 20;) {
    quiet = deaf.send_some(hellos) > 0 ? 0 : quiet + 1;
    std::this_thread::sleep_for(2ms);
  }
  CHECK(intake.counts().open == 4);
  const auto start = steady_clock::now();
  intake.stop(200ms);
  CHECK(steady_clock::now() - start >= 190ms);
  CHECK(steady_clock::now() - start < 3s);
  CHECK(intake.counts().open == 0);
  CHECK(intake.stored().empty());
}

TEST_CASE("SUB-29: a stop during a commit leaves the message whole, whether or not its 250 could still be said") {
  FaultyVfs disk;
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send(envelope);
  client.replies(3);
  FaultyVfs::Hang hang(disk);
  client.send("Subject: x\r\n\r\nx\r\n.\r\n");
  hang.wait();
  auto stopped = intake.begin_stop(50ms);
  CHECK(stopped.wait_for(200ms) == std::future_status::timeout);
  hang.release();
  stopped.get();
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].body() == "Subject: x\r\n\r\nx\r\n");
}

}  // namespace listener_end_test
