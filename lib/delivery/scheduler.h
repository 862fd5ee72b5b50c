// SPDX-License-Identifier: Apache-2.0
// When and over how many sessions: takes work from the queue as workers free up, a worker being one session's worth of sequential jobs for
// one destination, and hands every result back in shared transactions. A destination that is down is held off as a whole and
// tried with one message first; a busy one gets more workers while its backlog would take longer than opening another session.
// Owns no mail: leases are the queue's, and what is lost here is tried again.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>

#include "delivery/options.h"
#include "delivery/services.h"
#include "dkim/signer.h"
#include "net/condition.h"
#include "net/tls_client.h"
#include "queue/in_line.h"

namespace hoplock::delivery {

struct Counts {
  std::size_t workers = 0;  // sessions that are open, being opened, or idle
  std::size_t destinations = 0;
  std::uint64_t delivered = 0;  // recipients, since the start
  std::uint64_t deferred = 0;
  std::uint64_t bounced = 0;
  std::uint64_t expired = 0;
  bool stalled = false;  // results cannot be stored: nothing new is sent until they can
  // How often the dispatcher went to sleep: of a busy loop there would be none or millions.
  std::uint64_t idle_count = 0;
};

class Scheduler {
 public:
  // REQUIRES: the services outlive it and the loop's last run.
  explicit Scheduler(const Services& services);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Before start(), and at a reload: for sessions opened from now on.
  void set(Options options, std::shared_ptr<const net::ClientTls> tls);
  // What signs mail from now on; null: nothing does.
  void sign_with(std::shared_ptr<const dkim::Keyring> keyring);
  // nothing: this node takes mail for others to send. What operators end is still ended.
  enum class Sends : std::uint8_t { mail, nothing };
  void start(Sends sends = Sends::mail);
  // Takes no more work, lets messages under way end until `deadline`, then cuts; results so far are stored in any case.
  boost::asio::awaitable<void> stop(net::SteadyTime deadline);
  // Somebody changed what is due (an operator's retry or release): look now, and forget what holds sites back.
  void notify();
  // More may be due than was: look now.
  void look();
  // So many nodes send mail: each takes its part of sessions_per_domain, at least one.
  void share(std::size_t senders);
  // Ends what the selection means with a notice to the senders, in bounded steps, each on stable storage before the next; what is under
  // way is left alone and counted as active.
  boost::asio::awaitable<Result<store::Affected>> bounce(store::Selection selection, queue::Queue::Progress progress);
  Counts counts() const;
  // Next hops whose mail is due and waits for a session.
  std::vector<queue::InLine> in_line() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hoplock::delivery
