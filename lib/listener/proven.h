// SPDX-License-Identifier: Apache-2.0
// Logins that proved right lately, so that a page that refreshes its parts, each time with name and password, costs one hash and not one for
// every part. No password is kept: a digest of address, name and password under a key that only this process has, and that changes with what is
// kept. Forgotten after some minutes, and all of it with the users that it was proved against (a reload reads them anew). Bounded. What
// is asked by many at once is hashed once; what was wrong is hashed again.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "listener/passwords.h"
#include "listener/users.h"
#include "net/single_flight.h"

namespace hoplock::listener {

class ProvenLogins {
 public:
  static constexpr std::size_t most = 256;
  static constexpr std::chrono::minutes memory{5};

  // Hashes, beside the loop (Passwords::check).
  using Check = std::function<boost::asio::awaitable<Credentials>(std::shared_ptr<const Users>, Passwords::Attempt)>;
  using Clock = std::function<net::SteadyTime()>;
  explicit ProvenLogins(Check check, Clock clock = std::chrono::steady_clock::now);
  ProvenLogins(const ProvenLogins&) = delete;
  ProvenLogins& operator=(const ProvenLogins&) = delete;

  // REQUIRES: `this` outlives the task that awaits.
  boost::asio::awaitable<Credentials> check(std::shared_ptr<const Users> users, Passwords::Attempt attempt);
  std::size_t size() const { return proven_.size(); }

 private:
  void begin_with(std::shared_ptr<const Users> users);
  std::string digest_of(const Passwords::Attempt& attempt) const;
  bool is_proven(const std::string& digest);
  void keep(const std::string& digest);

  Check check_;
  Clock clock_;
  std::shared_ptr<const Users> users_;  // against whom all of it was proved
  std::string key_;
  std::map<std::string, net::SteadyTime> proven_;  // by digest: until when
  net::SingleFlight<std::string, Credentials> flights_;
};

}  // namespace hoplock::listener
