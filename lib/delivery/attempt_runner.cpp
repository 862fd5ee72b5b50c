// SPDX-License-Identifier: Apache-2.0
#include "delivery/attempt_runner.h"

#include "delivery/delivery_attempt.h"

namespace hoplock::delivery {

asio::awaitable<Attempt> AttemptRunner::attempt(std::shared_ptr<const store::Job> job,
                                                std::optional<OpenSession>& session, Access* access) {
  DeliveryAttempt attempt(common_, std::move(job), session, access);
  co_return co_await attempt.go();
}

}  // namespace hoplock::delivery
