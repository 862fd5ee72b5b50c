// SPDX-License-Identifier: Apache-2.0
// Password hashing beside the loop: one worker thread that shares nothing with it but the question and the answer, so that
// a hash that takes a tenth of a second delays no other session. Who asks first is no matter of speed: those who logged in lately come
// before all others, and who guesses wrong, or asks much at once, comes last; each fourth turn is that of who has waited longest.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <compare>
#include <list>
#include <memory>
#include <string>

#include "base/ip.h"
#include "listener/logins.h"
#include "listener/users.h"

namespace hoplock::listener {

class Passwords {
 public:
  // Questions at once. Beyond them the one whose turn would come last is answered `unknown`: that may be another one than the newest.
  static constexpr std::size_t most_waiting = 100;

  Passwords(boost::asio::any_io_executor loop, const Logins& logins);
  Passwords(const Passwords&) = delete;
  Passwords& operator=(const Passwords&) = delete;
  // Waits for the hash that is being made; the others are dropped.
  ~Passwords();

  struct Attempt {
    Ip site;  // of the client (places.h)
    std::string user;
    std::string password;
  };
  // REQUIRES: `this` outlives the task that awaits.
  boost::asio::awaitable<Credentials> check(std::shared_ptr<const Users> users, Attempt attempt);

 private:
  struct Question;
  using Waiting = std::list<std::shared_ptr<Question>>;
  bool make_room(const Question& newest);
  void ask_next();
  static void answer(Question& question, Credentials found);

  boost::asio::any_io_executor loop_;
  const Logins& logins_;
  Waiting waiting_;  // oldest first
  bool busy_ = false;
  unsigned turns_ = 0;
  std::shared_ptr<Passwords*> self_ = std::make_shared<Passwords*>(this);
  boost::asio::thread_pool worker_{1};
};

}  // namespace hoplock::listener
