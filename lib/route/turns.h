// SPDX-License-Identifier: Apache-2.0
// Look-ups on behalf of one next-hop domain, a few at a time: whoever publishes very many hosts, or hosts whose name servers are silent,
// waits for himself and keeps the resolver from nobody else (BND-02). Only this loop.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <map>
#include <memory>

#include "dns/name.h"
#include "net/condition.h"

namespace hoplock::route {

class Turns {
 public:
  explicit Turns(std::size_t at_once) : at_once_(at_once) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // A place in the domain's queue; leaves it, or gives its turn to the next, when it goes. REQUIRES: `turns` outlives it.
  class Turn {
   public:
    Turn(Turns& turns, dns::Name domain);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    // Returns when it has come.
    boost::asio::awaitable<void> come();

   private:
    Turns& turns_;
    dns::Name domain_;
    bool has_come_ = false;
  };
  std::size_t domains() const { return domains_.size(); }  // that somebody looks up or waits for

 private:
  struct Domain {
    std::size_t turns = 0;  // that are or wait
    std::size_t under_way = 0;
    net::Condition next;
  };
  const std::size_t at_once_;
  std::map<dns::Name, Domain> domains_;
};

}  // namespace hoplock::route
