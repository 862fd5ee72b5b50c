// SPDX-License-Identifier: Apache-2.0
// The partners of a running daemon: read before the first delivery, changed by orders, told as `partner` events. The store decides: where
// several nodes share it, what one of them was ordered counts at the others within seconds, and each order is planned on what all did. An
// order is done when it is on stable storage, whole or not at all, and only then it counts. What ends by itself counts no more from that
// moment on, whenever that is told.
//
// 100,000 entries: they are read, written and taken up a few at a time, and no step keeps the loop or the store from mail.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "net/clock.h"
#include "net/condition.h"
#include "partners/book.h"
#include "partners/order.h"
#include "store/partner_store.h"

namespace hoplock::route {

class Partners {
 public:
  // REQUIRES: the store and the log outlive it and the loop's last run.
  Partners(store::PartnerStore& kept, Log& log, net::Clock clock = net::now)
      : kept_(kept), log_(log), clock_(std::move(clock)) {}
  Partners(const Partners&) = delete;
  Partners& operator=(const Partners&) = delete;

  // Called with every book that comes into force, and with the domains whose entries differ from those before; "*": nobody knows.
  using Follow = std::function<void(partners::BookPtr book, std::vector<dns::Pattern> changed)>;
  void on_change(Follow call) { follow_ = std::move(call); }

  // limits.min_free_space: what many orders at once leave alone, so that they do not stop mail. A few are tried all the same.
  void set_min_free_space(std::uint64_t octets) { min_free_space_ = octets; }
  // Once. An Error: what was agreed on is not known, and no mail may leave.
  boost::asio::awaitable<Result<>> load();
  partners::BookPtr book() const { return book_; }

  // All of them or, where one is refused or cannot be stored, none. One call after the other.
  boost::asio::awaitable<Result<partners::Done>> carry_out(std::vector<partners::Order> orders, std::string by);

  // Tells of entries that have ended, and daily of those in their last week; until cancelled. First of changes that were stored, and not
  // told of before the daemon was killed.
  boost::asio::awaitable<void> watch();

 private:
  using Entries = std::vector<partners::Entry>;
  struct Change {
    partners::Entry entry;
    store::PartnerRow row = store::PartnerRow::there;
    std::string was;  // what counted in its place: "dane", "verify", "encrypt"; "": nothing
  };
  using Changes = std::vector<Change>;
  // What orders come to.
  struct Plan {
    Changes changes;
    partners::Done done;
    std::uint64_t octets = 0;  // of the rows, about
  };
  using PlanPtr = std::shared_ptr<const Plan>;
  using OrdersPtr = std::shared_ptr<std::vector<partners::Order>>;
  class Turn;
  boost::asio::awaitable<Result<>> read_all(std::vector<dns::Pattern> changed);
  boost::asio::awaitable<void> see_others();
  boost::asio::awaitable<void> see_own();
  boost::asio::awaitable<void> look_for_others();
  boost::asio::awaitable<std::shared_ptr<Plan>> plan(OrdersPtr orders, std::string by);
  boost::asio::awaitable<Result<>> write(PlanPtr plan);
  Result<> has_room(const Plan& plan) const;
  boost::asio::awaitable<Result<>> clean();
  boost::asio::awaitable<void> tidy();
  boost::asio::awaitable<void> take_up(PlanPtr plan);
  boost::asio::awaitable<void> clear_behind(PlanPtr plan);
  boost::asio::awaitable<void> follow_up();
  boost::asio::awaitable<Entries> turned(Time at) const;
  boost::asio::awaitable<void> count(std::shared_ptr<const Entries> entries);
  boost::asio::awaitable<void> tell_ended(Time at);
  boost::asio::awaitable<void> tell_soon_over(Time at);
  void publish(std::shared_ptr<partners::Book> book, std::vector<dns::Pattern> changed);
  boost::asio::awaitable<void> retire();

  store::PartnerStore& kept_;
  Log& log_;
  net::Clock clock_;
  Follow follow_;
  std::shared_ptr<partners::Book> book_ = std::make_shared<partners::Book>();
  std::vector<std::shared_ptr<partners::Book>> retired_;  // were in force, and may be read still
  std::uint64_t min_free_space_ = 0;
  std::optional<store::PartnerBatch> seen_;  // committed, and in the book; of a store that others write, too
  bool unclean_ = false;                     // there may be rows that never came to count
  // Who changes something, one after the other. Held by a task, too, which may go after all else at the end.
  struct Lock {
    bool taken = false;
    net::Condition free;
  };
  std::shared_ptr<Lock> lock_ = std::make_shared<Lock>();
  net::Condition news_;
  std::optional<Time> looked_;  // for what ended until then
};

}  // namespace hoplock::route
