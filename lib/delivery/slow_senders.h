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
#include "store/message.h"

namespace hoplock::delivery {

class SlowSenders {
 public:
  // A hold, and when the first of those began that followed one on the other: what waits behind them is told of it once.
  struct Held {
    store::Backoff hold;
    Time since;
  };
  // How mail of that origin is held there, or at the whole site; nothing: it is not. `site`: "" where it is not known yet.
  std::optional<Held> held(const store::Job& job, const std::string& site, Time now) const;
  // The hold that is there or was the last.
  std::optional<store::Backoff> last(const std::string& key) const;
  // Its origin was held there, or at the site, and nothing of it was taken since.
  bool was_held(const Attempt& attempt, const std::string& site) const;
  // A message was put off. Recipients, each once, whom that befell since one was taken or the origin was held; 0: where its mail is one
  // mailbox's, which is told so itself.
  std::size_t put_off(const Attempt& attempt, By by, std::uint64_t whom);
  void hold(const std::string& key, store::Backoff hold);
  void took(const Attempt& attempt, const std::string& site);
  void forget() { entries_.clear(); }

 private:
  struct Entry {
    std::set<std::uint64_t> whom;
    Origins from;
    std::optional<store::Backoff> hold;
    Time since;
  };
  const Entry* holding(const std::string& key, Time now) const;
  std::map<std::string, Entry> entries_;
};

// Which sender, domain or client, to which domain, over which next hop.
std::string origin_at(const Attempt& attempt, By by);
// The same for all that the site takes, whatever the domain.
std::string origin_at_site(const std::string& site, const store::Envelope& from, By by);

}  // namespace hoplock::delivery
