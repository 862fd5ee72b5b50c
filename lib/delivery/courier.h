// SPDX-License-Identifier: Apache-2.0
// Carries one job to the hosts of its destination, in order, until every recipient is delivered or refused for good or no host is
// left: facts by route, plan by hop::decide, conversation by Client, verdict by hop::after. Decides nothing itself and writes
// nothing; what happened comes back as an Attempt.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "delivery/access.h"
#include "delivery/attempt.h"
#include "delivery/client.h"
#include "delivery/credentials.h"
#include "delivery/families.h"
#include "delivery/look_ups.h"
#include "delivery/manner.h"
#include "delivery/rotation.h"
#include "delivery/services.h"
#include "delivery/witness.h"
#include "dkim/signer.h"

namespace hoplock::delivery {

// A session that stays open between jobs of one destination, or of its site. It may carry another one only when the plan for that host is
// the same as when it was opened (TLS-08), for another destination by hop::may_carry.
struct OpenSession {
  std::unique_ptr<Client> client;
  std::string host;  // of the route: name and port
  Ip ip;
  hop::Connect plan;
  route::RoutePtr route;  // whose credentials it was opened with
  Manner manner = Manner::ordinary;
  Source source = {};
  std::shared_ptr<const net::ClientTls> tls = nullptr;  // the settings that it was opened under
  Hop hop;                                              // as judged when it was opened
  std::optional<Hop> before;     // in clear, since TLS failed: what failed, told for each message that it carries
  std::string destination = {};  // whose mail it was opened for
  std::shared_ptr<void> place = nullptr;  // among the host's sessions
};

class Courier {
 public:
  // REQUIRES: all outlive it.
  explicit Courier(const Services& services)
      : router_(services.router),
        queue_(services.queue),
        clock_(services.clock),
        look_ups_(services.executor, services.log),
        wishes_(services.router, services.executor, services.log) {}
  // For sessions opened from now on.
  void reload(Options options, std::shared_ptr<const net::ClientTls> tls) {
    options_ = std::move(options);
    tls_ = std::move(tls);
    ++generation_;
  }

  // What signs mail from now on; null: nothing does.
  void sign_with(std::shared_ptr<const dkim::Keyring> keyring) { keyring_ = std::move(keyring); }

  // Awaited right before each final dot (Content::leave).
  void ask_leave(std::function<asio::awaitable<bool>()> leave) { leave_ = std::move(leave); }

  // `session` belongs to the caller's frame, which waits: it is used when it fits, and left open, or empty.
  // `access`: null, or outlives it.
  asio::awaitable<Attempt> attempt(std::shared_ptr<const store::Job> job, std::optional<OpenSession>& session,
                                   Access* access = nullptr);
  // Nobody waits any longer for what is looked up.
  void stop() { look_ups_.stop(); }
  // What was counted in an attempt that is made anew: it comes with take_cut_off().
  void keep(store::LedgerCounts counts) { cut_off_.add(counts); }
  // The sessions of attempts that were cut off before they could tell of them; once.
  store::LedgerCounts take_cut_off() { return std::exchange(cut_off_, {}); }

 private:
  friend class Run;
  route::Router& router_;
  queue::Queue& queue_;
  net::Clock clock_;
  Options options_;
  std::uint64_t generation_ = 0;  // of the options
  std::shared_ptr<const net::ClientTls> tls_;
  std::shared_ptr<const dkim::Keyring> keyring_;
  std::function<asio::awaitable<bool>()> leave_;
  LookUps look_ups_;
  Wishes wishes_;
  Rotation rotation_;
  Rotation heard_;  // by message, destination and source: who told it to come later
  std::map<std::uint64_t, unsigned>
      apart_;  // by message: how often in a row it broke at somebody, and nobody was taken
  CredentialStore credentials_;
  Families families_;
  store::LedgerCounts cut_off_;
};

}  // namespace hoplock::delivery
