// SPDX-License-Identifier: Apache-2.0
// 250 only when the message is safe: what a client is told while the disk hangs, fails or is full.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include "tests/support/faulty_vfs.h"
#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_durable_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::FaultyVfs;
using support::Intake;
using support::SmtpClient;

namespace {
const std::string content = "Subject: x\r\n\r\nx\r\n";

// Small, one chunk, and many chunks.
std::vector<std::string> contents() {
  std::vector<std::string> all;
  for (const std::size_t size : {20U, 60'000U, 300'000U}) {
    std::string one = "Subject: x\r\n\r\n";
    while (one.size() < size) one += std::string(70, 'x') + "\r\n";
    all.push_back(one);
  }
  return all;
}

// Sends mail until it is taken; the last reply.
std::string deliver_until_taken(SmtpClient& client) {
  std::string reply;
  for (int tries = 0; tries < 100; ++tries) {
    reply = client.deliver(content);
    if (reply.starts_with("250")) break;
    client.command("RSET");
    std::this_thread::sleep_for(50ms);
  }
  return reply;
}
}  // namespace

TEST_CASE("SUB-29: no 250 before fsync has returned; commands and other sessions go on meanwhile") {
  for (const auto& one : contents()) {
    CAPTURE(one.size());
    FaultyVfs disk;
    Intake intake;
    SmtpClient client(intake.port());
    client.greet();
    client.command("MAIL FROM:<a@example.net>");
    client.command("RCPT TO:<u@example.org>");
    client.command("DATA");
    FaultyVfs::Hang hang(disk);
    client.send(one + ".\r\n");
    hang.wait();
    CHECK(client.is_silent(50ms));
    SmtpClient other(intake.port());
    other.greet();
    CHECK(other.command("NOOP").starts_with("250 "));
    hang.release();
    CHECK(client.reply().starts_with("250 2.0.0 Ok: queued"));
  }
}

TEST_CASE("SUB-29: sessions that wait together share an fsync") {
  constexpr std::size_t sessions = 40;
  FaultyVfs disk;
  Intake intake;
  std::vector<std::unique_ptr<SmtpClient>> clients;
  for (std::size_t i = 0; i < sessions; ++i) {
    clients.push_back(std::make_unique<SmtpClient>(intake.port()));
    clients.back()->greet();
    clients.back()->send("MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n");
    REQUIRE(clients.back()->replies(3).back().starts_with("354"));
  }
  FaultyVfs::Hang hang(disk);
  clients[0]->send(content + ".\r\n");
  hang.wait();
  for (std::size_t i = 1; i < sessions; ++i) clients[i]->send(content + ".\r\n");
  for (std::size_t i = 0; i < sessions; ++i) REQUIRE(clients[i]->is_silent(2ms));
  const int before = disk.plan().syncs;
  hang.release();
  for (auto& client : clients) REQUIRE(client->reply().starts_with("250 2.0.0 Ok: queued"));
  CHECK(disk.plan().syncs - before <= 3);
  CHECK(intake.stored().size() == sessions);
}

TEST_CASE(
    "SUB-29: when the disk fills up the client gets 452 4.3.1, when it fails 451 4.3.0, nothing stays, and the session "
    "lives on") {
  for (const int error : {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
    for (const auto& one : contents()) {
      CAPTURE(error);
      CAPTURE(one.size());
      FaultyVfs disk;
      Intake intake;
      SmtpClient client(intake.port());
      client.greet();
      CHECK(client.deliver(content).starts_with("250 2.0.0 "));
      client.command("MAIL FROM:<a@example.net>");
      client.command("RCPT TO:<u@example.org>");
      client.command("DATA");
      disk.plan().error = error;
      disk.plan().writes_until_failure = 0;
      client.send(one + ".\r\n");
      CHECK(client.reply().starts_with(error == SQLITE_FULL ? "452 4.3.1 " : "451 4.3.0 "));
      CHECK_FALSE(intake.log().events("store-failed").empty());
      CHECK(client.command("NOOP").starts_with("250 "));
      disk.heal();
      CHECK(deliver_until_taken(client).starts_with("250 2.0.0 "));
      const auto stored = intake.stored();
      CHECK(stored.size() == 2);
      for (const auto& each : stored) CHECK(each.body() == content);
      intake.wait_idle_disk();
      intake.sweep();  // for what could not be dropped while the disk failed
      CHECK(intake.rows("chunk") == 2);
      CHECK(intake.rows("draft") == 0);
    }
  }
}

TEST_CASE("DUR-02: after a failed sync the client gets 451 4.3.0, and so does whoever comes when syncs work again") {
  FaultyVfs disk;
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(content).starts_with("250 2.0.0 "));
  disk.plan().error = SQLITE_IOERR_FSYNC;
  disk.plan().syncs_until_failure = 0;
  CHECK(client.deliver(content).starts_with("451 4.3.0 "));
  disk.heal();
  CHECK(client.deliver(content).starts_with("451 4.3.0 "));
  const auto failed = intake.log().events("store-failed");
  REQUIRE_FALSE(failed.empty());
  CHECK(failed.front().get("error").find("sync ") != std::string_view::npos);
  CHECK(failed.front().get("error").find("queue.db-wal") != std::string_view::npos);
}

TEST_CASE("SUB-14: below min_free_space MAIL gets 452 4.3.1 before any data, and a SIZE that does not fit too") {
  auto queue_options = Intake::roomy();
  queue_options.min_free_space = std::uint64_t{1} << 62U;
  Intake intake(Intake::usual(), queue_options);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.command("MAIL FROM:<a@example.net>").starts_with("452 4.3.1 "));
  CHECK(client.command("MAIL FROM:<a@example.net> SIZE=999999999").starts_with("552 5.3.4 "));
  CHECK(client.command("RCPT TO:<u@example.org>").starts_with("503 5.5.1 "));
}

}  // namespace listener_durable_test
