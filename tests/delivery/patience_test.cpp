// SPDX-License-Identifier: Apache-2.0
#include "delivery/patience.h"

#include <doctest/doctest.h>

namespace delivery_patience_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;

TEST_CASE("class_of: by the reason word, and greylisting by what the server says") {
  struct Row {
    const char* reason;
    const char* reply;
    FailureClass expected;
  };
  for (const Row& row : {
           Row{"tlsa-invalid", "450 4.7.323 tlsa-invalid: mx.example.org", FailureClass::policy},
           Row{"mx-not-in-policy", "", FailureClass::policy},
           Row{"dnssec-invalid", "", FailureClass::policy},
           Row{"connect-timeout", "", FailureClass::connection},
           Row{"dns-failure", "", FailureClass::connection},
           Row{"smtp-reply", "451 4.7.1 Greylisted, come back in 300 s", FailureClass::greylisting},
           Row{"smtp-reply", "450 4.2.0 <a@b>: Recipient address rejected: graylisting", FailureClass::greylisting},
           Row{"smtp-reply", "451 4.3.0 not now", FailureClass::reply},
           Row{"", "a trouble of our own", FailureClass::reply},
       })
    CHECK_MESSAGE(class_of(hop::parse_reason(row.reason), row.reply) == row.expected, row.reason << " " << row.reply);
}

TEST_CASE("retry_for: a rule's failure is never left alone for more than an hour, greylisting is knocked at steadily") {
  queue::Retry retry;  // 5m, doubled up to 4h
  retry.jitter = 0;
  const auto after = [&](FailureClass failure, unsigned failures) {
    return queue::delay_after(retry_for(failure, retry), failures, 0.5).wait;
  };
  for (const auto failure :
       {FailureClass::policy, FailureClass::connection, FailureClass::greylisting, FailureClass::reply})
    CHECK(after(failure, 1) == 5min);
  CHECK(after(FailureClass::reply, 3) == 20min);
  CHECK(after(FailureClass::connection, 3) == 20min);
  CHECK(after(FailureClass::connection, 20) == 4h);
  CHECK(after(FailureClass::policy, 3) == 20min);
  CHECK(after(FailureClass::policy, 20) == 1h);
  CHECK(after(FailureClass::greylisting, 4) < 9min);
  retry.first = 2h;
  CHECK(retry_for(FailureClass::policy, retry).max == 2h);  // the operator's word counts
}

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
TEST_CASE("a site's hold neither hides why a policy holds mail back nor lets it go sooner") {
  store::Backoff site;
  site.until = Time(10min);
  site.failures = 1;
  site.reason = "connect-refused";
  CHECK(held_with_site(std::nullopt, site).reason == "connect-refused");

  store::Backoff own;
  own.until = Time(5min);
  own.failures = 7;
  own.interval = 1h;
  own.reason = "tlsa-invalid";
  own.reply = "450 4.7.323 tlsa-invalid: mx.example.org";
  own.host = "mx.example.org";
  const store::Backoff together = held_with_site(own, site);
  CHECK(together.until == Time(10min));  // behind the site
  CHECK(together.reason == "tlsa-invalid");
  CHECK(together.reply == own.reply);
  CHECK(together.host == own.host);
  CHECK(together.failures == 7);  // and goes on from there
  CHECK(together.interval == own.interval);
  own.until = Time(1h);
  CHECK(held_with_site(own, site).until == Time(1h));

  own.reason = "connect-timeout";  // no rule: the same trouble, and told anew
  own.until = Time(5min);
  CHECK(held_with_site(own, site).reason == "connect-refused");
}

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

}  // namespace delivery_patience_test
