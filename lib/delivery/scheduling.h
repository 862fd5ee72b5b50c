// SPDX-License-Identifier: Apache-2.0
// The scheduler's inside: a dispatcher that finds due destinations, and their workers. For this module's own sources.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "delivery/attempt_runner.h"
#include "delivery/concurrency.h"
#include "delivery/gates.h"
#include "delivery/record_watch.h"
#include "delivery/result_committer.h"
#include "delivery/scheduler.h"
#include "delivery/slow_senders.h"
#include "delivery/telling_marks.h"
#include "net/task_group.h"

namespace hoplock::delivery {

class Scheduler::Impl : public std::enable_shared_from_this<Scheduler::Impl> {
 public:
  using Steady = std::chrono::steady_clock;

  explicit Impl(const Services& services);
  void set(Options options, std::shared_ptr<const net::ClientTls> tls);
  void sign_with(std::shared_ptr<const dkim::Keyring> keyring) { runner_.sign_with(std::move(keyring)); }
  void start(Sends sends);
  asio::awaitable<void> stop(net::SteadyTime deadline);
  void abandon();
  void notify();
  void notify_by_order();
  void share(std::size_t senders);
  std::size_t per_domain() const;
  void reopen();
  Counts counts() const;
  std::vector<queue::InLine> in_line() const;
  static asio::awaitable<Result<store::Affected>> bounce(std::shared_ptr<Impl> self, store::Selection selection,
                                                         queue::Queue::Progress progress);

 private:
  using Self = std::shared_ptr<Impl>;
  struct DeliveryWorker;

  // --- scheduler.cpp: who gets a worker, and when to look for work
  static asio::awaitable<void> settle(Self self);
  static asio::awaitable<void> dispatch(Self self);
  static asio::awaitable<void> watch(Self self);
  asio::awaitable<void> look();
  bool clock_went_back() const;
  asio::awaitable<void> check_clock();
  asio::awaitable<void> check_routes();
  void mind_the_holds();
  static asio::awaitable<void> let_go(Self self);
  void let_go_failed(const std::string& what);
  bool is_paused() const;
  bool looks_now() const;
  Steady::time_point next_wake() const;
  void note_due(Time due);
  void add_work(std::vector<store::Ready> ready);
  void start_workers();
  void grow(const ActiveDestinationPtr& destination);
  void relieve();
  void make_stuck_give_way();
  void mind_hang(const ActiveDestination& destination);
  void add_worker(const ActiveDestinationPtr& destination);
  // Its places at the site, and among those that have not worked yet, from the moment it is decided on.
  struct Places {
    Gates::UsePtr at_site;
    std::vector<Gates::UsePtr> on_trial;
  };
  Places take_places(ActiveDestination& destination);
  void worker_gone(ActiveDestination& destination);
  void queue_failed(const std::string& what);

  // --- worker.cpp: one session's worth of jobs for one destination
  static asio::awaitable<void> run_worker(Self self, ActiveDestinationPtr destination, Places places);
  asio::awaitable<bool> step(DeliveryWorker& worker);
  asio::awaitable<bool> wait_idle(DeliveryWorker& worker, Steady::time_point until);
  bool is_wanted(const DeliveryWorker& worker);
  GatePtr host_of(const OpenSession& session) { return gates_.host(session.ip, session.source.towards(session.ip)); }
  asio::awaitable<bool> wait_turn(DeliveryWorker& worker, Steady::time_point turn);
  asio::awaitable<std::optional<store::Job>> next_job(ActiveDestinationPtr destination);
  asio::awaitable<std::optional<store::Job>> confirm(ActiveDestinationPtr destination, store::Job job);
  asio::awaitable<bool> lease(ActiveDestinationPtr destination);
  asio::awaitable<bool> carry(DeliveryWorker& worker, store::Job job);
  asio::awaitable<bool> give_way(DeliveryWorker& worker, const store::Job& job, const Attempt& attempt);
  void tell_hops(const Attempt& attempt);
  void tell_broken(store::Id id, const std::string& why);
  asio::awaitable<bool> place_anew(DeliveryWorker& worker, const Attempt& attempt);
  bool is_displaced(const store::Job& job) const;

  // --- spares.cpp: sessions that outlive their worker
  struct Spare {
    SitePtr site;
    GatePtr host;
    Gates::UsePtr at_site;
    Steady::time_point until;
    std::optional<OpenSession> session;  // there is one, with its place
  };
  void pass_on(DeliveryWorker& worker);
  std::optional<OpenSession> take_spare(const SitePtr& site);
  void make_room_among_spares(const Gate& gate);
  void drop_spares();
  Spare without_claim(std::deque<Spare>::iterator spare);
  static asio::awaitable<void> quit(OpenSession session);

  // --- standing.cpp: what an attempt's end means for the mail that comes after it
  asio::awaitable<bool> turn_away(DeliveryWorker& worker, const store::Job& job, Attempt attempt);
  void note_source(const Attempt& attempt);
  bool leaves_from_several(const std::string& destination) const { return by_rule_.contains(destination); }
  bool is_of_source(const Attempt& attempt, const DestinationFailure& why) const;
  asio::awaitable<bool> hold_source(DeliveryWorker& worker, const store::Job& job, Attempt attempt,
                                    DestinationFailure why);
  void come_again(ActiveDestination& destination, const store::Job& job, Attempt attempt);
  void hold_site(Site& site, const Attempt& attempt, const DestinationFailure& why);
  std::optional<Time> hold_mail_of(const std::string& key, const Attempt& attempt);
  bool hold_origin(Site& site, const Attempt& attempt, const Voices& by, By whose);
  void slow_origin(Site& site, const Attempt& attempt, const RecipientStatus& whom);
  void slow_sender(const Attempt& attempt, const RecipientStatus& whom, const Origins& known);
  asio::awaitable<bool> go_down(DeliveryWorker& worker, const store::Job& job, Attempt attempt, DestinationFailure why);
  struct Slowness {
    DestinationFailure why;
    bool whole_site = false;  // or only this destination
    bool by_several = false;  // destinations
  };
  asio::awaitable<bool> slow_down(DeliveryWorker& worker, Attempt attempt, Slowness slow);
  Holding holding_for(const DestinationFailure& why, const std::optional<store::Backoff>& before);
  enum class Grows : std::uint8_t { with_each, no };
  void hold(ActiveDestination& destination, const store::Job& job, const Attempt& attempt,
            const DestinationFailure& why, Grows grows = Grows::with_each);
  std::optional<Slowness> learn(DeliveryWorker& worker, Attempt& attempt);
  std::optional<Slowness> heed_cut_off(Site& site, const Attempt& attempt);
  static std::optional<Slowness> slowness(Site& site, const Attempt& attempt, const Voices& by);
  std::optional<Slowness> weigh_reputation(Site& site, Attempt& attempt);
  void tell_reputation(Site& site, const Attempt& attempt, const DestinationFailure& why);
  void tell_kept(const Site& site, const Attempt& attempt, By whose);

  // --- worker.cpp again: how leases end, and the mail behind a hold
  asio::awaitable<void> give_back_rest(ActiveDestinationPtr destination);
  enum class Works : std::uint8_t { ask, no };  // ask: the attempt shows it
  ResultCommitter::Sequence finish(ActiveDestination& destination, const Attempt& attempt, Works works = Works::ask);
  ResultCommitter::Sequence put(Settlement settlement);
  ResultCommitter::Sequence put_broken(const store::Job& job, const std::string& why);
  static asio::awaitable<void> expire_waiting(Self self, std::string destination, store::Backoff hold);
  static asio::awaitable<void> send_relaxed(Self self, std::string destination, store::Backoff hold);
  asio::awaitable<ResultCommitter::Sequence> carry_relaxed(store::Job job, std::optional<OpenSession>& session);
  bool says_nothing(const Attempt& attempt, const store::Backoff& hold) const;
  TellingMarks::Clock telling_clock() const;
  static asio::awaitable<void> tell_waiting(Self self, std::string destination, store::Backoff hold);
  Schedule schedule();
  Schedule schedule_of(const Attempt& attempt);

  // --- bounce.cpp: an operator's order
  struct Bounce;
  static asio::awaitable<Result<>> bounce_batch(Self self, std::shared_ptr<Bounce> order, std::vector<store::Id> ids);

  Time now() const { return clock_(); }
  double fraction() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  queue::Queue& queue_;
  route::Router& router_;
  Log& log_;
  net::Clock clock_;
  AttemptRunner runner_;
  ResultCommitter committer_;
  RecordWatch record_watch_;
  Options options_;
  std::size_t senders_sharing_ = 1;  // nodes that send, this one among them
  std::mt19937_64 random_;
  Gates gates_;
  SlowSenders slow_senders_;
  Origins senders_;                // of all mail since the start, wherever it goes
  std::set<std::string> by_rule_;  // destinations that mail goes to from what a rule of `sources` names
  bool lets_go_ = false;           // of what delivery.reputation_hold holds
  ConcurrencyLimits concurrency_{gates_};
  Backs backs_;
  std::deque<Spare> spares_;    // oldest first
  bool look_ = true;            // told to look for due work
  Steady::time_point look_at_;  // or by the clock
  Steady::time_point looked_at_;
  Steady::time_point paused_until_;
  Steady::time_point asleep_until_;
  std::optional<Steady::time_point> evict_at_;  // an idle worker gives way then
  std::optional<Steady::time_point> hung_at_;   // all workers of a destination hang then, and other mail waits
  bool stopping_ = false;
  TellingMarks told_;
  Counts counts_;
  Time placed_;             // when destinations were last computed anew
  bool displaced_ = false;  // some that are not the rules' any more were found
  net::Condition replaced_;
  Time wall_;
  Steady::time_point steady_ = Steady::now();
  net::Condition wake_;
  net::TaskGroup workers_;
  net::TaskGroup tasks_;
  net::TaskGroup watching_;  // waits for DNS: nobody waits for it at the end
};

}  // namespace hoplock::delivery
