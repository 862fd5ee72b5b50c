// SPDX-License-Identifier: Apache-2.0
// Where MTA-STS policies are kept, so that they survive a restart (STS-33). Rules about times are mtasts::Freshness's, and who fetches is
// route's. Errors as MailStore has them.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/policies.h"

namespace hoplock::store {

namespace asio = boost::asio;

class PolicyStore {
 public:
  PolicyStore() = default;
  PolicyStore(const PolicyStore&) = delete;
  PolicyStore& operator=(const PolicyStore&) = delete;
  virtual ~PolicyStore() = default;

  // How long what find() says may be kept in memory; nothing: until this process changes it, for no other does.
  virtual std::optional<Milliseconds> look_again() const = 0;
  // No row: nothing is kept of that domain.
  virtual asio::awaitable<Result<KeptPolicy>> find(dns::Name domain) = 0;
  // Durable: what a fetch brought, in place of all that was kept. One that lasts for no time is not kept, nor what it replaces.
  virtual asio::awaitable<Result<>> put(PolicyRow row) = 0;
  // A fetch failed: the policy that is kept stays, with its text. `refused`: what it brought instead ("": nothing).
  virtual asio::awaitable<Result<>> put_failure(PolicyRow row, std::string refused) = 0;
  // All but the text of a policy that is kept already.
  virtual asio::awaitable<Result<>> update(PolicyRow row) = 0;
  virtual void update_later(PolicyRow row) = 0;  // the same, without waiting
  virtual asio::awaitable<Result<>> remove(dns::Name domain) = 0;
  virtual asio::awaitable<Result<DuePolicies>> due(DueBy by) = 0;
};

}  // namespace hoplock::store
