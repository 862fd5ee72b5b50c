// SPDX-License-Identifier: Apache-2.0
// Clients that go away in the middle of anything, and many large ones at once.
#include <doctest/doctest.h>
#include <malloc.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_vanish_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // slow, and memory is the sanitizer's
#else
constexpr bool sanitized = false;
#endif

const std::string session =
    "EHLO x.test\r\nMAIL FROM:<a@example.net> SIZE=20\r\nRCPT TO:<u@example.org>\r\nRCPT TO:<v@example.org>\r\nDATA\r\n"
    "Subject: x\r\n\r\n..x\r\n.\r\n";

// What the first session opens and keeps is not counted, nor the descriptor that SQLite keeps of the first look into the
// database.
std::size_t open_files(Intake& intake) {
  {
    SmtpClient client(intake.port());
    client.greet();
  }
  intake.wait_idle();
  intake.rows("chunk");
  const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  return 0;
}
}  // namespace

TEST_CASE(
    "SUB-29: a client that leaves after any octet of its session leaves nothing in the queue but what it finished") {
  enum class How { fin, reset };
  for (const How how : {How::fin, How::reset}) {
    Intake intake;
    const std::size_t before = open_files(intake);
    for (std::size_t octets = 0; octets < session.size(); ++octets) {
      SmtpClient client(intake.port());
      client.reply();
      client.send(session.substr(0, octets));
      if (how == How::reset) client.reset();
    }
    intake.wait_idle();
    CHECK(intake.stored().empty());
    CHECK(intake.rows("chunk") == 0);
    CHECK(intake.log().events("internal-error").empty());
    SmtpClient client(intake.port());
    client.reply();
    client.send(session);
    client.finish_sending();
    CHECK(client.replies(6).back().starts_with("250 2.0.0 Ok: queued"));
    CHECK(client.ended());
    intake.wait_idle();
    CHECK(intake.stored().size() == 1);
    CHECK(open_files(intake) <= before + 1);  // this client
  }
}

TEST_CASE("SUB-10: a client that leaves at any point of STARTTLS and the session inside it leaves nothing") {
  Intake intake;
  const std::size_t before = open_files(intake);
  for (std::size_t octets = 0; octets < session.size(); octets += 7) {
    SmtpClient client(intake.port());
    client.greet();
    client.start_tls();
    client.send(session.substr(0, octets));
    if (octets % 2 == 0) client.reset();
  }
  for (int i = 0; i < 10; ++i) {
    SmtpClient client(intake.port());
    client.greet();
    client.command("STARTTLS");
    if (i % 2 == 0) client.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  }
  intake.wait_idle();
  CHECK(intake.stored().empty());
  CHECK(open_files(intake) <= before);
}

TEST_CASE("SUB-29: large messages whose clients leave half-way leave no chunk behind") {
  Intake intake;
  for (int i = 0; i < 20; ++i) {
    SmtpClient client(intake.port());
    client.greet();
    client.send("MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n");
    client.replies(3);
    client.send(std::string(static_cast<std::size_t>(50'000 * (i + 1)), 'x'));
    if (i % 2 == 0) client.reset();
  }
  intake.wait_idle();
  intake.wait_idle_disk();
  CHECK(intake.stored().empty());
  CHECK(intake.rows("chunk") == 0);
  CHECK(intake.rows("draft") == 0);
}

TEST_CASE("a hundred clients that send large messages at once are served in bounded memory, each whole") {
  constexpr std::size_t clients = 100;
  constexpr std::size_t blocks = sanitized ? 8 : 64;  // of 64 KiB each: 4 MiB a message
  Intake intake;
  std::string block;
  while (block.size() < 65536) block += std::string(62, 'x') + "\r\n";
  std::vector<std::unique_ptr<SmtpClient>> all;
  for (std::size_t i = 0; i < clients; ++i) {
    all.push_back(std::make_unique<SmtpClient>(intake.port()));
    all.back()->greet();
    all.back()->send("MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n");
    all.back()->replies(3);
    all.back()->send(block);
  }
  ::malloc_trim(0);
  const std::size_t before = resident_kib();
  std::size_t most = before;
  for (std::size_t b = 1; b < blocks; ++b) {
    for (auto& client : all) client->send(block);
    most = std::max(most, resident_kib());
  }
  for (auto& client : all) client->send(".\r\n");
  for (auto& client : all) REQUIRE(client->reply().starts_with("250 2.0.0 Ok: queued"));
  most = std::max(most, resident_kib());
  CHECK((sanitized || most - before < 64 * 1024));
  MESSAGE("memory rose by " << (most - before) / 1024 << " MiB");
  CHECK(intake.rows("message") == clients);
  CHECK(intake.rows("chunk") == clients * (blocks + 1));
}

}  // namespace listener_vanish_test
