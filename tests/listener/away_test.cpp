// SPDX-License-Identifier: Apache-2.0
// A store that several nodes share is away: what clients are told, so that they take their next host and lose nothing.
#include <doctest/doctest.h>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_away_test {

using namespace hoplock;
using support::Intake;
using support::SmtpClient;

namespace {
const std::string content = "Subject: x\r\n\r\nx\r\n";
}

TEST_CASE(
    "a store that is away: the banner is 421 4.3.2, the line is in the log, and it serves again when the store is "
    "back") {
  Intake intake;
  intake.set_store(Intake::There::no);
  {
    SmtpClient client(intake.port());
    CHECK(client.reply().starts_with("421 4.3.2 relay.test "));
    CHECK(client.ended());
  }
  CHECK(intake.log().events("rejected").size() == 1);
  intake.set_store(Intake::There::yes);
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(content).starts_with("250 2.0.0 Ok: queued"));
  CHECK(intake.stored().size() == 1);
}

TEST_CASE("a store that goes away: the next MAIL of a session is 421 4.3.2 and its end, content under way 451 4.3.0") {
  Intake intake;
  SmtpClient between(intake.port());
  between.greet();
  SmtpClient at_data(intake.port());
  at_data.greet();
  at_data.command("MAIL FROM:<a@example.net>");
  at_data.command("RCPT TO:<u@example.org>");
  SmtpClient inside(intake.port());
  inside.greet();
  inside.command("MAIL FROM:<a@example.net>");
  inside.command("RCPT TO:<u@example.org>");
  CHECK(inside.command("DATA").starts_with("354"));
  SmtpClient chunks(intake.port());
  chunks.greet();
  chunks.command("MAIL FROM:<a@example.net>");
  chunks.command("RCPT TO:<u@example.org>");
  intake.set_store(Intake::There::no);
  CHECK(between.command("MAIL FROM:<a@example.net>").starts_with("421 4.3.2 relay.test "));
  CHECK(between.ended());
  CHECK(at_data.command("DATA").starts_with("451 4.3.0"));
  CHECK(inside.command(content + ".").starts_with("451 4.3.0"));
  CHECK(chunks.command("BDAT " + std::to_string(content.size()) + " LAST\r\n" + content.substr(0, content.size() - 2))
            .starts_with("451 4.3.0"));
  CHECK(intake.stored().empty());
  // whoever was refused in the middle may go on when it is back
  intake.set_store(Intake::There::yes);
  CHECK(inside.deliver(content).starts_with("250 2.0.0 Ok: queued"));
  CHECK(at_data.deliver(content).starts_with("250 2.0.0 Ok: queued"));
}

}  // namespace listener_away_test
