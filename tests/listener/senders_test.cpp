// SPDX-License-Identifier: Apache-2.0
// senders_limit: what one envelope sender may send.
#include "listener/senders.h"

#include <doctest/doctest.h>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"

namespace listener_senders_test {

using namespace hoplock;
using namespace std::chrono_literals;
using listener::Rate;
using listener::Senders;
using support::Intake;
using support::SmtpClient;

namespace {
const net::SteadyTime t0 = net::SteadyTime{} + 1h;
const std::string content = "Subject: x\r\n\r\nx\r\n";
}  // namespace

TEST_CASE("a sender's periods: counted together, over by their time, each with its own first refusal") {
  Senders senders;
  CHECK(senders.at_sender("a@x.test", t0).over == Senders::Over::no);
  CHECK(senders.size() == 0);  // no limit, nothing to remember
  senders.set({Rate{2, 1h}, Rate{3, 24h}});
  const auto message = [&](int recipients, net::SteadyTime now) {
    auto verdict = senders.at_sender("A@x.test", now);
    const auto counted = senders.begin("\"a\"@X.test");
    for (int i = 0; i < recipients && verdict.over == Senders::Over::no; ++i) verdict = counted->add_recipient(now);
    if (verdict.over == Senders::Over::no) counted->keep();
    return verdict;
  };
  CHECK(message(1, t0).over == Senders::Over::no);
  CHECK(message(1, t0).over == Senders::Over::no);
  auto third = message(1, t0);
  CHECK(third.over == Senders::Over::messages);
  CHECK(third.first);
  third = message(1, t0 + 59min);
  CHECK(third.over == Senders::Over::messages);
  CHECK_FALSE(third.first);
  CHECK(message(1, t0 + 1h).over == Senders::Over::no);
  const auto more = message(1, t0 + 2h);
  CHECK(more.over == Senders::Over::recipients);
  CHECK(more.first);
  CHECK(message(4, t0 + 25h).over == Senders::Over::recipients);
  CHECK(senders.at_sender("b@x.test", t0).over == Senders::Over::no);
}

TEST_CASE("what is not kept goes back, into the period that it came from") {
  Senders senders;
  senders.set({Rate{2, 1h}, Rate{9, 24h}});
  const auto over = [&](net::SteadyTime now) { return senders.at_sender("a@x.test", now).over; };
  {
    const auto one = senders.begin("a@x.test"), two = senders.begin("a@x.test");
    CHECK(one->add_recipient(t0).over == Senders::Over::no);
    CHECK(two->add_recipient(t0).over == Senders::Over::no);
    CHECK(over(t0) == Senders::Over::messages);
  }
  CHECK(over(t0) == Senders::Over::no);
  auto late = senders.begin("a@x.test");
  CHECK(late->add_recipient(t0).over == Senders::Over::no);
  for (int i = 0; i < 2; ++i) {
    const auto kept = senders.begin("a@x.test");
    CHECK(kept->add_recipient(t0 + 1h).over == Senders::Over::no);
    kept->keep();
  }
  late.reset();  // its hour is over
  CHECK(over(t0 + 1h) == Senders::Over::messages);
}

TEST_CASE("many senders cost bounded memory, and do not wipe out who sent much") {
  Senders senders;
  senders.set({std::nullopt, Rate{5, 24h}});
  const auto message = senders.begin("much@x.test");
  for (int i = 0; i < 5; ++i) message->add_recipient(t0);
  message->keep();
  for (int i = 0; i < 25000; ++i) senders.at_sender(std::to_string(i) + "@x.test", t0);
  CHECK(senders.size() <= Senders::most);
  CHECK(senders.at_sender("much@x.test", t0).over == Senders::Over::recipients);
}

TEST_CASE(
    "senders_limit: over it 450 4.7.1 in every session and one warning; others, notices and refused mail do not "
    "count") {
  auto options = Intake::usual();
  options.senders_limit = {Rate{3, 1h}, Rate{5, 24h}};
  options.limits.message_size = 1000;
  Intake intake(options);
  SmtpClient one(intake.port()), two(intake.port());
  one.greet();
  two.greet();
  CHECK(one.deliver("Subject: x\r\n\r\n" + std::string(2000, 'x') + "\r\n").starts_with("552 "));
  CHECK(one.deliver(content).starts_with("250 "));
  CHECK(two.deliver(content).starts_with("250 "));
  CHECK(one.deliver(content, {"u@example.org"}, "SENDER@example.net").starts_with("250 "));
  for (SmtpClient* client : {&one, &two, &one})
    CHECK(client->command("MAIL FROM:<sender@example.net>").starts_with("450 4.7.1 "));
  CHECK(one.deliver(content, {"u@example.org"}, "other@example.net").starts_with("250 "));
  for (int i = 0; i < 5; ++i) CHECK(two.deliver(content, {"u@example.org"}, "").starts_with("250 "));
  const auto warned = intake.log().events("sender-limit");
  REQUIRE(warned.size() == 1);
  CHECK(warned[0].level() == Level::warn);
  CHECK(warned[0].get("from") == "sender@example.net");
  CHECK(warned[0].get("limit") == "rate");
  CHECK(warned[0].get("client") == "127.0.0.1");
  // recipients: those within it are taken, and what is refused can be sent later
  CHECK(one.command("MAIL FROM:<wide@example.net>").starts_with("250 "));
  for (int i = 0; i < 7; ++i)
    CHECK(one.command("RCPT TO:<u" + std::to_string(i) + "@example.org>").starts_with(i < 5 ? "250 " : "450 4.7.1 "));
  CHECK(one.command("DATA").starts_with("354 "));
  one.send(content + ".\r\n");
  CHECK(one.reply().starts_with("250 "));
  CHECK(intake.stored().back().recipients.size() == 5);
}

TEST_CASE("senders_limit: a transaction that ends without a message uses up nobody's share") {
  auto options = Intake::usual();
  options.senders_limit = {Rate{2, 1h}, Rate{3, 24h}};
  Intake intake(options);
  for (const std::string end : {"RSET", "EHLO again.example", "QUIT", "", "DATA", "BDAT 1000"}) {
    CAPTURE(end);
    SmtpClient client(intake.port());
    client.greet();
    CHECK(client.command("MAIL FROM:<sender@example.net>").starts_with("250 "));
    CHECK(client.command("RCPT TO:<u@example.org>").starts_with("250 "));
    if (end.starts_with("BDAT"))
      client.send(end + "\r\nSubject: cut off\r\n");
    else if (!end.empty())
      client.command(end);
  }
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(content, {"u@example.org"}, "sender@example.net").starts_with("250 "));
  CHECK(client.deliver(content, {"u@example.org"}, "sender@example.net").starts_with("250 "));
  CHECK(client.command("MAIL FROM:<\"sender\"@example.net>").starts_with("450 4.7.1 "));
  CHECK(intake.log().events("sender-limit").size() == 1);
}

TEST_CASE("senders_limit: a stranger who writes to our postmaster uses up nobody's share") {
  auto options = Intake::usual();
  options.senders_limit = {Rate{1, 1h}, std::nullopt};
  Intake intake(options);
  SmtpClient stranger(intake.port(), "127.0.0.1", "127.0.0.9");
  stranger.greet();
  for (int i = 0; i < 3; ++i) CHECK(stranger.deliver(content, {"postmaster"}, "ann@example.net").starts_with("250 "));
  SmtpClient client(intake.port());
  client.greet();
  CHECK(client.deliver(content, {"u@example.org"}, "ann@example.net").starts_with("250 "));
  CHECK(client.command("MAIL FROM:<ann@example.net>").starts_with("450 4.7.1 "));
}

}  // namespace listener_senders_test
