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
    CHECK_MESSAGE(class_of(row.reason, row.reply) == row.expected, row.reason << " " << row.reply);
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

}  // namespace delivery_patience_test
