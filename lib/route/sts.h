// SPDX-License-Identifier: Apache-2.0
// The MTA-STS policies of the domains that mail goes to: found, fetched, kept, looked after (RFC 8461 sections 3.3, 5.1, 10.2). Gives
// facts for hop::decide and decides nothing; tells what happens to policies as `sts-policy` events.
//
// A policy that is live stays in force whatever fails: TXT gone, DNS blocked, HTTPS broken, the daemon restarted (STS-28 to STS-33).
// Rows are read through from the store, a few thousand policies stay in memory. Errors of the store are thrown: without it
// nobody knows whether a policy is in force.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "hop/facts.h"
#include "net/clock.h"
#include "route/options.h"
#include "route/sts_fetch.h"
#include "route/sts_published.h"
#include "store/policy_store.h"

namespace hoplock::route {

// Something that happened to a domain's policy: a log line, and the answer to `sts refresh`.
struct PolicyEvent {
  enum class Action : std::uint8_t {
    fetched,    // a policy that was not in force before, or under another id
    refreshed,  // another one than before, without a delivery asking
    unchanged,  // the same again; it holds for its max_age from now on
    failed,     // no policy came; `error` says why, and how long the one at hand holds
    expired,    // no longer in force
    removed,    // forgotten
  };
  Action action = Action::failed;
  Level level = Level::info;
  dns::Name domain;
  std::string id;                    // of the TXT record that it came under
  std::optional<mtasts::Mode> mode;  // of the policy at hand, if there is one
  Seconds max_age{0};
  std::optional<Time> expires;
  std::string error;
};
std::string_view to_text(PolicyEvent::Action action);
Event event_of(const PolicyEvent& news);

class PolicyCache {
 public:
  struct Parts {
    store::PolicyStore& policies;
    resolver::Resolver& resolver;
    PolicyFetch& fetch;
    Log& log;
    net::Clock clock = net::now;
  };
  // REQUIRES: the parts outlive it and the loop's last run.
  PolicyCache(Parts parts, PolicyOptions options);
  ~PolicyCache();
  PolicyCache(const PolicyCache&) = delete;
  PolicyCache& operator=(const PolicyCache&) = delete;

  // What is kept of the policies stays; what DNS said is asked again.
  void reload(PolicyOptions options);

  // The domain's TXT record, kept within its TTL, five minutes at most; what it says, without its texts.
  boost::asio::awaitable<PolicyTxt> find_txt(dns::Name domain);
  // The policy in force for the domain, whose TXT record was found to be `txt`. A new id is fetched first, and waited for (STS-14): by
  // everybody who asks meanwhile, and not too soon after a fetch that failed (STS-12).
  boost::asio::awaitable<hop::StsFact> find(dns::Name domain, PolicyTxt txt);

  // The policy in force that is in memory, without waiting and whatever the DNS says by now: what a delivery need not ask before `find`.
  std::optional<hop::StsFact> known(const dns::Name& domain) const;

  // Fetches now, whatever is at hand; for the operator.
  boost::asio::awaitable<PolicyEvent> refresh(dns::Name domain);

  // Refreshes policies in time, tells of those that expire, forgets them later; until cancelled (STS-32).
  boost::asio::awaitable<void> maintain();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hoplock::route
