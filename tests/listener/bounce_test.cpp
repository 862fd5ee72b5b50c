// SPDX-License-Identifier: Apache-2.0
// What comes back to the sender of TLS reports.
#include <doctest/doctest.h>

#include "listener/bounces.h"
#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_bounce_test {

using namespace hoplock;
using support::Intake;
using support::SmtpClient;

namespace {

listener::Options with_reports() {
  listener::Options options = Intake::usual();
  options.report_sender = std::get<smtp::Mailbox>(smtp::Mailbox::parse("tlsrpt@relay.test"));
  return options;
}

boost::asio::awaitable<void> keep(std::vector<std::string>& heard, std::string content) {
  heard.push_back(std::move(content));
  co_return;
}

}  // namespace

TEST_CASE(
    "RPT-40: a bounce to the sender of reports is taken and thrown away, by DATA and by BDAT, and told of in one "
    "line") {
  Intake intake(with_reports());
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver("Subject: Undelivered\r\n\r\nhello\r\n", {"tlsrpt@relay.test"}, "") ==
        "250 2.0.0 Ok: discarded\r\n");
  client.command("MAIL FROM:<>");
  client.command("RCPT TO:<TLSRPT@relay.test>");  // the local part's case counts: not that mailbox
  client.command("RSET");
  client.command("MAIL FROM:<>");
  client.command("RCPT TO:<tlsrpt@RELAY.test>");
  CHECK(client.command("BDAT 7 LAST\r\nhello") == "250 2.0.0 Ok: discarded\r\n");
  intake.wait_idle_disk();
  CHECK(intake.stored().empty());
  CHECK(intake.rows("chunk") == 0);
  CHECK(intake.log().events("tlsrpt-bounce").size() == 2);
  CHECK(intake.log().events("accepted").empty());
}

TEST_CASE("RPT-40: a large bounce leaves nothing on disk") {
  Intake intake(with_reports());
  SmtpClient client(intake.port());
  client.greet();
  std::string body = "Subject: Undelivered\r\n\r\n";
  while (body.size() < 3U << 20U) body += std::string(900, 'x') + "\r\n";
  CHECK(client.deliver(body, {"tlsrpt@relay.test"}, "") == "250 2.0.0 Ok: discarded\r\n");
  intake.wait_idle_disk();
  CHECK(intake.rows("chunk") == 0);
  CHECK(intake.rows("draft") == 0);
}

TEST_CASE(
    "RPT-47: whoever wants to know gets the beginning of a bounce before its sender gets an answer, and of other mail "
    "nothing") {
  Intake intake(with_reports());
  std::vector<std::string> heard;
  intake.on_loop([&] {
    intake.server().pass_bounces_to([&heard](std::string content) { return keep(heard, std::move(content)); });
  });
  SmtpClient client(intake.port());
  client.greet();
  const std::string bounce = "Subject: Undelivered\r\n\r\n.hello\r\n";
  CHECK(client.deliver(bounce, {"tlsrpt@relay.test"}, "") == "250 2.0.0 Ok: discarded\r\n");
  CHECK(intake.on_loop([&] { return heard; }) == std::vector<std::string>{bounce});
  CHECK(client.deliver(bounce, {"tlsrpt@relay.test"}).starts_with("250 2.0.0 Ok: queued as "));
  std::string large = "Subject: Undelivered\r\n\r\n";
  while (large.size() < 1U << 20U) large += std::string(900, 'x') + "\r\n";
  CHECK(client.deliver(large, {"tlsrpt@relay.test"}, "") == "250 2.0.0 Ok: discarded\r\n");
  const auto all = intake.on_loop([&] { return heard; });
  REQUIRE(all.size() == 2);
  CHECK(all[1] == large.substr(0, listener::most_of_bounce));
}

TEST_CASE("RPT-40: others that the same bounce is for get it, and mail with a sender is mail") {
  Intake intake(with_reports());
  SmtpClient client(intake.port());
  client.greet();
  const std::string both = client.deliver("Subject: x\r\n\r\nx\r\n", {"tlsrpt@relay.test", "user@example.org"}, "");
  CHECK(both.starts_with("250 2.0.0 Ok: queued as "));
  const std::string mail = client.deliver("Subject: x\r\n\r\nx\r\n", {"tlsrpt@relay.test"});
  CHECK(mail.starts_with("250 2.0.0 Ok: queued as "));
  const auto stored = intake.stored();
  REQUIRE(stored.size() == 2);
  CHECK(stored[0].recipients == std::vector<std::string>{"user@example.org"});
  CHECK(stored[1].recipients == std::vector<std::string>{"tlsrpt@relay.test"});
  CHECK(intake.log().events("tlsrpt-bounce").size() == 1);
}

}  // namespace listener_bounce_test
