// SPDX-License-Identifier: Apache-2.0
// What a client may say, and what it gets for it, over a real socket.
#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <regex>
#include <sstream>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_commands_test {

using namespace hoplock;
using namespace std::chrono_literals;
using support::Intake;
using support::SmtpClient;

namespace {
// While it lives the intake's loop stands still: what a client does meanwhile has all arrived when it goes on.
class Standstill {
 public:
  explicit Standstill(Intake& intake) {
    std::promise<void> standing;
    auto stands = standing.get_future();
    thread_ = std::thread([&intake, &standing, go = go_.get_future()]() mutable {
      intake.on_loop([&standing, &go] {
        standing.set_value();
        go.wait();
      });
    });
    stands.wait();
  }
  ~Standstill() {
    go_.set_value();
    thread_.join();
  }

 private:
  std::promise<void> go_;
  std::thread thread_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line.substr(0, line.size() - 1));
  return lines;
}
}  // namespace

TEST_CASE("SUB-01: a client outside `allow` is refused at RCPT and nothing is queued; one inside may relay") {
  Intake intake;
  SmtpClient stranger(intake.port(), "127.0.0.1", "127.0.0.77");
  stranger.greet();
  CHECK(stranger.command("MAIL FROM:<a@example.net>").starts_with("250 2.1.0 "));
  CHECK(stranger.command("RCPT TO:<user@example.org>").starts_with("550 5.7.1 "));
  CHECK(stranger.command("DATA").starts_with("554 5.5.1 "));
  SmtpClient friendly(intake.port());
  friendly.greet();
  CHECK(friendly.deliver("Subject: hello\r\n\r\nhello\r\n").starts_with("250 2.0.0 Ok: queued as "));
  CHECK(intake.stored().size() == 1);
}

TEST_CASE("SUB-01, SUB-26: a stranger reaches our postmaster, any case, and nobody else") {
  Intake intake;
  SmtpClient stranger(intake.port(), "127.0.0.1", "127.0.0.77");
  stranger.greet();
  CHECK(stranger.deliver("Subject: help\r\n\r\nhelp\r\n", {"PostMaster"}, "").starts_with("250 2.0.0 "));
  CHECK(stranger.deliver("Subject: help\r\n\r\nhelp\r\n", {"postmaster@relay.test"}).starts_with("250 2.0.0 "));
  CHECK(stranger.deliver("Subject: help\r\n\r\nhelp\r\n", {"postmaster@example.org"}).starts_with("550 5.7.1 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 2);
  CHECK(stored[0].envelope.sender.empty());
  CHECK(stored[0].recipients == std::vector<std::string>{"admin@example.com"});
  CHECK(stored[1].recipients == std::vector<std::string>{"admin@example.com"});
}

TEST_CASE("SUB-02: the server speaks first, with its name") {
  Intake intake;
  SmtpClient client(intake.port());
  CHECK(client.reply().starts_with("220 relay.test "));
}

TEST_CASE("SUB-02: a client that spoke before the banner is told so and is cut; what it said is not obeyed") {
  Intake intake;
  std::optional<SmtpClient> client;
  {
    const Standstill still(intake);
    client.emplace(intake.port());
    client->send("EHLO hasty.test\r\nMAIL FROM:<a@example.net>\r\n");
  }
  CHECK(client->reply().starts_with("554 5.5.1 "));
  CHECK(client->ended());
  const auto rejected = intake.log().events("rejected");
  REQUIRE(rejected.size() == 1);
  CHECK(rejected[0].get("code") == "554");
}

TEST_CASE("rejected: the sender is the one that the command named; a command that names none is not from <>") {
  const struct {
    const char* command;
    const char* from;
  } rows[] = {{"MAIL FROM:a@example.net", ""},
              {"MAIL FROM", ""},
              {"MAIL FROM:<a@example.net> X=1", "a@example.net"},
              {"MAIL FROM:<> X=1", "<>"}};
  for (const auto& row : rows) {
    CAPTURE(row.command);
    Intake intake;
    SmtpClient client(intake.port());
    client.reply();
    client.command("EHLO client.test");
    CHECK(client.command(row.command).starts_with("5"));
    const auto rejected = intake.log().events("rejected");
    REQUIRE(rejected.size() == 1);
    CHECK(rejected[0].get("from") == row.from);
  }
}

// It was told as one from <>.
TEST_CASE("rejected: a recipient for whom no sender was named before has no from") {
  Intake intake;
  SmtpClient client(intake.port());
  client.reply();
  client.command("EHLO client.test");
  CHECK(client.command("RCPT TO:<u\x01@example.org>").starts_with("500 5.5.2 "));
  client.command("MAIL FROM:<>");
  CHECK(client.command("RCPT TO:<u\x01@example.org>").starts_with("500 5.5.2 "));
  const auto rejected = intake.log().events("rejected");
  REQUIRE(rejected.size() == 2);
  const auto has_from = [](const Event& event) {
    return std::any_of(event.fields().begin(), event.fields().end(), [](const auto& one) { return one.key == "from"; });
  };
  CHECK_FALSE(has_from(rejected[0]));
  CHECK(has_from(rejected[1]));
}

TEST_CASE("SUB-05: a lone LF or CR in a command is answered 500 5.5.2 and ends the session, nothing of it is obeyed") {
  for (const std::string bad :
       {"RCPT TO:<a@example.org>\nRCPT TO:<b@example.org>\r\n", "RCPT TO:<a@example.org>\rRCPT TO:<b@example.org>\r\n",
        "NOOP\n", "NOOP\r\r\n", "DATA\n.\r\nQUIT\r\n"}) {
    CAPTURE(bad);
    Intake intake;
    SmtpClient client(intake.port());
    client.greet();
    client.command("MAIL FROM:<a@example.net>");
    client.command("RCPT TO:<good@example.org>");
    client.send(bad);
    CHECK(client.reply().starts_with("500 5.5.2 "));
    CHECK(client.ended());
    CHECK(intake.stored().empty());
  }
}

TEST_CASE("SUB-05: a CR whose LF comes in a later packet ends the line as it should") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  client.send("NOOP\r");
  CHECK(client.is_silent(30ms));
  client.send("\nNO");
  CHECK(client.reply().starts_with("250 2.0.0 "));
  client.send("OP\r\n");
  CHECK(client.reply().starts_with("250 2.0.0 "));
}

TEST_CASE("SUB-21: every reply line but banner, EHLO and HELO has an enhanced code of its class") {
  auto options = Intake::usual();
  options.limits.recipients = 2;
  options.limits.message_size = 1000;
  Intake intake(options);
  SmtpClient client(intake.port());
  client.greet();
  const std::vector<std::string> script = {"EXPN list",
                                           "FOO",
                                           "",
                                           "MAIL FROM:<a@example.net> SIZE=2000",
                                           "MAIL FROM:<a@example.net> BAR=1",
                                           "MAIL x",
                                           "MAIL FROM:<a b@example.net>",
                                           "RCPT TO:<u@example.org>",
                                           "DATA",
                                           "MAIL FROM:<a@example.net> BODY=8BITMIME SIZE=5",
                                           "MAIL FROM:<a@example.net>",
                                           "DATA",
                                           "RCPT TO:<>",
                                           "RCPT TO:<u@[192.0.2.1]>",
                                           "RCPT TO:<u1@example.org> X=1",
                                           "RCPT TO:<u1@example.org>",
                                           "RCPT TO:<u2@example.org>",
                                           "RCPT TO:<u3@example.org>",
                                           "VRFY u1",
                                           "HELP",
                                           "NOOP x",
                                           "RSET x",
                                           "RSET",
                                           "STARTTLS x",
                                           "BDAT 0 LAST",
                                           "AUTH PLAIN",
                                           std::string(3000, 'x'),
                                           "EHLO",
                                           "HELO"};
  for (const auto& line : script) client.command(line);
  client.deliver("Subject: x\r\n\r\nlone\nnewline\r\n");
  client.deliver("Subject: x\r\n\r\n" + std::string(1000, 'y') + "\r\n");
  client.deliver("Subject: x\r\n\r\ngood\r\n");
  client.command("STARTTLS");
  REQUIRE(client.handshake());
  client.command("MAIL FROM:<a@example.net>");
  client.command("STARTTLS");
  client.command("QUIT");
  const std::regex wanted(R"(^([245])\d\d[ -]([245])\.\d{1,3}\.\d{1,3} .*)");
  std::size_t seen = 0;
  for (const auto& line : lines_of(client.everything())) {
    if (line.starts_with("220 relay.test") || line.starts_with("250-") || line.starts_with("354 ")) continue;
    if (line == "250 STARTTLS" || line == "250 ENHANCEDSTATUSCODES") continue;  // the end of EHLO's
    CAPTURE(line);
    std::smatch match;
    REQUIRE(std::regex_match(line, match, wanted));
    CHECK(match[1] == match[2]);
    ++seen;
  }
  CHECK(seen == script.size() + 3 + 2 * 3 + 4 - 0);
}

TEST_CASE("SUB-26: the null sender is accepted and stays null") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: bounce\r\n\r\nbounce\r\n", {"user@example.org"}, "").starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].envelope.sender.empty());
  CHECK(intake.log().events("accepted").at(0).get("from") == "<>");
}

TEST_CASE("SUB-27: source routes are stripped, local parts stay as they came, also in the database") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  const std::vector<std::string> given = {"@a.example,@b.example:u@c.example", "\"x@evil.example\"@c.example",
                                          "MiXed@c.example"};
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n", given).starts_with("250 2.0.0 "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].recipients ==
        std::vector<std::string>{"u@c.example", "\"x@evil.example\"@c.example", "MiXed@c.example"});
  CHECK(intake.rows("domain") == 1);
}

TEST_CASE("a hundred failing commands end the session with 421, over several transactions") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet();
  for (int i = 0; i < 99; ++i) REQUIRE(client.command(i % 2 == 0 ? "FOO" : "DATA").starts_with("50"));
  CHECK(client.command("FOO").starts_with("421 4.7.0 "));
  CHECK(client.ended());
}

TEST_CASE("an HTTP request is refused at its first line; commands in its body are not obeyed") {
  Intake intake;
  SmtpClient client(intake.port());
  client.reply();
  client.send(
      "POST / HTTP/1.1\r\nHost: relay.test\r\nContent-Length: 99\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.net>\r\n"
      "RCPT TO:<u@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n");
  CHECK(client.reply().starts_with("421 4.7.0 "));
  CHECK(client.ended());
  CHECK(intake.stored().empty());
}

TEST_CASE("`accepted` and `rejected` say who, what and why") {
  Intake intake;
  SmtpClient client(intake.port());
  client.greet("me.test");
  const std::string reply =
      client.deliver("Message-ID: <1@x.test>\r\n\r\nbody\r\n", {"u1@example.org", "u2@example.org"});
  client.command("MAIL FROM:<who@example.net>");
  client.command("RCPT TO:<u@[192.0.2.1]>");
  client.command("DATA");
  client.command("RSET");
  client.command("MAIL FROM:<> SIZE=99999999999");
  const auto accepted = intake.log().events("accepted");
  REQUIRE(accepted.size() == 1);
  std::vector<std::string> keys;
  for (const auto& field : accepted[0].fields()) keys.emplace_back(field.key);
  CHECK(keys == std::vector<std::string>{"id", "from", "nrcpt", "size", "client", "helo", "tls", "listener", "msgid"});
  CHECK(reply == "250 2.0.0 Ok: queued as " + std::string(accepted[0].get("id")) + "\r\n");
  CHECK(accepted[0].get("from") == "sender@example.net");
  CHECK(accepted[0].get("nrcpt") == "2");
  CHECK(accepted[0].get("size") == "32");
  CHECK(accepted[0].get("client") == "127.0.0.1");
  CHECK(accepted[0].get("helo") == "me.test");
  CHECK(accepted[0].get("tls") == "none");
  CHECK(accepted[0].get("msgid") == "<1@x.test>");
  const auto rejected = intake.log().events("rejected");
  REQUIRE(rejected.size() == 3);
  CHECK(rejected[0].get("client") == "127.0.0.1");
  CHECK(rejected[0].get("from") == "who@example.net");
  CHECK(rejected[0].get("to") == "u@[192.0.2.1]");
  CHECK(rejected[0].get("code") == "550");
  CHECK(rejected[0].get("reply").starts_with("550 5.1.3 "));
  CHECK(rejected[1].get("code") == "554");
  CHECK(rejected[2].get("from") == "<>");
  CHECK(rejected[2].get("code") == "552");
  CHECK(intake.counts().rejected == 3);
  CHECK(intake.counts().accepted == 1);
}

}  // namespace listener_commands_test
