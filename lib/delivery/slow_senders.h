// SPDX-License-Identifier: Apache-2.0
// Senders whose mail a destination puts off message after message while it takes that of others: each waits there for a while, by itself.
// So does a whole domain or client, where several of its senders are told so. Bounded, in memory; what it forgets is learnt again.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "delivery/attempt.h"
#include "delivery/origin.h"
#include "queue/message.h"

namespace hoplock::delivery {

class SlowSenders {
 public:
  // How mail of that origin is held there; nothing: it is not.
  std::optional<queue::Backoff> held(const queue::Job& job, Time now) const;
  // The hold that is there or was the last.
  std::optional<queue::Backoff> last(const std::string& key) const;
  // A message was put off. Recipients, each once, whom that befell since one was taken or the origin was held; 0: where its mail is one
  // mailbox's, which is told so itself.
  std::size_t put_off(const Attempt& attempt, By by, std::uint64_t whom);
  void hold(const std::string& key, queue::Backoff hold);
  void took(const Attempt& attempt);
  void forget() { entries_.clear(); }

 private:
  struct Entry {
    std::set<std::uint64_t> whom;
    Origins from;
    std::optional<queue::Backoff> hold;
  };
  std::map<std::string, Entry> entries_;
};

// Which sender, domain or client, to which domain, over which next hop.
std::string origin_at(const Attempt& attempt, By by);

}  // namespace hoplock::delivery
