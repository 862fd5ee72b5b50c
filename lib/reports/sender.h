// SPDX-License-Identifier: Apache-2.0
// Sends each day's TLS reports: RFC 8460 sections 3 and 5. Once a day is over, every domain's report gets a time of its own, is built
// when that comes, sent to all destinations that the domain's record names by then, and marked; what nobody took is tried again for 24
// hours. What is counted, and what a report says, is the ledger's.
//
// A report is sent once. A mail enters the queue in the same transaction as its mark; after a crash between a POST and its mark the
// endpoint gets the same octets again. One thread (the loop) calls it; it holds a few reports at a time, however many wait.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "base/log.h"
#include "dkim/signer.h"
#include "net/clock.h"
#include "queue/queue.h"
#include "reports/options.h"
#include "reports/post.h"
#include "resolver/resolver.h"
#include "store/ledger_store.h"

namespace hoplock::reports {

class Sender {
 public:
  struct Parts {
    boost::asio::any_io_executor executor;
    store::LedgerStore& ledger;
    resolver::Resolver& resolver;
    queue::Queue& queue;
    Post& post;
    Log& log;
    net::Clock clock = net::now;
  };
  // REQUIRES: the parts outlive it and the loop's last run.
  Sender(Parts parts, std::mt19937_64 random);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Before anything else, and at a reload. Without `options` nothing is sent; without a key for the submitter's domain in `keyring`
  // no mail (RPT-37).
  void set(std::optional<SenderOptions> options, std::shared_ptr<const dkim::Keyring> keyring);
  // Sends what is due, for ever, until it is cancelled.
  boost::asio::awaitable<void> run();
  // Sends all that is due at `now`; when the next report is. REQUIRES: no other round, and no run(), is under way.
  boost::asio::awaitable<std::optional<Time>> round(Time now);
  // Cuts what is under way; it is tried again after the next start.
  void stop();

  // What came back to the sender of reports, hours after somebody took it (RPT-47): anybody may have written it.
  boost::asio::awaitable<void> take_bounce(std::string content);

  // An operator's word: these reports now, today's too, whatever they wait for.
  struct SendNowResult {
    std::uint64_t found = 0;    // accounts of that selection
    std::uint64_t sending = 0;  // of them, those that are being sent now; the others are sent already
  };
  // Error operation_not_permitted: reports are switched off.
  boost::asio::awaitable<Result<SendNowResult>> send_now(store::ReportSelection which, Time now);

 private:
  friend class ReportJob;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hoplock::reports
