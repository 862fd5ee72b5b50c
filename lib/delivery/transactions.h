// SPDX-License-Identifier: Apache-2.0
// The mail over the session that is open: transaction after transaction, until nobody is left for whom another one makes sense, and what
// the replies mean for those whom it was for (MX-13, MX-21, MX-24). For this module's own sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "delivery/host_refusals.h"
#include "delivery/message_content.h"
#include "delivery/progress.h"
#include "delivery/route_check.h"
#include "delivery/setback.h"

namespace hoplock::delivery {

class Transactions {
 public:
  // REQUIRES: both outlive it.
  Transactions(Progress& progress, RouteCheck& route_check);

  enum class Heard : std::uint8_t {
    something,   // of this mail
    nothing,     // a 421 is only the end of the session
    too_little,  // it broke at one of several recipients, and step by step it shows at whom
  };
  // REQUIRES: a session is open, and its hop is the attempt's last.
  boost::asio::awaitable<Heard> transact();
  Pace pace() const { return pace_; }

  // What one session came to counts no more: the hops are these again.
  void restore_hops(std::vector<Hop> before);
  void forget_words(const std::vector<std::size_t>& recipients);
  // The last hop never takes this mail, whoever of the recipients that are left it is for.
  bool is_closed_to_all() const;

  // Every host had its turn: whoever was refused everywhere is refused for good.
  void end_refused();
  // A transaction broke at somebody: each of these costs a session. After some in a row, and nobody taken, the others wait with them.
  void limit_rounds();
  // MessageContent::redact.
  boost::asio::awaitable<Result<>> redact() { return content_.redact(); }

 private:
  // What a transaction's replies mean for those it was for.
  struct Heeded {
    bool something = false;  // was said of this mail
    bool progress = false;   // somebody was delivered, or will be asked for in another way
    std::vector<std::size_t> later;
  };
  Heeded heed(const smtpclient::Sent& sent, const std::vector<std::size_t>& batch, std::size_t hop);
  Heard part(const smtpclient::Sent& sent, const std::vector<std::size_t>& batch, Heard heard);
  void note_put_off(const smtpclient::Sent& sent, std::size_t recipients);
  void note_missing(const std::vector<std::size_t>& whom, const smtpclient::MissingExtension& missing, std::size_t hop);
  std::vector<std::size_t> batch_for(std::size_t hop);
  void note_sent(const smtpclient::Sent& sent, std::size_t hop);
  boost::asio::awaitable<void> end_transactions(std::size_t hop);
  boost::asio::awaitable<Heard> leave_displaced();
  std::size_t messages_per_session() const;

  Progress& progress_;
  Common& common_;
  RouteCheck& route_check_;
  MessageContent content_;
  HostRefusals refusals_;
  Pace pace_ = Pace::pipelined;
  bool apart_ = false;                 // a transaction broke at somebody: the attempt ends there
  std::vector<std::size_t> unjudged_;  // then: the others
  bool alone_ = false;                 // who it broke at has a transaction of its own
};

}  // namespace hoplock::delivery
