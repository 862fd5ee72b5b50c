// SPDX-License-Identifier: Apache-2.0
#include "delivery/retry_class.h"

#include <doctest/doctest.h>

namespace delivery_retry_class_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;

TEST_CASE("retry_class_of: by the reason word, and greylisting by what the server says") {
  struct Row {
    const char* reason;
    const char* reply;
    RetryClass expected;
  };
  for (const Row& row : {
           Row{"tlsa-invalid", "450 4.7.323 tlsa-invalid: mx.example.org", RetryClass::policy},
           Row{"mx-not-in-policy", "", RetryClass::policy},
           Row{"dnssec-invalid", "", RetryClass::policy},
           Row{"connect-timeout", "", RetryClass::connection},
           Row{"dns-failure", "", RetryClass::connection},
           Row{"smtp-reply", "451 4.7.1 Greylisted, come back in 300 s", RetryClass::greylisting},
           Row{"smtp-reply", "450 4.2.0 <a@b>: Recipient address rejected: graylisting", RetryClass::greylisting},
           Row{"smtp-reply", "451 4.3.0 not now", RetryClass::reply},
           Row{"", "a trouble of our own", RetryClass::reply},
       })
    CHECK_MESSAGE(retry_class_of(hop::parse_reason(row.reason), row.reply) == row.expected,
                  row.reason << " " << row.reply);
}

TEST_CASE("retry_for: a rule's failure is never left alone for more than an hour, greylisting is knocked at steadily") {
  queue::Retry retry;  // 5m, doubled up to 4h
  retry.jitter = 0;
  const auto after = [&](RetryClass failure, unsigned failures) {
    return queue::delay_after(retry_for(failure, retry), failures, 0.5).wait;
  };
  for (const auto failure : {RetryClass::policy, RetryClass::connection, RetryClass::greylisting, RetryClass::reply})
    CHECK(after(failure, 1) == 5min);
  CHECK(after(RetryClass::reply, 3) == 20min);
  CHECK(after(RetryClass::connection, 3) == 20min);
  CHECK(after(RetryClass::connection, 20) == 4h);
  CHECK(after(RetryClass::policy, 3) == 20min);
  CHECK(after(RetryClass::policy, 20) == 1h);
  CHECK(after(RetryClass::greylisting, 4) < 9min);
  retry.first = 2h;
  CHECK(retry_for(RetryClass::policy, retry).max == 2h);  // the operator's word counts
}

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

}  // namespace delivery_retry_class_test
