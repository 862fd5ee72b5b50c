// SPDX-License-Identifier: Apache-2.0
// The sending side: what is written in which group, and what the replies mean for each recipient.
#include "smtp/settle.h"

#include <doctest/doctest.h>

#include "smtp/compose.h"

namespace smtp_settle_test {

using namespace hoplock::smtp;

namespace {

Envelope envelope(std::size_t recipients) {
  Envelope some;
  some.sender = std::get<Mailbox>(Mailbox::parse("a@example.org"));
  some.size = 1234;
  for (std::size_t i = 0; i < recipients; ++i) {
    Recipient recipient;
    recipient.mailbox = std::get<Mailbox>(Mailbox::parse("u" + std::to_string(i) + "@example.com"));
    some.recipients.push_back(std::move(recipient));
  }
  return some;
}

Capabilities peer(std::string text) { return Capabilities::parse(Reply(250, std::nullopt, "mx\n" + std::move(text))); }

std::vector<Reply> replies(const std::vector<int>& codes) {
  std::vector<Reply> all;
  for (const int code : codes) all.emplace_back(code, std::nullopt, "");
  return all;
}

// "accepted later … | next | connection"
std::string told(const Settled& settled) {
  constexpr const char* fates[] = {"accepted", "later", "deferred", "refused", "unanswered"};
  constexpr const char* nexts[] = {"content", "lone-dot", "nothing"};
  constexpr const char* connections[] = {"usable", "closing", "host-refuses"};
  std::string out;
  for (const auto& one : settled.recipients) {
    out += fates[static_cast<int>(one.fate)];
    out += one.reply.code == 0 ? " " : ":" + std::to_string(one.reply.code) + " ";
  }
  return out + "| " + nexts[static_cast<int>(settled.next)] + " | " + connections[static_cast<int>(settled.connection)];
}

}  // namespace

TEST_CASE(
    "SUB-17: compose: one pipelined group; SIZE and BODY only as the peer offers them and the content needs them") {
  Envelope some = envelope(2);
  auto groups = compose(some, peer("PIPELINING\nSIZE 0\n8BITMIME"));
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].wire ==
        "MAIL FROM:<a@example.org> SIZE=1234\r\nRCPT TO:<u0@example.com>\r\nRCPT TO:<u1@example.com>\r\nDATA\r\n");
  CHECK(groups[0].replies == 4);
  CHECK(groups[0].data);
  some.body = Body::eight_bit_mime;
  CHECK(compose(some, peer("PIPELINING\n8BITMIME"))[0].wire.starts_with("MAIL FROM:<a@example.org> BODY=8BITMIME\r\n"));
  some.sender = Mailbox{};
  CHECK(compose(some, peer("PIPELINING"))[0].wire.starts_with("MAIL FROM:<>\r\nRCPT"));
}

TEST_CASE("compose: without PIPELINING every command is its own group") {
  const auto groups = compose(envelope(2), peer("SIZE"));
  REQUIRE(groups.size() == 4);
  for (const auto& group : groups) CHECK(group.replies == 1);
  CHECK(groups[1].first_rcpt == 0);
  CHECK(groups[2].first_rcpt == 1);
  CHECK(groups[2].wire == "RCPT TO:<u1@example.com>\r\n");
  CHECK((groups[3].data && groups[3].wire == "DATA\r\n"));
}

TEST_CASE(
    "MX-13: compose: the recipients of one hop share a transaction, in groups whose replies cannot block both sides") {
  const auto groups = compose(envelope(1000), peer("PIPELINING"));
  std::size_t rcpts = 0, all = 0;
  for (const auto& group : groups) {
    CHECK(group.first_rcpt == rcpts);
    CHECK(group.rcpts <= 100);
    CHECK(group.wire.size() <= 8300);
    rcpts += group.rcpts;
    all += group.replies;
  }
  CHECK(rcpts == 1000);
  CHECK(all == 1002);
  CHECK(groups.back().data);
}

TEST_CASE("goes_on: no further group after a refused MAIL or a 421, no DATA alone without a recipient") {
  const auto groups = compose(envelope(1), peer("SIZE"));
  CHECK(goes_on(groups[0], {}));
  CHECK(goes_on(groups[1], replies({250})));
  CHECK_FALSE(goes_on(groups[1], replies({550})));
  CHECK_FALSE(goes_on(groups[1], replies({451})));
  CHECK_FALSE(goes_on(groups[2], replies({250, 550})));
  CHECK_FALSE(goes_on(groups[2], replies({250, 421})));
  CHECK_FALSE(goes_on(groups[2], replies({250, 521})));
  CHECK(goes_on(groups[2], replies({250, 521, 250})));
  CHECK(goes_on(groups[2], replies({250, 251})));
}

TEST_CASE(
    "MX-10, MX-13: settle: each recipient by its own reply, MAIL and DATA for all, 452 and 552 to RCPT are for later") {
  struct Row {
    std::vector<int> codes;
    const char* told;
    const char* why;
  };
  const Row rows[] = {
      {{250, 250, 250, 354}, "accepted:250 accepted:250 | content | usable", ""},
      {{250, 251, 550, 354}, "accepted:251 refused:550 | content | usable", "outcomes are per recipient"},
      {{250, 450, 250, 354}, "deferred:450 accepted:250 | content | usable", ""},
      {{250, 250, 452, 354}, "accepted:250 later:452 | content | usable", "too many recipients"},
      {{250, 250, 552, 354}, "accepted:250 later:552 | content | usable", "the old code for the same"},
      {{250, 550, 553, 354},
       "refused:550 refused:553 | lone-dot | usable",
       "DATA was pipelined: end it without a message"},
      {{250, 550, 450, 554}, "refused:550 deferred:450 | nothing | usable", "DATA's refusal says nothing new"},
      {{250, 550, 553}, "refused:550 refused:553 | nothing | usable", "not pipelined: DATA is not sent"},
      {{550, 503, 503, 503},
       "refused:550 refused:550 | nothing | usable",
       "MAIL's reply counts, not what followed from it"},
      {{550, 503, 503, 354}, "refused:550 refused:550 | lone-dot | usable", ""},
      {{550}, "refused:550 refused:550 | nothing | usable", "the peer closed after 5yz to MAIL: it stays 5yz"},
      {{552, 503}, "refused:552 refused:552 | nothing | usable", "552 to MAIL is final: too large"},
      {{452}, "deferred:452 deferred:452 | nothing | usable", ""},
      {{451, 503, 503, 503}, "deferred:451 deferred:451 | nothing | usable", ""},
      {{250, 250, 250, 451}, "deferred:451 deferred:451 | nothing | usable", ""},
      {{250, 250, 550, 554}, "refused:554 refused:550 | nothing | usable", ""},
      {{250, 250, 452, 554}, "refused:554 later:452 | nothing | usable", "who is for later is not concerned"},
      {{}, "unanswered unanswered | nothing | usable", "lost before the first reply"},
      {{250, 250}, "unanswered unanswered | nothing | usable", "lost between: an accepted RCPT is no delivery"},
      {{250, 550}, "refused:550 unanswered | nothing | usable", "what was said stays said"},
      {{421}, "deferred:421 deferred:421 | nothing | closing", ""},
      {{250, 250, 421}, "deferred:421 deferred:421 | nothing | closing", ""},
      {{250, 421}, "deferred:421 deferred:421 | nothing | closing", "the second was never answered"},
      {{250, 550, 250, 421}, "refused:550 deferred:421 | nothing | closing", ""},
      {{521}, "deferred:521 deferred:521 | nothing | host-refuses", "RFC 7504: this host only"},
      {{250, 521, 521, 503}, "deferred:521 deferred:521 | nothing | usable", ""},
      {{250, 521, 250, 354}, "deferred:521 accepted:250 | content | usable", "at RCPT it is of that recipient alone"},
      {{250, 250, 521, 354}, "accepted:250 deferred:521 | content | usable", ""},
      {{250, 250, 521}, "unanswered deferred:521 | nothing | usable", "closed after it: nothing is said of the others"},
      {{250, 450, 250, 521}, "deferred:450 deferred:521 | nothing | closing", "at DATA of those who were taken"},
      {{250, 521, 421}, "deferred:521 deferred:421 | nothing | closing", ""},
      {{354, 250, 250, 354}, "deferred:450 deferred:450 | nothing | closing", "out of step"},
      {{250, 354, 250, 354},
       "deferred:450 deferred:450 | nothing | closing",
       "out of step: who knows what 250 answers"},
      {{250, 250, 250, 250}, "deferred:450 deferred:450 | nothing | closing", "250 to DATA is no answer"},
      {{250, 550, 550, 250},
       "deferred:450 deferred:450 | nothing | closing",
       "MX-22: nor is 550 then known to be the first one's"},
      {{250, 250, 250, 334}, "deferred:450 deferred:450 | nothing | closing", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CAPTURE(row.told);
    CHECK(told(settle(2, replies(row.codes))) == row.told);
  }
}

TEST_CASE(
    "MX-10, MX-12: settle_end: the final dot's reply is for those who were accepted, a missing one is no failure for "
    "good") {
  const Settled before = settle(3, replies({250, 250, 550, 452, 354}));
  const auto after = [&](int code) { return told(settle_end(before, Reply(code, std::nullopt, ""))); };
  CHECK(after(250) == "accepted:250 refused:550 later:452 | content | usable");
  CHECK(after(554) == "refused:554 refused:550 later:452 | content | usable");
  CHECK(after(552) == "refused:552 refused:550 later:452 | content | usable");
  CHECK(after(451) == "deferred:451 refused:550 later:452 | content | usable");
  CHECK(after(421) == "deferred:421 refused:550 later:452 | content | closing");
  CHECK(after(521) == "deferred:521 refused:550 later:452 | content | closing");
  CHECK(after(354) == "deferred:354 refused:550 later:452 | content | closing");
  CHECK(told(settle_end(before, std::nullopt)) == "unanswered refused:550 later:452 | content | closing");
}

TEST_CASE("MX-14: HELO is tried only after 5yz to EHLO, and never when TLS must be had") {
  CHECK(may_fall_back_to_helo(Reply(502, std::nullopt, ""), TlsNeed::none));
  CHECK(may_fall_back_to_helo(Reply(550, std::nullopt, ""), TlsNeed::none));
  CHECK_FALSE(may_fall_back_to_helo(Reply(502, std::nullopt, ""), TlsNeed::required));
  CHECK_FALSE(may_fall_back_to_helo(Reply(421, std::nullopt, ""), TlsNeed::none));
  CHECK_FALSE(may_fall_back_to_helo(Reply(450, std::nullopt, ""), TlsNeed::none));
  CHECK_FALSE(may_fall_back_to_helo(Reply(521, std::nullopt, ""), TlsNeed::none));
  CHECK_FALSE(may_fall_back_to_helo(Reply(250, std::nullopt, ""), TlsNeed::none));
}

TEST_CASE("MX-23: every code that servers say, command by command, and what follows from it") {
  enum class At { mail, first, beside, data, dot };
  struct Row {
    At at;
    int code;
    const char* status;
    const char* follows;
    const char* why;
  };
  // later: another transaction now; next host, else the mail waits: deferred; refused: bounce; host: 521
  const Row rows[] = {
      {At::mail, 250, "", "taken", ""},
      {At::mail, 421, "4.3.2", "deferred, closes", "closing"},
      {At::mail, 450, "4.7.1", "deferred", "greylisting"},
      {At::mail, 451, "4.4.5", "deferred", "system busy"},
      {At::mail, 452, "4.3.1", "deferred", "no space"},
      {At::mail, 454, "4.7.0", "deferred", "temporary authentication failure"},
      {At::mail, 455, "4.5.4", "deferred", "parameters, for now"},
      {At::mail, 500, "5.5.2", "refused", ""},
      {At::mail, 501, "5.1.7", "refused", "sender's syntax"},
      {At::mail, 503, "5.5.1", "refused", ""},
      {At::mail, 504, "5.5.4", "refused", "once nothing is left to leave out"},
      {At::mail, 521, "5.3.2", "deferred, host", "RFC 7504"},
      {At::mail, 530, "5.7.0", "refused", "wants a login or TLS"},
      {At::mail, 535, "5.7.8", "refused", ""},
      {At::mail, 550, "5.7.1", "refused", ""},
      {At::mail, 552, "5.3.4", "refused", "too large"},
      {At::mail, 553, "5.1.8", "refused", ""},
      {At::mail, 554, "5.7.1", "refused", ""},
      {At::mail, 555, "5.5.4", "refused", "once nothing is left to leave out"},
      {At::mail, 556, "5.1.10", "refused", "RFC 7504"},
      {At::first, 251, "2.1.5", "taken", "will forward"},
      {At::first, 252, "2.5.2", "taken", ""},
      {At::first, 421, "4.3.2", "deferred, closes", ""},
      {At::first, 450, "4.2.1", "deferred", "mailbox busy"},
      {At::first, 451, "4.3.0", "deferred", ""},
      {At::first, 452, "4.5.3", "later", "too many recipients"},
      {At::first, 452, "", "later", "likewise"},
      {At::first, 452, "4.2.2", "deferred", "mailbox full: another transaction changes nothing"},
      {At::first, 454, "4.7.1", "deferred", ""},
      {At::first, 455, "4.5.4", "deferred", ""},
      {At::first, 521, "5.3.2", "deferred", "of this recipient; RFC 7504 has it for hosts"},
      {At::beside, 521, "5.7.1", "deferred", "the others get their mail"},
      {At::first, 550, "5.1.1", "refused", "no such user"},
      {At::first, 550, "5.2.1", "refused", "mailbox disabled"},
      {At::first, 551, "5.1.6", "refused", "moved"},
      {At::first, 552, "5.2.2", "refused", "mailbox full, for good"},
      {At::first, 552, "5.3.4", "refused", "too large for this mailbox"},
      {At::first, 552, "5.7.1", "refused", ""},
      {At::first, 552, "5.5.3", "later", "too many recipients"},
      {At::first, 552, "", "later", "RFC 5321 section 4.5.3.1.10"},
      {At::first, 553, "5.1.3", "refused", ""},
      {At::first, 554, "5.7.1", "refused", ""},
      {At::first, 555, "5.5.4", "refused", ""},
      {At::first, 556, "5.1.10", "refused", ""},
      {At::beside, 452, "", "later", ""},
      {At::beside, 452, "4.2.2", "deferred", ""},
      {At::beside, 552, "", "later", ""},
      {At::beside, 552, "5.5.3", "later", ""},
      {At::beside, 552, "5.0.0", "later", "alone it will show what it meant"},
      {At::beside, 552, "5.2.2", "refused", "mailbox full: its own class"},
      {At::beside, 550, "5.1.1", "refused", ""},
      {At::data, 451, "4.3.0", "deferred", ""},
      {At::data, 421, "4.3.2", "deferred, closes", ""},
      {At::data, 503, "5.5.1", "refused", ""},
      {At::data, 554, "5.5.1", "refused", "no valid recipients"},
      {At::data, 521, "5.3.2", "deferred, closes", ""},
      {At::dot, 250, "2.6.0", "taken", ""},
      {At::dot, 354, "", "deferred, closes", "out of step"},
      {At::dot, 421, "4.3.2", "deferred, closes", ""},
      {At::dot, 450, "4.7.1", "deferred", ""},
      {At::dot, 451, "4.7.500", "deferred", "server busy"},
      {At::dot, 452, "4.3.1", "deferred", ""},
      {At::dot, 550, "5.7.1", "refused", ""},
      {At::dot, 552, "5.2.2", "refused", "after the content it is about the message"},
      {At::dot, 554, "5.6.0", "refused", ""},
      {At::dot, 521, "5.3.2", "deferred, closes", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.at));
    CAPTURE(row.code);
    CAPTURE(row.status);
    CAPTURE(row.why);
    const Reply said(row.code, EnhancedStatus::parse(row.status), "");
    const Reply ok(250, std::nullopt, ""), go(354, std::nullopt, "");
    std::vector<Reply> all{ok, ok};
    std::size_t whom = 0;
    if (row.at == At::mail) all = {said, ok, go};
    if (row.at == At::mail && row.code != 250) all = {said};
    if (row.at == At::first) all = {ok, said};
    if (row.at == At::first && row.code / 100 == 2) all.push_back(go);
    if (row.at == At::beside) all = {ok, ok, said, go}, whom = 1;
    if (row.at == At::data) all.push_back(said);
    if (row.at == At::dot) all.push_back(go);
    Settled settled = settle(row.at == At::beside ? 2 : 1, all);
    if (row.at == At::dot) settled = settle_end(std::move(settled), said);
    constexpr const char* fates[] = {"taken", "later", "deferred", "refused", "unanswered"};
    constexpr const char* ends[] = {"", ", closes", ", host"};
    CHECK(std::string(fates[static_cast<int>(settled.recipients[whom].fate)]) +
              ends[static_cast<int>(settled.connection)] ==
          row.follows);
  }
}

TEST_CASE("MX-25: what 504 and 555 may be about is left out once; without a parameter they are the last word") {
  Envelope some = envelope(2);
  Capabilities with = peer("SIZE 100\nDSN\n8BITMIME");
  const auto refused = [] { return settle(2, replies({250, 555, 250, 354})); };
  Settled settled = refused();
  CHECK(forgo_parameters(settled, some, with));
  CHECK(told(settled) == "later:555 accepted:250 | content | usable");
  CHECK_FALSE((with.size || with.dsn));
  settled = refused();
  CHECK_FALSE(forgo_parameters(settled, some, with));
  CHECK(told(settled) == "refused:555 accepted:250 | content | usable");
  some.body = Body::eight_bit_mime;
  CHECK(forgo_parameters(settled, some, with));
  CHECK_FALSE(with.eight_bit_mime);
  Settled other = settle(1, replies({550}));
  Capabilities full = peer("SIZE 100");
  CHECK_FALSE(forgo_parameters(other, some, full));
  CHECK(full.size);
}

}  // namespace smtp_settle_test
