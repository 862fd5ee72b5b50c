// The sending side: what is written in which group, and what the replies mean for each recipient.
#include "smtp/settle.h"

#include <doctest/doctest.h>

#include "smtp/compose.h"

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
      {{250, 521, 521, 503}, "deferred:521 deferred:521 | nothing | host-refuses", ""},
      {{354, 250, 250, 354}, "deferred:354 deferred:354 | nothing | closing", "out of step"},
      {{250, 354, 250, 354},
       "deferred:354 deferred:354 | nothing | closing",
       "out of step: who knows what 250 answers"},
      {{250, 250, 250, 250}, "deferred:250 deferred:250 | nothing | closing", "250 to DATA is no answer"},
      {{250, 250, 250, 334}, "deferred:334 deferred:334 | nothing | closing", ""},
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
  CHECK(after(521) == "deferred:521 refused:550 later:452 | content | host-refuses");
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
