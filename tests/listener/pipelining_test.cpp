// SPDX-License-Identifier: Apache-2.0
// PIPELINING over real sockets: one reply for each command, in order, one write for each group, and no deadlock.
#include <doctest/doctest.h>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_pipelining_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

TEST_CASE("SUB-16: a group in one write gets its replies in order") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send("MAIL FROM:<a@example.net>\r\nRCPT TO:<good@example.org>\r\nRCPT TO:<bad@[192.0.2.1]>\r\nDATA\r\n");
  const auto replies = client.replies(4);
  CHECK(replies[0].starts_with("250 2.1.0 "));
  CHECK(replies[1].starts_with("250 2.1.5 "));
  CHECK(replies[2].starts_with("550 5.1.3 "));
  CHECK(replies[3].starts_with("354 "));
  client.send("Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n");
  CHECK(client.reply().starts_with("250 2.0.0 Ok: queued"));
  CHECK(client.reply() == "250 2.0.0 Ok\r\n");
}

TEST_CASE("SUB-16: DATA without a good recipient leads to no message, whatever follows it") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send("MAIL FROM:<a@example.net>\r\nRCPT TO:<bad@[192.0.2.1]>\r\nDATA\r\nQUIT\r\n");
  const auto replies = client.replies(4);
  CHECK(replies[1].starts_with("550 5.1.3 "));
  CHECK(replies[2].starts_with("554 5.5.1 "));
  CHECK(replies[3].starts_with("221 2.0.0 "));
  CHECK(client.ended());
  CHECK(intake.stored().empty());
}

TEST_CASE("SUB-16: a whole session in one write, content and all, and FIN behind it") {
  Intake intake;
  SmtpClient client(intake.port());
  client.reply();
  std::string all = "EHLO x.test\r\n";
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    all += "MAIL FROM:<a@example.net>\r\nRCPT TO:<u" + n + "@example.org>\r\nDATA\r\nSubject: " + n + "\r\n\r\n.." + n +
           "\r\n.\r\n";
  }
  client.send(all + "QUIT\r\n");
  client.finish_sending();
  const auto replies = client.replies(1 + 20 * 4 + 1);
  CHECK(replies.back().starts_with("221 "));
  CHECK(client.ended());
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 20);
  for (std::size_t i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    CHECK(replies[4 + i * 4] == "250 2.0.0 Ok: queued as " + stored[i].id.text() + "\r\n");
    CHECK(stored[i].body() == "Subject: " + n + "\r\n\r\n." + n + "\r\n");
    CHECK(stored[i].recipients == std::vector<std::string>{"u" + n + "@example.org"});
  }
}

TEST_CASE("SUB-16: the replies to a group come in one write") {
  Intake intake;
  SmtpClient client(intake.port());  // inside TLS a write is a record, and a read gives one record
  client.greet();
  client.start_tls();
  client.command("EHLO x.test");
  client.send("MAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nRCPT TO:<v@example.org>\r\nDATA\r\n");
  CHECK(client.receive() == "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
  client.send("Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n");
  const std::string group = client.receive();
  CHECK(group.starts_with("250 2.0.0 Ok: queued as "));
  CHECK(group.ends_with("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"));
  client.send("Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n");
  CHECK(client.receive().ends_with("221 2.0.0 relay.test closing connection\r\n"));
}

TEST_CASE(
    "SUB-16: a client that pipelines and does not read stops the server's reading, loses nothing, and blocks nobody") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  const std::string group = [] {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "NOOP\r\nEHLO x.test\r\n";
    return text;
  }();
  std::string unsent;
  std::size_t commands = 0;
  for (; unsent.empty(); commands += 2000) {
    REQUIRE(commands < 20'000'000);  // it would have been read without end
    std::size_t sent = client.send_some(group);
    // The server may only be slower than we are: full is when nothing goes for a while.
    for (int tries = 0; sent < group.size() && tries < 100; ++tries) {
      std::this_thread::sleep_for(2ms);
      const std::size_t more = client.send_some(std::string_view(group).substr(sent));
      if (more > 0) tries = 0;
      sent += more;
    }
    unsent = group.substr(sent);
  }
  SmtpClient other(intake.port());
  other.greet();
  CHECK(other.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  std::size_t noops = 0, hellos = 0;
  for (std::size_t i = 0; i < commands; ++i) {
    if (!unsent.empty()) unsent.erase(0, client.send_some(unsent));
    const std::string reply = client.reply();
    const bool noop = i % 2 == 0;
    REQUIRE(noop == (reply == "250 2.0.0 Ok\r\n"));
    ++(noop ? noops : hellos);
  }
  CHECK(noops == hellos);
}

TEST_CASE("SUB-16: commands cut into single octets are answered as if they came whole") {
  Intake intake;
  SmtpClient client(intake.port());
  client.reply();
  for (const char c : std::string("EHLO x.test\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n"
                                  "Subject: x\r\n\r\n..x\r\n.\r\n"))
    client.send({&c, 1});
  CHECK(client.replies(5).back().starts_with("250 2.0.0 Ok: queued"));
  CHECK(intake.stored().at(0).body() == "Subject: x\r\n\r\n.x\r\n");
}

}  // namespace listener_pipelining_test
