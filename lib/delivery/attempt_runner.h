// SPDX-License-Identifier: Apache-2.0
// Carries jobs to the hosts of their destinations, each in order, until every recipient is delivered or refused for good or no host is
// left: facts by route, plan by hop::decide, session by smtpclient, verdict by hop::after. It writes nothing; what happened comes back as
// an Attempt (delivery_attempt.h). What it remembers of hosts and messages is shared by all attempts (common.h).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "delivery/access.h"
#include "delivery/attempt.h"
#include "delivery/common.h"
#include "delivery/open_session.h"

namespace hoplock::delivery {

class AttemptRunner {
 public:
  // REQUIRES: all outlive it.
  explicit AttemptRunner(const Services& services) : common_(services) {}
  // For sessions opened from now on.
  void reload(Options options, std::shared_ptr<const net::ClientTls> tls) {
    common_.options = std::move(options);
    common_.tls = std::move(tls);
    ++common_.generation;
  }

  // What signs mail from now on; null: nothing does.
  void sign_with(std::shared_ptr<const dkim::Keyring> keyring) { common_.keyring = std::move(keyring); }

  // Awaited right before each final dot (Content::leave).
  void ask_leave(std::function<asio::awaitable<bool>(std::int64_t term)> leave) { common_.leave = std::move(leave); }

  // `session` belongs to the caller's frame, which waits: it is used when it fits, and left open, or empty.
  // `access`: null, or outlives it.
  asio::awaitable<Attempt> attempt(std::shared_ptr<const store::Job> job, std::optional<OpenSession>& session,
                                   Access* access = nullptr);
  // Nobody waits any longer for what is looked up.
  void stop() { common_.look_ups.stop(); }
  // What was counted in an attempt that is made anew: it comes with take_cut_off().
  void keep(store::LedgerCounts counts) { common_.cut_off.add(counts); }
  // The sessions of attempts that were cut off before they could tell of them; once.
  store::LedgerCounts take_cut_off() { return std::exchange(common_.cut_off, {}); }

 private:
  Common common_;
};

}  // namespace hoplock::delivery
