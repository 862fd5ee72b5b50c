// SPDX-License-Identifier: Apache-2.0
// Content by BDAT over a real socket into a real queue.
#include <doctest/doctest.h>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_bdat_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {

std::string bdat(std::string_view octets, std::string_view last = "") {
  return "BDAT " + std::to_string(octets.size()) + std::string(last) + "\r\n" + std::string(octets);
}

const std::string transaction = "MAIL FROM:<sender@example.net>\r\nRCPT TO:<user@example.org>\r\n";

std::string text_of(std::size_t size) {
  std::string text = "Subject: x\r\n\r\n";
  while (text.size() < size) text += ".a line of the message, and the next one begins with a dot too\r\n";
  return text;
}

}  // namespace

TEST_CASE("SUB-18, SUB-09: one message, split by BDAT at every octet, is stored each time as DATA stores it") {
  Intake intake;
  const std::string content = "Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\nend\r\n";
  SmtpClient client(intake.port());
  client.greet();
  REQUIRE(client.deliver(content).starts_with("250 2.0.0 "));
  for (std::size_t cut = 0; cut <= content.size(); ++cut) {
    CAPTURE(cut);
    client.send(transaction + bdat(content.substr(0, cut)) + bdat(content.substr(cut), " LAST"));
    const auto replies = client.replies(4);
    CHECK(replies[2] == "250 2.0.0 " + std::to_string(cut) + " octets received\r\n");
    CHECK(replies[3].starts_with("250 2.0.0 Ok: queued as "));
  }
  const auto stored = intake.stored();
  REQUIRE(stored.size() == content.size() + 2);
  for (const auto& one : stored) CHECK(one.body() == content);
}

TEST_CASE("SUB-18: every split of the octets into packets, commands pipelined around them") {
  Intake intake;
  const std::string content = "Subject: x\r\n\r\nQUIT\r\n";
  const std::string wire = transaction + bdat(content) + "BDAT 0 LAST\r\nNOOP\r\n";
  for (std::size_t cut = 1; cut < wire.size(); ++cut) {
    CAPTURE(cut);
    SmtpClient client(intake.port());
    client.greet();
    client.send(wire.substr(0, cut));
    client.is_silent(1ms);
    client.send(wire.substr(cut));
    const auto replies = client.replies(5);
    CHECK(replies[3].starts_with("250 2.0.0 Ok: queued as "));
    CHECK(replies[4] == "250 2.0.0 Ok\r\n");
  }
  for (const auto& one : intake.stored()) CHECK(one.body() == content);
}

TEST_CASE("SUB-19: a refused BDAT swallows its octets before the reply; the payload never runs as a command") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send("BDAT 6\r\n");
  CHECK(client.is_silent(20ms));
  client.send("QUIT\r\n");
  CHECK(client.reply().starts_with("503 5.5.1 "));
  client.send("BDAT 6\r\nQUIT\r\nNOOP\r\n");
  const auto replies = client.replies(2);
  CHECK(replies[0].starts_with("503 5.5.1 "));
  CHECK(replies[1].starts_with("250 2.0.0 "));
  client.send("MAIL FROM:<sender@example.net>\r\nRCPT TO:<>\r\n" + bdat("QUIT\r\n") + bdat("QUIT\r\n", " LAST") +
              transaction + bdat("Subject: x\r\n\r\ngood\r\n", " LAST"));
  const auto more = client.replies(7);
  CHECK(more[2].starts_with("554 5.5.1 "));
  CHECK(more[3].starts_with("503 5.5.1 "));
  CHECK(more[6].starts_with("250 2.0.0 Ok: queued as "));
  CHECK(intake.stored().size() == 1);
}

TEST_CASE("SUB-08, SUB-19: a chunk with a lone LF is refused at once, and what follows it of the message with 503") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send(transaction + bdat("Subject: x\r\n\r\nx\n.\r\nMAIL FROM:<e@x>\r\n") + bdat("more\r\n") +
              bdat("end\r\n", " LAST") + "NOOP\r\n");
  const auto replies = client.replies(6);
  CHECK(replies[2].starts_with("554 5.6.0 "));
  CHECK(replies[3].starts_with("503 5.5.1 "));
  CHECK(replies[4].starts_with("503 5.5.1 "));
  CHECK(replies[5].starts_with("250 2.0.0 "));
  CHECK(intake.stored().empty());
  CHECK(intake.rows("chunk") == 0);
}

TEST_CASE("SUB-08: a chunk that ends in CR is judged by the next one") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send(transaction + bdat("Subject: x\r\n\r") + bdat("\nx\r") + bdat("\n", " LAST"));
  CHECK(client.replies(5)[4].starts_with("250 2.0.0 Ok: queued as "));
  client.send(transaction + bdat("Subject: x\r\n\r\nx\r") + bdat("", " LAST"));
  CHECK(client.replies(4)[3].starts_with("554 5.6.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].body() == "Subject: x\r\n\r\nx\r\n");
}

TEST_CASE("SUB-15: chunks beyond the limit are read to their end and refused with 552 5.3.4") {
  auto options = Intake::usual();
  options.limits.message_size = 100000;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  client.send(transaction + bdat(std::string(99998, 'x') + "\r\n", " LAST"));
  CHECK(client.replies(3)[2].starts_with("250 2.0.0 "));
  client.send(transaction + bdat(std::string(60000, 'x')) + bdat(std::string(60000, 'x')) + bdat("\r\n", " LAST"));
  const auto replies = client.replies(5);
  CHECK(replies[2].starts_with("250 2.0.0 60000 "));
  CHECK(replies[3].starts_with("552 5.3.4 "));
  CHECK(replies[4].starts_with("503 5.5.1 "));
  CHECK(client.command("NOOP").starts_with("250 "));
  CHECK(intake.stored().size() == 1);
}

TEST_CASE("SUB-18: a large message in many small chunks and in one large one arrives whole; RSET between leaves none") {
  Intake intake;
  const std::string content = text_of(3000000);
  SmtpClient client(intake.port());
  client.greet();
  client.send(transaction + bdat(content, " LAST"));
  CHECK(client.replies(3)[2].starts_with("250 2.0.0 Ok: queued as "));
  client.send(transaction);
  client.replies(2);
  for (std::size_t at = 0; at < content.size(); at += 3001) {
    client.send(bdat(content.substr(at, 3001)));
    REQUIRE(client.reply().starts_with("250 2.0.0 "));
  }
  CHECK(client.command("BDAT 0 LAST").starts_with("250 2.0.0 Ok: queued as "));
  client.send(transaction + bdat(content.substr(0, 500000)) + "RSET\r\n" + bdat("x\r\n", " LAST"));
  const auto replies = client.replies(5);
  CHECK(replies[3].starts_with("250 2.0.0 "));
  CHECK(replies[4].starts_with("503 5.5.1 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 2);
  for (const auto& one : stored) CHECK(one.body() == content);
}

TEST_CASE(
    "SUB-30: a client that stops inside a chunk is cut off with 421 4.4.2 after data_timeout, and leaves nothing") {
  auto options = Intake::usual();
  options.limits.data_timeout = 50ms;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  client.send(transaction + "BDAT 1000 LAST\r\nSubject: x\r\n");
  CHECK(client.replies(3)[2].starts_with("421 4.4.2 "));
  CHECK(client.ended());
  intake.wait_idle();
  CHECK(intake.stored().empty());
}

}  // namespace listener_bdat_test
