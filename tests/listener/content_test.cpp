// SPDX-License-Identifier: Apache-2.0
// Message content over a real socket into a real queue: where it ends, what is refused, what is stored.
#include <doctest/doctest.h>

#include <numeric>
#include <regex>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_content_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {
// A client that may send content at once.
struct Data {
  explicit Data(std::uint16_t port, std::string_view mail = "MAIL FROM:<sender@example.net>") : client(port) {
    client.greet();
    client.command(mail);
    client.command("RCPT TO:<user@example.org>");
    if (!client.command("DATA").starts_with("354 ")) throw std::runtime_error("DATA was refused");
  }
  SmtpClient client;
};

// 7-bit lines of 72 octets, `size` in all, some of which begin with dots.
std::string text_of(std::size_t size) {
  std::string text;
  for (std::size_t line = 0; text.size() < size; ++line) {
    std::string one(line % 5 == 0 ? 2 : 0, '.');
    while (one.size() < 70) one += static_cast<char>('0' + (line + one.size()) % 70);
    text += one + "\r\n";
  }
  text.resize(size - 2);
  if (text.back() == '\r') text.back() = 'x';
  return text + "\r\n";
}
}  // namespace

TEST_CASE(
    "SUB-06: nothing but CRLF.CRLF ends DATA; what is smuggled behind lookalikes is content of one refused message") {
  const std::string nul(1, '\0');
  for (const std::string& end :
       {std::string("\n.\n"), std::string("\n.\r\n"), std::string("\r.\r"), std::string("\r\n.\n"),
        std::string("\r\n.\r"), std::string("\n.\r"), "\r\n" + nul + ".\r\n", "\r\n." + nul + "\r\n",
        std::string("\r.\r\n"), std::string("\r\n.\r\r\n")}) {
    CAPTURE(end);
    Intake intake;
    Data data(intake.port());
    data.client.send("Subject: one\r\n\r\nbody" + end +
                     "MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: two\r\n");
    CHECK(data.client.is_silent(20ms));
    data.client.send("\r\n.\r\n");
    CHECK(data.client.reply().starts_with("554 5.6.0 "));
    CHECK(data.client.command("NOOP").starts_with("250 "));
    CHECK(intake.stored().empty());
    CHECK(intake.rows("chunk") == 0);
  }
}

TEST_CASE("SUB-06, SUB-09: the terminator in any split of packets, right behind DATA too") {
  Intake intake;
  const std::string content = "Subject: x\r\n\r\n.\r\n..\r\n.x\r\n\r\nend\r\n";
  const std::string wire = support::dot_stuffed(content) + ".\r\nNOOP\r\n";
  for (std::size_t cut = 0; cut < wire.size(); ++cut) {
    CAPTURE(cut);
    Data data(intake.port());
    data.client.send(wire.substr(0, cut));
    if (cut > 0) data.client.is_silent(1ms);
    data.client.send(wire.substr(cut));
    REQUIRE(data.client.reply().starts_with("250 2.0.0 "));
    REQUIRE(data.client.reply().starts_with("250 2.0.0 "));
  }
  const auto stored = intake.stored();
  REQUIRE(stored.size() == wire.size());
  for (const auto& one : stored) CHECK(one.body() == content);
}

TEST_CASE("SUB-07: bare CR, bare LF and NUL are 554 5.6.0 after the true end, from a trusted client too") {
  Intake intake;
  for (const std::string& bad :
       {std::string("line1\nline2"), std::string("line1\rline2"), std::string("nul\0nul", 7)}) {
    SmtpClient client(intake.port());
    client.greet();
    CHECK(client.deliver("Subject: x\r\n\r\n" + bad + "\r\n").starts_with("554 5.6.0 "));
    CHECK(client.deliver("Subject: x\r\n\r\ngood\r\n").starts_with("250 2.0.0 "));
  }
  CHECK(intake.stored().size() == 3);
}

TEST_CASE("SUB-07: bare_newline: normalize stores CRLF only and is logged; NUL stays refused") {
  auto options = Intake::usual();
  options.addresses[0].bare_newline = smtp::BareNewline::normalize;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: x\n\nline1\rline2\r\n").starts_with("250 2.0.0 "));
  CHECK(client.deliver(std::string("Subject: x\r\n\r\nnul\0nul\r\n", 23)).starts_with("554 5.6.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].body() == "Subject: x\r\n\r\nline1\r\nline2\r\n");
  CHECK(intake.log().events("accepted").at(0).get("normalized") == "3");
}

TEST_CASE("SUB-14: SIZE is announced; too large is 552 5.3.4 before data") {
  auto options = Intake::usual();
  options.limits.message_size = 10'000'000;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.reply();
  CHECK(client.command("EHLO x.test").find("SIZE 10000000\r\n") != std::string::npos);
  CHECK(client.command("MAIL FROM:<a@example.net> SIZE=20000000").starts_with("552 5.3.4 "));
  CHECK(client.command("MAIL FROM:<a@example.net> SIZE=10000000").starts_with("250 "));
}

TEST_CASE("SUB-15: a message that grows past the limit is read to its end, refused, and leaves nothing") {
  auto options = Intake::usual();
  options.limits.message_size = 300'000;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(text_of(300'001)).starts_with("552 5.3.4 "));
  CHECK(client.deliver(text_of(2'000'000)).starts_with("552 5.3.4 "));
  CHECK(client.deliver(text_of(300'000)).starts_with("250 2.0.0 "));  // doubled dots do not count
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].body() == text_of(300'000));
  CHECK(intake.rows("chunk") == 5);
  CHECK(intake.rows("draft") == 0);
}

TEST_CASE("SUB-17: all 8-bit octets stay as they came; stored is 8BITMIME when it was said or is so") {
  Intake intake;
  const std::string seven = "Subject: x\r\n\r\nx\r\n";
  std::string eight = "Subject: x\r\n\r\n";
  for (int c = 0x80; c <= 0xff; ++c) eight += static_cast<char>(c);
  eight += "\r\n";
  const std::vector<std::pair<std::string, std::string>> sent = {{" BODY=8BITMIME", eight},
                                                                 {" BODY=8BITMIME", seven},
                                                                 {" BODY=7BIT", eight},
                                                                 {" BODY=7BIT", seven},
                                                                 {"", eight},
                                                                 {"", seven}};
  for (const auto& [parameter, content] : sent) {
    Data data(intake.port(), "MAIL FROM:<a@example.net>" + parameter);
    data.client.send(content + ".\r\n");
    CHECK(data.client.reply().starts_with("250 2.0.0 "));
  }
  const auto stored = intake.stored();
  REQUIRE(stored.size() == sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const bool declared = sent[i].first == " BODY=8BITMIME", is = sent[i].second == eight;
    CHECK(stored[i].envelope.body == (declared || is ? store::Body::eight_bit : store::Body::seven_bit));
    CHECK(stored[i].body() == sent[i].second);
  }
}

TEST_CASE("SUB-28: a line of 1,000,000 octets arrives in the queue byte by byte") {
  Intake intake;
  std::string line(1'000'000, 'a');
  for (std::size_t i = 0; i < line.size(); ++i) line[i] = static_cast<char>('!' + i * 7 % 90);
  const std::string content = "Subject: long\r\n\r\n" + line + "\r\nshort\r\n";
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(content).starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].body() == content);
}

TEST_CASE("SUB-28: the recipient above the limit gets 452 4.5.3 and the others get the message") {
  auto options = Intake::usual();
  options.limits.recipients = 100;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  client.command("MAIL FROM:<a@example.net>");
  for (int i = 0; i < 100; ++i)
    REQUIRE(client.command("RCPT TO:<u" + std::to_string(i) + "@example.org>").starts_with("250 2.1.5 "));
  CHECK(client.command("RCPT TO:<u100@example.org>").starts_with("452 4.5.3 "));
  client.command("DATA");
  client.send("Subject: x\r\n\r\nx\r\n.\r\n");
  CHECK(client.reply().starts_with("250 2.0.0 "));
  CHECK(intake.stored().at(0).recipients.size() == 100);
}

TEST_CASE("SUB-31: exactly one Received field is put before what came, which is untouched") {
  Intake intake;
  const std::string content =
      "Return-Path: <old@example.net>\r\nReceived: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: "
      "x\r\n\r\nx\r\n";
  SmtpClient client(intake.port());
  client.greet("me.test");
  const std::string reply = client.deliver(content, {"one@example.org"});
  client.deliver(content, {"one@example.org", "secret@example.org"});
  client.start_tls();
  client.command("HELO old.test");
  client.deliver(content, {"one@example.org"});
  client.command("EHLO new.test");
  client.deliver(content, {"one@example.org"});
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 4);
  const std::string id = stored[0].id.text();
  CHECK(reply == "250 2.0.0 Ok: queued as " + id + "\r\n");
  const std::string date = R"([A-Z][a-z]{2}, +\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000\r\n)";
  const auto field = [&](const std::string& middle) {
    return std::regex("Received: from " + middle + ";\r\n\t" + date);
  };
  const auto head = [&](std::size_t i) {
    return stored[i].content.substr(0, stored[i].content.size() - content.size());
  };
  CHECK(std::regex_match(head(0), field(R"(me\.test \(\[127\.0\.0\.1\]\)\r\n\tby relay\.test with ESMTP id )" + id +
                                        R"(\r\n\tfor <one@example\.org>)")));
  CHECK(std::regex_match(
      head(1), field(R"(me\.test \(\[127\.0\.0\.1\]\)\r\n\tby relay\.test with ESMTP id )" + stored[1].id.text())));
  CHECK(head(1).find("secret") == std::string::npos);
  CHECK(head(2).find(" with SMTP id ") != std::string::npos);
  CHECK(head(3).find("(TLSv1.3 cipher TLS_") != std::string::npos);
  CHECK(head(3).find(" with ESMTPS id ") != std::string::npos);
  for (const auto& one : stored) CHECK(one.body() == content);
}

TEST_CASE("SUB-32: more Received fields than the limit, or too many of our own, are a loop: 554 5.4.6") {
  Intake intake;
  const auto fields = [](int count, const std::string& by) {
    std::string head;
    for (int i = 0; i < count; ++i) head += "Received: from a by " + by + "; Thu, 1 Jan 2026 00:00:00 +0000\r\n";
    return head + "Subject: x\r\n\r\nx\r\n";
  };
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(fields(51, "other.test")).starts_with("554 5.4.6 "));
  CHECK(client.deliver(fields(50, "other.test")).starts_with("250 2.0.0 "));
  CHECK(client.deliver(fields(6, "relay.test")).starts_with("554 5.4.6 "));
  CHECK(client.deliver(fields(5, "relay.test")).starts_with("250 2.0.0 "));
  CHECK(intake.stored().size() == 2);
}

TEST_CASE("content without a header, empty content, and content of every length around a chunk arrive whole") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  std::vector<std::string> sent = {"", "\r\n", "no header\r\n", ".\r\n"};
  for (const std::size_t size : {65536U, 131072U, 400'000U}) {
    for (int off = -450; off <= 10; off += 92) sent.push_back(text_of(size + static_cast<std::size_t>(off)));
  }
  for (const auto& content : sent) REQUIRE(client.deliver(content).starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) CHECK(stored[i].body() == sent[i]);
}

}  // namespace listener_content_test
