// SPDX-License-Identifier: Apache-2.0
// The inside of Queue, shared by its source files and the writers it hands out. Belongs to the loop.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "queue/queue.h"
#include "queue/ready_queue.h"
#include "store/mail_store.h"

namespace hoplock::queue {

using namespace store;

// Tells of new work once for all commits that came back together. Shared, so that a call under way may outlive the queue.
struct Announcer {
  std::function<void(std::vector<Ready>)> call;
  std::vector<Ready> pending;
  bool posted = false;
};

struct Queue::Core {
  Core(MailStore& mail_, Options options_, RouteOf route_);

  MailStore& mail;
  Options options;
  RouteOf route;
  std::shared_ptr<Announcer> announcer;
  struct Life {};
  std::shared_ptr<const Life> life = std::make_shared<const Life>();  // for what may be left when the queue is gone
  std::function<void(Id)> damaged;
  std::function<void(std::vector<Lease>)> lost;
  ReadyQueue ready_queue;
  std::int64_t last_id = 0;
  std::int64_t slot = 0;  // of ids, as in Recovered
  std::int64_t slots = 1;
  std::int64_t term = 0;  // of what is in the window
  bool started = false;
  std::unordered_set<Id> drafts;  // messages that stream ahead
  // Octets that are spoken for, of the room above min_free_space: what writers announced and have yet to bring, and what is on its way to
  // the disk, where it takes room in the log first and then in the database.
  std::shared_ptr<std::uint64_t> announced = std::make_shared<std::uint64_t>(0);
  std::shared_ptr<std::uint64_t> passing = std::make_shared<std::uint64_t>(0);
  bool inspected_once = false;  // the look at the rows has been at their end
  std::optional<Error> left;    // why what belongs to no message cannot go; the next sweep tells it

  using Deadline = std::chrono::steady_clock::time_point;
  bool rebasing = false;
  bool voiding = true;  // see void_removed

  Id next_id(Time now);
  // What is in the window is ours; else renew() gives it up for what is.
  bool is_current() const { return term != 0 && mail.lease_term() == term; }
  asio::awaitable<Result<>> renew();
  void take_up(const Recovered& recovered);
  static std::vector<Job> stamped(std::vector<Job> jobs, std::int64_t of);
  Time until_asked_again(Time now, Time next) const;
  std::uint64_t room_beside(std::uint64_t spoken_for) const;
  std::vector<std::uint32_t> unnamed(const Settled& settled) const;

  asio::awaitable<Result<>> reroute(Time now, Deadline until);
  asio::awaitable<Result<>> hasten_rest(Deadline until);
  asio::awaitable<Result<>> begin_rebase(Time now);
  asio::awaitable<Result<>> rebase(Deadline until);
  asio::awaitable<Result<>> void_removed(Deadline until);
  asio::awaitable<Result<>> inspect_some();
  asio::awaitable<Result<>> drop_orphans();
  std::vector<RoutedNotice> place(std::vector<Notice> notices, Time now);
  // What messages that went left, as far as it can go.
  asio::awaitable<void> drop_left(std::vector<Id> ids);
  asio::awaitable<Result<>> drop_draft(Id id, Deadline until);
  void enqueued(std::vector<Enqueued> destinations, const std::shared_ptr<Draft>& draft);
  void announce(const asio::any_io_executor& loop, std::vector<Ready> ready);
  void announce_woken(const asio::any_io_executor& loop, Time now);
  void report_damage(const std::vector<Id>& ids);
  asio::awaitable<Result<>> read_due(std::string destination, Time now, std::size_t least);
  std::vector<Lease> leases_of(const std::vector<Id>& ids) const;  // sorted
  struct Order;
  asio::awaitable<Result<>> act_on(std::shared_ptr<Order> order, std::vector<Id> ids);
  void acted(const asio::any_io_executor& loop, const AdminBatch& plan, const std::vector<std::string>& destinations);
};

}  // namespace hoplock::queue
