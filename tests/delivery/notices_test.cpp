// SPDX-License-Identifier: Apache-2.0
#include "delivery/notices.h"

#include <doctest/doctest.h>

#include "smtp/dsn.h"

namespace delivery_notices_test {

using namespace hoplock;
using namespace hoplock::delivery;
using store::Verdict;

namespace {

const Time accepted = from_millis(1'790'000'000'000);

DsnOptions dsn_options() {
  DsnOptions some;
  some.hostname = "relay.example.net";
  some.from = "postmaster@relay.example.net";
  some.delay_notice = std::chrono::hours(4);
  some.token = 7;
  return some;
}

DsnMessage subject(Milliseconds after = std::chrono::seconds(1)) {
  DsnMessage some;
  some.id = store::Id::at(accepted);
  some.envelope.sender = "ann@contoso.com";
  some.received = accepted;
  some.size = 1000;
  some.now = accepted + after;
  return some;
}

DsnRecipient told(Verdict verdict, std::uint8_t notify = 0, const std::string& address = "bob@example.org") {
  DsnRecipient one;
  one.due.address = address;
  one.due.notify = notify;
  one.result.verdict = verdict;
  one.result.status = verdict == Verdict::delivered ? "2.0.0" : "5.1.1";
  one.result.reply = verdict == Verdict::delivered ? "250 2.0.0 ok" : "550 5.1.1 nobody";
  one.result.reason = verdict == Verdict::delivered ? "" : "smtp-reply";
  one.result.host = "mx1.example.org[192.0.2.1]";
  one.words = hop::Words::peer;
  return one;
}

std::string text(const store::Notice& notice) {
  const auto made = notice.compose("Subject: s\r\n\r\nbody\r\n");
  const bool whole = made.between == store::NoticeText::Between::message;
  return made.head + (whole ? "<message>" : "") + made.tail;
}

bool has(const std::string& all, std::string_view part) { return all.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("DSN-08, DSN-09, DSN-11: NOTIFY decides for each recipient who is told what") {
  using namespace smtp;
  struct Row {
    Verdict verdict;
    std::uint8_t notify;
    bool notice;
    const char* why;
  };
  const Row rows[] = {
      {Verdict::bounced, 0, true, "no NOTIFY: failures"},
      {Verdict::bounced, notify_failure, true, "asked for"},
      {Verdict::bounced, notify_never, false, "NEVER"},
      {Verdict::bounced, notify_success | notify_delay, false, "a list without FAILURE"},
      {Verdict::expired, 0, true, "an end as well"},
      {Verdict::expired, notify_never, false, "NEVER"},
      {Verdict::deferred, 0, true, "no NOTIFY: delays may be told"},
      {Verdict::deferred, notify_delay, true, "asked for"},
      {Verdict::deferred, notify_failure, false, "a list without DELAY"},
      {Verdict::deferred, notify_never, false, "NEVER"},
      {Verdict::delivered, notify_success, true, "relayed"},
      {Verdict::delivered, 0, false, "success is told only when asked for"},
      {Verdict::delivered, notify_failure, false, "a list without SUCCESS"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const auto made = notices(subject(std::chrono::hours(5)), {told(row.verdict, row.notify)}, dsn_options());
    CHECK(made.size() == (row.notice ? 1 : 0));
  }
}

TEST_CASE("DSN-10: a server with DSN tells of success itself") {
  DsnRecipient one = told(Verdict::delivered, smtp::notify_success);
  one.peer_tells = true;
  CHECK(notices(subject(), {one}, dsn_options()).empty());
}

TEST_CASE("DSN-09: a delay is told after its time, once, and never when that is switched off") {
  DsnOptions some = dsn_options();
  DsnRecipient one = told(Verdict::deferred);
  CHECK(notices(subject(std::chrono::hours(3)), {one}, some).empty());
  const auto made = notices(subject(std::chrono::hours(4)), {one}, some);
  REQUIRE(made.size() == 1);
  CHECK(made[0].kind == store::Notice::Kind::delay);
  CHECK(has(text(made[0]), "Will-Retry-Until: "));
  one.due.told_delay = true;
  CHECK(notices(subject(std::chrono::hours(4)), {one}, some).empty());
  one.due.told_delay = false;
  some.delay_notice = Milliseconds(0);
  CHECK(notices(subject(std::chrono::hours(400)), {one}, some).empty());
}

TEST_CASE("DSN-01, DSN-16: nobody is told of mail with the empty sender; its end is an alert in the log") {
  DsnMessage some = subject();
  some.envelope.sender.clear();
  const std::vector<DsnRecipient> all{told(Verdict::bounced), told(Verdict::deferred),
                                      told(Verdict::delivered, smtp::notify_success)};
  CHECK(notices(some, all, dsn_options()).empty());
  const auto events = dropped(some, all);
  REQUIRE(events.size() == 1);
  CHECK(events[0].name() == "notice-dropped");
  CHECK(events[0].level() == Level::warn);  // no error: strangers' forged senders do this every day
  CHECK(events[0].get("to") == "bob@example.org");
  CHECK(dropped(subject(), all).empty());
}

TEST_CASE("DSN-01: a notice has the empty sender, one recipient, and asks for nothing") {
  const auto made = notices(subject(), {told(Verdict::bounced)}, dsn_options());
  REQUIRE(made.size() == 1);
  CHECK(made[0].envelope.sender.empty());
  CHECK(made[0].envelope.ret == smtp::Ret::unset);
  CHECK(made[0].recipient.address == "ann@contoso.com");
  CHECK(made[0].recipient.domain.text() == "contoso.com");
  CHECK(made[0].recipient.notify == 0);
}

TEST_CASE("DSN-15: one notice tells of several recipients, and of nobody for whom none is due") {
  std::vector<DsnRecipient> all{
      told(Verdict::bounced, 0, "b1@example.org"), told(Verdict::bounced, smtp::notify_never, "b2@example.org"),
      told(Verdict::bounced, 0, "b3@example.org"), told(Verdict::delivered, 0, "b4@example.org")};
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i].due.seq = i;
  const auto made = notices(subject(), all, dsn_options());
  REQUIRE(made.size() == 1);
  CHECK(made[0].seqs == std::vector<std::uint32_t>{0, 2});
  CHECK(has(text(made[0]), "b1@example.org"));
  CHECK(has(text(made[0]), "b3@example.org"));
  CHECK_FALSE(has(text(made[0]), "b2@example.org"));
  CHECK_FALSE(has(text(made[0]), "b4@example.org"));
}

TEST_CASE("DSN-12, DSN-13, RTLS-10: what goes back: headers, or all of it for RET=FULL within bounds") {
  const auto returned = [](DsnMessage about, Verdict verdict) {
    const auto made = notices(about, {told(verdict, smtp::notify_failure | smtp::notify_success | smtp::notify_delay)},
                              dsn_options());
    return text(made.at(0));
  };
  DsnMessage some = subject(std::chrono::hours(5));
  CHECK(has(returned(some, Verdict::bounced), "text/rfc822-headers"));
  some.envelope.ret = smtp::Ret::full;
  CHECK(has(returned(some, Verdict::bounced), "<message>"));
  CHECK(has(returned(some, Verdict::delivered), "text/rfc822-headers"));
  CHECK(has(returned(some, Verdict::deferred), "text/rfc822-headers"));
  DsnMessage eight = some;
  eight.envelope.body = store::Body::eight_bit;
  const auto made = notices(eight, {told(Verdict::bounced)}, dsn_options());
  CHECK(made.at(0).compose("Subject: s\r\n\r\n\xe9\r\n").body == store::Body::eight_bit);
  eight.envelope.body = store::Body::binary;
  CHECK_FALSE(has(returned(eight, Verdict::bounced), "<message>"));
  some.size = dsn_options().return_limit + 1;
  CHECK_FALSE(has(returned(some, Verdict::bounced), "<message>"));
  some.size = 1;
  some.envelope.requiretls = true;
  CHECK(has(returned(some, Verdict::bounced), "text/rfc822-headers\r\n\r\nSubject: s"));
  CHECK_FALSE(has(returned(some, Verdict::bounced), "<message>"));
}

TEST_CASE("RTLS-10: every notice about mail with REQUIRETLS asks for it too, and no other does") {
  for (const bool asked : {true, false}) {
    for (const auto verdict : {Verdict::bounced, Verdict::expired, Verdict::deferred, Verdict::delivered}) {
      DsnMessage some = subject(std::chrono::hours(5));
      some.envelope.requiretls = asked;
      some.envelope.tls_required_no = !asked;
      const auto made = notices(some, {told(verdict, smtp::notify_failure | smtp::notify_success | smtp::notify_delay)},
                                dsn_options());
      REQUIRE(made.size() == 1);
      CHECK(made[0].envelope.requiretls == asked);
      CHECK_FALSE(made[0].envelope.tls_required_no);
      CHECK(made[0].envelope.kind == store::Kind::notice);
    }
  }
}

TEST_CASE("DSN-07: a server's reply is its own; what we say of it is not") {
  DsnRecipient ours = told(Verdict::expired);
  ours.words = hop::Words::ours;
  ours.result.reason = "tlsa-invalid";
  ours.result.status = "4.7.323";
  ours.result.reply = "450 4.7.323 tlsa-invalid: mx1.example.org[192.0.2.1]: no TLSA record matches the certificate";
  CHECK_FALSE(has(text(notices(subject(), {ours}, dsn_options()).at(0)), "Diagnostic-Code"));
  DsnRecipient refused = told(Verdict::bounced);
  CHECK(has(text(notices(subject(), {refused}, dsn_options()).at(0)), "Diagnostic-Code: smtp; 550 5.1.1 nobody"));
  refused.words = hop::Words::ours;
  refused.result.reply = "the server offers neither AUTH PLAIN nor LOGIN";
  CHECK_FALSE(has(text(notices(subject(), {refused}, dsn_options()).at(0)), "Diagnostic-Code"));
}

TEST_CASE("DSN-06: an expired recipient failed, with the last temporary status, or 4.4.7 where there is none") {
  DsnRecipient one = told(Verdict::expired);
  one.result.status = "4.4.1";
  CHECK(has(text(notices(subject(), {one}, dsn_options()).at(0)), "Action: failed\r\nStatus: 4.4.1\r\n"));
  one.result.status.clear();
  CHECK(has(text(notices(subject(), {one}, dsn_options()).at(0)), "Action: failed\r\nStatus: 4.4.7\r\n"));
}

}  // namespace delivery_notices_test
