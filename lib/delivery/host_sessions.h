// SPDX-License-Identifier: Apache-2.0
// Over which session a host is offered the mail: the one that is open, where it may carry it (TLS-08), or a new one to an address of the
// host, opened under the plan and, where hop::after says so, once more in clear. For this module's own sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>

#include "delivery/attempt_limits.h"
#include "delivery/progress.h"
#include "delivery/tlsrpt_sessions.h"
#include "delivery/transactions.h"

namespace hoplock::delivery {

class HostSessions {
 public:
  // REQUIRES: all outlive it.
  HostSessions(Progress& progress, AttemptLimits& limits, Transactions& transactions, SessionRecorder& recorder);

  // A session is open, and it may carry the mail to that host.
  bool fits(const route::Host& host, const hop::HostFacts& facts, const hop::Connect& plan) const;
  // False: it turned out to be dead before the server said anything of this mail; a new one may do better.
  boost::asio::awaitable<bool> use_open();

  // A place among the sessions to that address. False: it has as many as it may.
  bool enter(const route::Host& host, const Ip& ip);
  // Over a new one; the place is left. True: this host has had its say; false: its next address.
  // REQUIRES: enter(); what `question` refers to outlives the call.
  boost::asio::awaitable<bool> use_new(route::Host host, Ip ip, hop::Connect plan, tlsrpt::Question question);

 private:
  boost::asio::awaitable<bool> try_address(route::Host host, Ip ip, hop::Connect plan, tlsrpt::Question question);
  boost::asio::awaitable<smtpclient::Opened> connect(route::Host host, Ip ip, hop::Connect plan);
  bool may_carry(const hop::Connect& plan) const;
  bool may_ride() const;
  hop::Fallback fallback() const;
  bool is_cut(const smtpclient::Opened& opened) const;
  Hop begun(const route::Host& host, const Ip& ip, const hop::Connect& plan) const;
  void note_banner(const route::Host& host, const Ip& ip);
  void note_failure(const route::Host& host, const Ip& ip, const smtpclient::Opened& opened);
  tlsrpt::Ends ends(const smtpclient::Opened& opened, const route::Host& host, const Ip& ip) const;
  void take_session(OpenSession session);
  OpenSession session_to(const route::Host& host, const Ip& ip, std::unique_ptr<smtpclient::Client> client) const;

  Progress& progress_;
  Common& common_;
  AttemptLimits& limits_;
  Transactions& transactions_;
  SessionRecorder& recorder_;
  std::size_t failures_ = 0;  // addresses from which no session came
  std::shared_ptr<void> place_;
};

}  // namespace hoplock::delivery
