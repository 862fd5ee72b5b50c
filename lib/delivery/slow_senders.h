// SPDX-License-Identifier: Apache-2.0
// Senders whose mail a destination puts off message after message while it takes that of others: each waits there for a while, by itself.
// Bounded, in memory; what it forgets is learnt again.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "delivery/attempt.h"
#include "queue/message.h"

namespace hoplock::delivery {

class SlowSenders {
 public:
  // How it is held; nothing: it is not.
  std::optional<queue::Backoff> held(const std::string& key, Time now) const;
  // The hold that is there or was the last.
  std::optional<queue::Backoff> last(const std::string& key) const;
  // A message was put off. Recipients, each once, whom that befell since one was taken or the sender was held.
  std::size_t put_off(const std::string& key, std::uint64_t whom);
  void hold(const std::string& key, queue::Backoff hold);
  void took(const std::string& key) { entries_.erase(key); }
  void forget() { entries_.clear(); }

 private:
  struct Entry {
    std::set<std::uint64_t> whom;
    std::optional<queue::Backoff> hold;
  };
  std::map<std::string, Entry> entries_;
};

// Which sender, to which domain, over which next hop.
std::string sender_at(const queue::Job& job);
std::string sender_at(const Attempt& attempt);

}  // namespace hoplock::delivery
