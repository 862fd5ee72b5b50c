#include "delivery/scheduler.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <random>
#include <set>

#include "delivery/courier.h"
#include "delivery/describe.h"
#include "delivery/settler.h"
#include "net/task_group.h"

namespace hoplock::delivery {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t lease_messages = 32, lease_bytes = 256U << 10U;
constexpr std::size_t backlog_most = 1000;  // destinations known to have work while no lane is free
constexpr std::chrono::seconds look_again{30};
constexpr std::chrono::seconds clock_tolerance{5};

Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

double milliseconds_since(Steady::time_point then) {
  return std::chrono::duration<double, std::milli>(Steady::now() - then).count();
}

// A lane that keeps its session open for more mail.
struct IdleLane {
  net::Signal wake;
  bool evicted = false;
};

// A destination with lanes.
struct Destination {
  std::string name;
  std::deque<queue::Job> jobs;  // leased, not yet taken by a lane
  std::size_t lanes = 0;
  std::size_t connected = 0;   // lanes whose last host was ready for mail
  std::size_t cap = SIZE_MAX;  // of lanes, learnt from refused sessions
  bool leasing = false;
  bool more = true;                       // the queue may have more that is due
  bool held = false;                      // down as a whole
  std::optional<queue::Backoff> backoff;  // it was down: one message first
  net::Signal leased;
  std::list<IdleLane*> idle;
  double setup_ms = 0;    // of a session with its first message
  double message_ms = 0;  // of a further one, smoothed
};
using DestinationPtr = std::shared_ptr<Destination>;

}  // namespace

class Scheduler::Impl : public std::enable_shared_from_this<Scheduler::Impl> {
 public:
  Impl(asio::any_io_executor executor, queue::Queue& queue, route::Router& router, Log& log)
      : queue_(queue),
        log_(log),
        courier_(router, queue),
        settler_(queue, log),
        random_(std::random_device{}()),
        lanes_(executor, log),
        tasks_(executor, log) {}

  void set(Options options, std::shared_ptr<const net::ClientTls> tls) {
    options_ = options;
    courier_.reload(std::move(options), std::move(tls));
  }

  void start() {
    queue_.on_work([weak = weak_from_this()](std::vector<queue::Ready> ready) {
      if (const auto self = weak.lock()) self->add_work(std::move(ready));
    });
    tasks_.spawn("settler", settle(shared_from_this()));
    tasks_.spawn("dispatcher", dispatch(shared_from_this()));
  }

  asio::awaitable<void> stop(net::SteadyTime deadline) {
    stopping_ = true;
    wake_.notify_all();
    for (auto& [name, destination] : active_) {
      for (IdleLane* lane : destination->idle) lane->wake.notify_all();
      destination->leased.notify_all();
    }
    if (co_await lanes_.join(deadline) > 0) {
      lanes_.stop();
      co_await lanes_.join(Steady::now() + std::chrono::seconds(1));
    }
    settler_.end();
    co_await tasks_.join(std::max(deadline, Steady::now() + std::chrono::seconds(1)));
    tasks_.stop();
  }

  void abandon() {
    stopping_ = true;
    lanes_.stop();
    tasks_.stop();
  }

  void kick() {
    look_ = true;
    wake_.notify_all();
  }

  Counts counts() const {
    Counts counts = counts_;
    counts.lanes = lane_count_;
    counts.destinations = active_.size();
    counts.stalled = settler_.stalled();
    return counts;
  }

 private:
  static asio::awaitable<void> settle(std::shared_ptr<Impl> self) { co_await self->settler_.run(); }

  // Looks for due work at the start, when something comes due, and when told to.
  static asio::awaitable<void> dispatch(std::shared_ptr<Impl> self) {
    while (!self->stopping_) {
      co_await self->mind_the_clock();
      const Steady::time_point next = co_await self->look();
      self->start_lanes();
      if (!self->look_ && !self->stopping_) co_await self->wake_.wait_until(next);
    }
  }

  // Fills the backlog from the queue; when to look again.
  asio::awaitable<Steady::time_point> look() {
    const auto later = Steady::now() + look_again, soon = Steady::now() + std::chrono::seconds(1);
    look_ = false;
    if (settler_.stalled()) co_return soon;
    if (lane_count_ >= options_.sessions || !backlog_.empty()) {
      overflow_ = true;  // looked for when the backlog is through
      co_return later;
    }
    std::vector<std::string> busy;
    for (const auto& [name, destination] : active_) busy.push_back(name);
    auto work = co_await queue_.ready(now(), backlog_most, std::move(busy));
    if (!work) {
      log_.write(Event(Level::error, "queue-failed").add("error", work.error().detail));
      co_return soon;
    }
    overflow_ = work->ready.size() >= backlog_most;
    for (auto& one : work->ready) add_backlog(std::move(one));
    if (!work->next_due) co_return later;
    co_return std::min(later, Steady::now() + std::max(Milliseconds(1), *work->next_due - now()));
  }

  // CONTRACT: a clock set back delays no message by more than its own retry interval.
  asio::awaitable<void> mind_the_clock() {
    const auto wall = now();
    const auto steady = Steady::now();
    const bool set_back = wall - wall_ < std::chrono::duration_cast<Milliseconds>(steady - steady_) - clock_tolerance;
    wall_ = wall;
    steady_ = steady;
    if (!set_back) co_return;
    log_.write(Event(Level::warn, "clock-set-back"));
    const auto rebased = co_await queue_.rebase(wall);
    if (!rebased) log_.write(Event(Level::error, "queue-failed").add("error", rebased.error().detail));
  }

  void add_work(std::vector<queue::Ready> ready) {
    for (auto& one : ready) {
      const auto found = active_.find(one.destination);
      if (found == active_.end()) {
        add_backlog(std::move(one));
        continue;
      }
      Destination& destination = *found->second;
      destination.more = true;
      if (!wake_idle(destination)) grow(found->second);
    }
    start_lanes();
  }

  void add_backlog(queue::Ready ready) {
    if (active_.count(ready.destination) != 0 || in_backlog_.count(ready.destination) != 0) return;
    if (backlog_.size() >= backlog_most) {
      overflow_ = true;
      return;
    }
    in_backlog_.insert(ready.destination);
    backlog_.push_back(std::move(ready));
  }

  void start_lanes() {
    while (!backlog_.empty() && !stopping_ && !settler_.stalled()) {
      if (lane_count_ >= options_.sessions) return evict_idle();
      queue::Ready ready = std::move(backlog_.front());
      backlog_.pop_front();
      in_backlog_.erase(ready.destination);
      if (active_.count(ready.destination) != 0) continue;
      auto destination = std::make_shared<Destination>();
      destination->name = ready.destination;
      destination->backoff = std::move(ready.backoff);
      active_.emplace(ready.destination, destination);
      add_lane(destination);
    }
    if (backlog_.empty() && overflow_ && lane_count_ < options_.sessions) kick();
  }

  // All lanes are taken while others wait: one that only keeps a session warm gives way.
  void evict_idle() {
    if (idle_.empty()) return;
    IdleLane* const lane = idle_.front();
    idle_.pop_front();
    lane->evicted = true;
    lane->wake.notify_all();
  }

  bool wake_idle(Destination& destination) {
    if (destination.idle.empty()) return false;
    IdleLane* const lane = destination.idle.front();
    destination.idle.pop_front();
    lane->wake.notify_all();
    return true;
  }

  // One more lane when the backlog would take the present ones longer than two openings of a session.
  void grow(const DestinationPtr& destination) {
    const bool may = !destination->backoff && !destination->held && destination->connected > 0 &&
                     lane_count_ < options_.sessions &&
                     destination->lanes < std::min(options_.sessions_per_domain, destination->cap);
    const std::size_t waiting = destination->jobs.size() * (destination->more ? 2 : 1);
    if (!may || waiting == 0 || stopping_ || wake_idle(*destination)) return;
    const double backlog_ms =
        static_cast<double>(waiting) * destination->message_ms / static_cast<double>(destination->lanes);
    if (backlog_ms > 2 * destination->setup_ms) add_lane(destination);
  }

  void add_lane(const DestinationPtr& destination) {
    ++lane_count_;
    ++destination->lanes;
    lanes_.spawn("lane", lane(shared_from_this(), destination));
  }

  // Counts a lane until its frame is gone, however it ends.
  struct Presence {
    Impl& self;
    DestinationPtr destination;
    bool connected = false;
    Presence(Impl& impl, DestinationPtr to) : self(impl), destination(std::move(to)) {}
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;
    ~Presence() {
      set_connected(false);
      self.lane_gone(*destination);
    }
    void set_connected(bool value) {
      if (connected == value) return;
      connected = value;
      destination->connected += value ? 1 : SIZE_MAX;
    }
  };

  static asio::awaitable<void> lane(std::shared_ptr<Impl> self, DestinationPtr destination) {
    Presence presence(*self, destination);
    std::optional<OpenSession> session;
    bool stay = true;
    while (stay && !self->stopping_) {
      auto job = co_await self->next_job(destination);
      if (job) {
        stay = co_await self->carry(presence, std::move(*job), session);
      } else {
        stay = session.has_value() && co_await self->wait_idle(destination);
      }
    }
    if (session) co_await session->client->quit();
  }

  asio::awaitable<bool> wait_idle(DestinationPtr destination) {
    IdleLane me;
    destination->idle.push_back(&me);
    idle_.push_back(&me);
    const struct Leave {
      Impl& self;
      Destination& from;
      IdleLane& lane;
      ~Leave() {
        from.idle.remove(&lane);
        self.idle_.remove(&lane);
      }
    } leave{*this, *destination, me};
    if (!backlog_.empty() && lane_count_ >= options_.sessions) co_return false;
    const auto woken = co_await me.wake.wait_until(Steady::now() + options_.idle_session);
    co_return woken == net::Woken::notified && !me.evicted && !stopping_;
  }

  asio::awaitable<std::optional<queue::Job>> next_job(DestinationPtr destination) {
    co_await settler_.room();
    for (;;) {
      if (stopping_ || destination->held || settler_.stalled()) co_return std::nullopt;
      if (!destination->jobs.empty()) {
        queue::Job job = std::move(destination->jobs.front());
        destination->jobs.pop_front();
        co_return job;
      }
      if (destination->leasing) {
        co_await destination->leased.wait();
        continue;
      }
      if (!destination->more) co_return std::nullopt;
      if (!co_await lease(destination)) co_return std::nullopt;
    }
  }

  asio::awaitable<bool> lease(DestinationPtr destination) {
    destination->leasing = true;
    destination->more = false;  // what comes while we look sets it again
    queue::LeaseLimit limit;
    limit.messages = destination->backoff ? 1 : lease_messages;
    limit.bytes = lease_bytes;
    auto jobs = co_await queue_.lease(destination->name, now(), limit);
    destination->leasing = false;
    destination->leased.notify_all();
    if (!jobs) {
      log_.write(Event(Level::error, "queue-failed").add("error", jobs.error().detail));
      co_return false;  // the dispatcher finds it again
    }
    if (!jobs->empty()) destination->more = true;
    for (auto& job : *jobs) destination->jobs.push_back(std::move(job));
    co_return !jobs->empty() || destination->more;
  }

  // One job; false: this lane has to end.
  asio::awaitable<bool> carry(Presence& presence, queue::Job job, std::optional<OpenSession>& session) {
    const DestinationPtr destination = presence.destination;
    const bool fresh = !session.has_value();
    const auto began = Steady::now();
    const queue::Job kept = without_body(job);
    Attempt attempt;
    std::string broken;
    try {
      attempt = co_await courier_.attempt(std::move(job), session);
    } catch (const std::exception& error) {
      broken = error.what();
    }
    if (!broken.empty()) {
      settler_.add(internal_error(kept, broken));
      co_return false;
    }
    for (const Event& event : hop_events(attempt)) log_.write(event);
    presence.set_connected(attempt.reached);
    if (const auto why = down(attempt)) co_return co_await go_down(presence, std::move(attempt), *why);
    if (attempt.reached) measure(*destination, fresh, milliseconds_since(began));
    finish(*destination, attempt, std::nullopt);
    if (attempt.reached) grow(destination);
    co_return true;
  }

  static queue::Job without_body(const queue::Job& job) {
    queue::Job kept;
    kept.id = job.id;
    kept.destination = job.destination;
    kept.envelope.sender = job.envelope.sender;
    kept.received = job.received;
    kept.recipients = job.recipients;
    return kept;
  }

  static void measure(Destination& destination, bool fresh, double took) {
    double& figure = fresh ? destination.setup_ms : destination.message_ms;
    figure = figure == 0 ? took : figure * 0.75 + took * 0.25;
    if (destination.message_ms == 0) destination.message_ms = took / 4;  // a guess until a second message was sent
  }

  // No host was ready for mail. Where other lanes get through, it is this session that was one too many; else the destination as a
  // whole is held off.
  asio::awaitable<bool> go_down(Presence& presence, Attempt attempt, Down why) {
    const DestinationPtr destination = presence.destination;
    if (destination->connected > 0) {
      destination->cap = std::max<std::size_t>(1, destination->lanes - 1);
      give_back(attempt.id, attempt.destination);
      destination->more = true;
      co_return false;
    }
    const unsigned failures = (destination->backoff ? destination->backoff->failures : 0) + 1;
    const queue::Delay delay = queue::delay_after(options_.retry, failures, fraction());
    queue::Backoff hold;
    hold.until = attempt.ended + delay.wait;
    hold.failures = failures;
    hold.interval = delay.interval;
    hold.last = attempt.ended;
    hold.status = why.status;
    hold.reply = why.reply;
    hold.reason = why.reason;
    hold.host = why.host;
    destination->held = true;
    destination->backoff = hold;
    finish(*destination, attempt, hold);
    tasks_.spawn("expire", expire_waiting(shared_from_this(), destination->name, hold, attempt.ended));
    co_return false;
  }

  // `hold`: the destination is held off from now on. Otherwise, if it was held before, it works again.
  void finish(Destination& destination, const Attempt& attempt, std::optional<queue::Backoff> hold) {
    Schedule schedule;
    schedule.retry = options_.retry;
    schedule.expire = options_.expire;
    schedule.random = fraction();
    schedule.hold = hold;
    Finished finished;
    finished.settled.id = attempt.id;
    finished.settled.destination = attempt.destination;
    finished.settled.recipients = results(attempt, schedule);
    finished.events = recipient_events(attempt, finished.settled.recipients);
    if (hold || destination.backoff) finished.change = queue::DestinationChange{destination.name, hold};
    if (!hold) destination.backoff.reset();
    for (const auto& one : finished.settled.recipients) count(one.verdict);
    settler_.add(std::move(finished));
  }

  void count(queue::Verdict verdict) {
    switch (verdict) {
      case queue::Verdict::delivered:
        ++counts_.delivered;
        break;
      case queue::Verdict::deferred:
        ++counts_.deferred;
        break;
      case queue::Verdict::bounced:
        ++counts_.bounced;
        break;
      case queue::Verdict::expired:
        ++counts_.expired;
        break;
    }
  }

  void give_back(queue::Id id, const std::string& destination) {
    Finished finished;
    finished.settled.id = id;
    finished.settled.destination = destination;
    settler_.add(std::move(finished));
  }

  // A bug may delay mail, never lose it.
  Finished internal_error(const queue::Job& job, const std::string& what) {
    log_.write(Event(Level::error, "internal-error").add("id", job.id.text()).add("error", what));
    Finished finished;
    finished.settled.id = job.id;
    finished.settled.destination = job.destination;
    for (const auto& due : job.recipients) {
      const queue::Delay delay = queue::next_delay(options_.retry, due.interval, fraction());
      queue::RecipientResult result;
      result.seq = due.seq;
      result.due = now() + delay.wait;
      result.interval = delay.interval;
      result.status = "4.3.0";
      result.reply = "450 4.3.0 internal error";
      finished.settled.recipients.push_back(std::move(result));
    }
    return finished;
  }

  // What waits behind the hold and has waited long enough ends with the destination's own failure (DANE-07, MX-11).
  static asio::awaitable<void> expire_waiting(std::shared_ptr<Impl> self, std::string destination, queue::Backoff hold,
                                              Time at) {
    queue::LeaseLimit limit;
    limit.messages = lease_messages;
    limit.bytes = lease_bytes;
    while (!self->stopping_) {
      co_await self->settler_.room();
      auto jobs = co_await self->queue_.lease_older(destination, at - self->options_.expire, limit);
      if (!jobs || jobs->empty()) co_return;
      for (const auto& job : *jobs) self->settler_.add(self->expired(job, hold, at));
    }
  }

  Finished expired(const queue::Job& job, const queue::Backoff& hold, Time at) {
    Finished finished;
    finished.settled.id = job.id;
    finished.settled.destination = job.destination;
    for (const auto& due : job.recipients) {
      queue::RecipientResult result;
      result.seq = due.seq;
      result.verdict = queue::Verdict::expired;
      result.status = hold.status;
      result.reply = hold.reply;
      result.reason = hold.reason;
      result.host = hold.host;
      finished.events.push_back(expired_event(job, due, result, at));
      finished.settled.recipients.push_back(std::move(result));
      count(queue::Verdict::expired);
    }
    return finished;
  }

  void lane_gone(Destination& destination) {
    --lane_count_;
    if (--destination.lanes == 0) {
      for (const auto& job : destination.jobs) give_back(job.id, job.destination);
      const bool again = !destination.held && (destination.more || !destination.jobs.empty());
      queue::Ready ready;
      ready.destination = destination.name;
      ready.due = now();
      const auto found = active_.find(destination.name);
      if (found != active_.end() && found->second.get() == &destination) active_.erase(found);
      if (again && !stopping_) add_backlog(std::move(ready));
      if (destination.held) kick();  // when it may be tried again
    }
    if (!stopping_) start_lanes();
  }

  double fraction() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  queue::Queue& queue_;
  Log& log_;
  Courier courier_;
  Settler settler_;
  Options options_;
  std::mt19937_64 random_;
  std::map<std::string, DestinationPtr> active_;
  std::deque<queue::Ready> backlog_;  // known to have work, without a lane
  std::set<std::string> in_backlog_;
  std::list<IdleLane*> idle_;
  std::size_t lane_count_ = 0;
  bool overflow_ = false;  // the queue has more ready destinations than the backlog held
  bool look_ = true;
  bool stopping_ = false;
  Counts counts_;
  Time wall_ = now();
  Steady::time_point steady_ = Steady::now();
  net::Signal wake_;
  net::TaskGroup lanes_;
  net::TaskGroup tasks_;
};

Scheduler::Scheduler(asio::any_io_executor executor, queue::Queue& queue, route::Router& router, Log& log)
    : impl_(std::make_shared<Impl>(executor, queue, router, log)) {}
Scheduler::~Scheduler() { impl_->abandon(); }
void Scheduler::set(Options options, std::shared_ptr<const net::ClientTls> tls) {
  impl_->set(std::move(options), std::move(tls));
}
void Scheduler::start() { impl_->start(); }
asio::awaitable<void> Scheduler::stop(net::SteadyTime deadline) { return impl_->stop(deadline); }
void Scheduler::kick() { impl_->kick(); }
Counts Scheduler::counts() const { return impl_->counts(); }

}  // namespace hoplock::delivery
