// SPDX-License-Identifier: Apache-2.0
// STARTTLS, required and implicit TLS over real sockets.
#include <doctest/doctest.h>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_tls_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {
listener::Options with(smtp::TlsMode mode) {
  auto options = Intake::usual();
  options.addresses[0].tls = mode;
  return options;
}
}  // namespace

TEST_CASE("SUB-10: commands behind STARTTLS in one packet are never obeyed: 554, the end, and a line in the log") {
  for (const std::string smuggled : {"MAIL FROM:<evil@example.net>\r\n", "x", "\r\n"}) {
    CAPTURE(smuggled);
    Intake intake;
    SmtpClient client(intake.port());
    client.greet();
    client.send("STARTTLS\r\n" + smuggled);
    CHECK(client.reply().starts_with("554 5.5.1 "));
    CHECK(client.ended());
    const auto rejected = intake.log().events("rejected");
    REQUIRE(rejected.size() == 1);
    CHECK(rejected[0].get("reply").find("STARTTLS") != std::string::npos);
  }
}

TEST_CASE("SUB-10: clear octets that come after the 220 only break the handshake") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.command("STARTTLS").starts_with("220 "));
  client.send("MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\n");
  CHECK_FALSE(client.handshake());
  intake.wait_idle();
  CHECK(intake.stored().empty());
  CHECK(intake.log().events("tls-failed").size() == 1);
}

TEST_CASE("SUB-11: the handshake makes everything said before forgotten") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet("before.test");
  client.command("MAIL FROM:<before@example.net>");
  client.command("RCPT TO:<before@example.org>");
  client.start_tls();
  CHECK(client.command("MAIL FROM:<a@example.net>").starts_with("503 5.5.1 "));
  CHECK(client.command("RCPT TO:<after@example.org>").starts_with("503 5.5.1 "));
  CHECK(client.command("EHLO after.test").find("STARTTLS") == std::string::npos);
  CHECK(client.command("RCPT TO:<after@example.org>").starts_with("503 5.5.1 "));
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n", {"after@example.org"}).starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].recipients == std::vector<std::string>{"after@example.org"});
  CHECK(stored[0].content.find("before") == std::string::npos);
  CHECK(intake.log().events("accepted").at(0).get("tls") == "TLSv1.3");
}

TEST_CASE("SUB-12: STARTTLS with an argument is 501, inside TLS 503, and the session lives on") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.command("STARTTLS now").starts_with("501 5.5.4 "));
  client.start_tls();
  CHECK(client.command("EHLO x.test").find("STARTTLS") == std::string::npos);
  CHECK(client.command("STARTTLS").starts_with("503 5.5.1 "));
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
}

TEST_CASE("SUB-13: tls: required takes no mail in clear") {
  Intake intake(with(smtp::TlsMode::required));
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.command("NOOP").starts_with("250 "));
  for (const std::string line : {"MAIL FROM:<a@example.net>", "RCPT TO:<u@example.org>", "DATA", "VRFY x", "RSET"})
    CHECK(client.command(line).starts_with("530 5.7.0 "));
  client.start_tls();
  client.command("EHLO x.test");
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  SmtpClient other(intake.port());
  other.greet();
  CHECK(other.command("QUIT").starts_with("221 2.0.0 "));
  CHECK(other.ended());
}

TEST_CASE("SUB-13: tls: implicit says nothing in clear and serves inside TLS") {
  Intake intake(with(smtp::TlsMode::implicit));
  SmtpClient clear(intake.port());
  clear.send("EHLO x.test\r\n");
  CHECK_THROWS(clear.reply());
  CHECK(clear.everything().find("220") == std::string::npos);
  CHECK(clear.everything().find("554") == std::string::npos);
  SmtpClient client(intake.port());
  REQUIRE(client.handshake());
  client.greet();
  CHECK(client.command("STARTTLS").starts_with("503 5.5.1 "));
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].content.find(" with ESMTPS id ") != std::string::npos);
}

TEST_CASE("SUB-13: tls: none has no STARTTLS") {
  Intake intake(with(smtp::TlsMode::none));
  SmtpClient client(intake.port());
  client.reply();
  CHECK(client.command("EHLO x.test").find("STARTTLS") == std::string::npos);
  CHECK(client.command("STARTTLS").starts_with("502 5.5.1 "));
}

TEST_CASE("SUB-30: a client that goes quiet in the handshake is cut after command_timeout") {
  auto options = with(smtp::TlsMode::starttls);
  options.addresses.push_back(Intake::address(2, smtp::TlsMode::implicit));
  options.limits.command_timeout = 150ms;
  Intake intake(options);
  SmtpClient starting(intake.port(0));
  starting.greet();
  starting.command("STARTTLS");
  SmtpClient implicit(intake.port(1), "127.0.0.2");
  CHECK_THROWS(starting.receive());
  CHECK_THROWS(implicit.receive());
  intake.wait_idle();
  CHECK(intake.log().events("tls-failed").size() == 2);
}

TEST_CASE("a TLS client gets its replies and the queue its content when large mail is pipelined in one go") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.start_tls();
  std::string line(70, 'x');
  std::string content = "Subject: x\r\n\r\n";
  while (content.size() < 500'000) content += line + "\r\n";
  std::string all = "EHLO x.test\r\n";
  for (int i = 0; i < 3; ++i)
    all += "MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n" + content + ".\r\n";
  client.send(all + "QUIT\r\n");
  const auto replies = client.replies(1 + 3 * 4 + 1);
  CHECK(replies.back().starts_with("221 2.0.0 "));
  CHECK(client.ended());
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 3);
  for (const auto& one : stored) CHECK(one.body() == content);
}

}  // namespace listener_tls_test
