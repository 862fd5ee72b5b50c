// SPDX-License-Identifier: Apache-2.0
#include "delivery/reply_words.h"

#include <doctest/doctest.h>

namespace delivery_reply_words_test {

using namespace hoplock;
using namespace hoplock::delivery;

TEST_CASE("names_sender, names_our_network: whom a refusal for reputation means") {
  const struct {
    const char* reply;
    bool sender, network;
  } rows[] = {{"550 5.7.1 very low reputation of the sending domain", true, false},
              {"550 5.7.1 spam.example is on a blacklist", true, false},
              {"550 5.7.1 blocked: spam.example.", true, false},
              {"550 5.7.1 mail.spam.example is on a blacklist", false, false},  // perhaps our own name
              {"550 5.7.1 notspam.example is on a blacklist", false, false},
              {"550 5.7.1 spam.example.org is on a blacklist", false, false},
              {"550 5.7.1 <news@spam.example> is banned", false, false},  // an address that is only repeated
              {"550 5.7.1 poor reputation of the sending IP", false, true},
              {"550 5.7.1 part of their network is on our block list (S3150)", false, true},
              {"550 5.7.606 Access denied, banned sending IP", false, true},
              {"554 5.7.1 spam.example: Client host blocked using zen.spamhaus.org", true, true},
              {"550 5.7.1 blocked by dnsbl.sorbs.net", false, true},
              {"550 5.7.1 spam.example is listed by dbl.spamhaus.org", true, false},
              {"550 5.7.1 spam.example is in the Spamhaus DBL", true, false},
              {"550 5.7.1 see https://b.example/?from=spam.example", false, false},
              {"550 5.7.1 bad reputation", false, false}};
  for (const auto& row : rows) {
    CAPTURE(row.reply);
    CHECK(names_sender(row.reply, "news@spam.example") == row.sender);
    CHECK(names_our_network(row.reply) == row.network);
    CHECK_FALSE(names_sender("550 5.7.1 bad reputation", ""));
  }
}

TEST_CASE("names_any_address: an address in a reply may be what the world sees of us") {
  for (const char* reply : {"554 5.7.1 Client [192.0.2.1] blocked", "554 5.7.1 [192.0.2.1      19] blocked",
                            "554 5.7.1 https://l.example/query/ip/192.0.2.1.", "554 5.7.1 ip=2001:db8::1: blocked",
                            "554 5.7.1 [IPv6:2001:db8::1] blocked"})
    CHECK_MESSAGE(names_any_address(reply), reply);
  for (const char* reply : {"554 5.7.1 blocked", "554-5.7.1 blocked at 12:30:00",
                            "554 5.7.1 error::bad (version 1.2.3)", "550 5.7.1 <a@192.0.2.1> blocked", ""})
    CHECK_MESSAGE(!names_any_address(reply), reply);
}

// A partner whose certificate had expired was told "connection refused" and tried every minute, for the others' host was down as well.
TEST_CASE("a reply names our address where all of it stands there, also as a literal") {
  const auto ours = Ip::parse("192.0.2.1"), six = Ip::parse("2001:db8::1");
  CHECK(names_address("550 5.7.1 messages from [192.0.2.1] weren't sent", *ours));
  CHECK(names_address("421 4.7.0 192.0.2.1: unusual", *ours));
  CHECK(names_address("550 5.7.1 [IPv6:2001:DB8::1] is listed", *six));
  CHECK_FALSE(names_address("550 5.7.1 [192.0.2.10] is listed", *ours));
  CHECK_FALSE(names_address("550 5.7.1 [1.192.0.2.1] is listed", *ours));
  CHECK_FALSE(names_address("550 5.7.1 [2001:db8::1f] is listed", *six));
  CHECK_FALSE(names_address("550 5.7.1 is listed", *ours));
  CHECK_FALSE(names_address("550 5.7.1 [192.0.2.1] is listed", std::nullopt));
}

}  // namespace delivery_reply_words_test
