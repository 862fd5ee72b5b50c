// SPDX-License-Identifier: Apache-2.0
#include "delivery/scheduler.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string_view>
#include <utility>

#include "delivery/reply_words.h"
#include "delivery/scheduling.h"

namespace hoplock::delivery {

namespace {

constexpr std::chrono::seconds look_again{30};
constexpr Milliseconds look_gap{100};     // so that dues which differ by little are found together
constexpr Milliseconds hang_again{1000};  // for a worker that could not be had
constexpr std::chrono::seconds pause{1};  // after the queue or the store failed
constexpr std::chrono::seconds clock_tolerance{5};

}  // namespace

Scheduler::Impl::Impl(const Services& services)
    : queue_(services.queue),
      router_(services.router),
      log_(services.log),
      clock_(services.clock),
      runner_(services),
      committer_(
          services.queue, services.log, [this] { notify(); }, services.clock),
      record_watch_(services, [this] { notify(); }),
      random_(std::random_device{}()),
      gates_(services.log),
      placed_(now()),
      wall_(now()),
      workers_(services.executor, services.log),
      tasks_(services.executor, services.log),
      watching_(services.executor, services.log) {
  runner_.ask_leave([this](std::int64_t term) { return committer_.leave(term); });
}

void Scheduler::Impl::set(Options options, std::shared_ptr<const net::ClientTls> tls) {
  lets_go_ = !options.reputation_hold && (options_.reputation_hold || lets_go_);
  options_ = options;
  record_watch_.every(options_.retry.first);
  concurrency_.limit(options_.sessions, per_domain());
  gates_.limit(options_.sessions, options_.sessions_per_host);
  runner_.reload(std::move(options), std::move(tls));
  reopen();
}

// delivery.reputation_hold was turned off, perhaps while nothing ran: what it holds is tried now.
void Scheduler::Impl::mind_the_holds() {
  if (!lets_go_ || is_paused()) return;
  lets_go_ = false;
  gates_.forget_holds();
  slow_senders_.forget();
  tasks_.spawn("let-go", let_go(shared_from_this()));
}

// What waits for a time of its own, as the mail of an origin does, then what waits behind a hold. Where the queue fails, all of it again.
asio::awaitable<void> Scheduler::Impl::let_go(Self self) {
  std::string after;
  std::function<bool(std::string_view)> says_so = speaks_of_reputation;
  const auto told = co_await self->queue_.wake_told(std::move(says_so), self->now());
  if (!told) co_return self->let_go_failed(told.error().detail);
  while (!self->stopping_) {
    std::string from = after;
    const auto holds = co_await self->queue_.holds(std::move(from), self->now());
    if (!holds) co_return self->let_go_failed(holds.error().detail);
    if (holds->empty()) break;
    for (const store::Held& one : *holds) {
      after = one.destination;
      if (!speaks_of_reputation(one.reply)) continue;
      std::string destination = one.destination;
      store::Wake wake;
      wake.now = self->now();
      const auto woken = co_await self->queue_.wake(std::move(destination), std::move(wake));
      if (!woken) co_return self->let_go_failed(woken.error().detail);
    }
  }
  self->concurrency_.recheck_busy();
  self->notify();
}
void Scheduler::Impl::let_go_failed(const std::string& what) {
  lets_go_ = !options_.reputation_hold;
  queue_failed(what);
}

void Scheduler::Impl::start(Sends sends) {
  tasks_.spawn("settler", settle(shared_from_this()));
  if (sends == Sends::nothing) return;
  queue_.on_work([weak = weak_from_this()](std::vector<store::Ready> ready) {
    if (const auto self = weak.lock()) self->add_work(std::move(ready));
  });
  tasks_.spawn("dispatcher", dispatch(shared_from_this()));
  watching_.spawn("watch", watch(shared_from_this()));
}

asio::awaitable<void> Scheduler::Impl::stop(net::SteadyTime deadline) {
  const auto self = shared_from_this();
  stopping_ = true;
  record_watch_.end();
  watching_.stop();
  wake_.notify_all();
  concurrency_.wake_all_idle();
  replaced_.notify_all();
  drop_spares();
  if (co_await workers_.join(deadline) > 0) {
    workers_.stop();
    co_await workers_.join(Steady::now() + std::chrono::seconds(1));
  }
  runner_.stop();
  committer_.end();
  co_await tasks_.join(std::max(deadline, Steady::now() + std::chrono::seconds(1)));
  tasks_.stop();
  co_await watching_.join(Steady::now() + std::chrono::seconds(1));
}

void Scheduler::Impl::abandon() {
  stopping_ = true;
  watching_.stop();
  workers_.stop();
  tasks_.stop();
  runner_.stop();
}

// An operator wants it tried now, whatever was learnt of its site.
void Scheduler::Impl::notify_by_order() {
  gates_.forget_holds();
  slow_senders_.forget();
  reopen();
}

// What was known of rates and limits is asked of the rules anew, also by workers that wait for their turn.
void Scheduler::Impl::reopen() {
  gates_.reopen();
  for (const ActiveDestinationPtr& destination : concurrency_.all()) {
    destination->site.reset();
    destination->most = SIZE_MAX;
  }
  concurrency_.wake_all_idle();
  notify();
}

// The limit is the installation's: rounded up, so that each node may have a session.
std::size_t Scheduler::Impl::per_domain() const {
  return (options_.sessions_per_domain + senders_sharing_ - 1) / senders_sharing_;
}

void Scheduler::Impl::share(std::size_t senders) {
  senders = std::max<std::size_t>(senders, 1);
  if (std::exchange(senders_sharing_, senders) == senders) return;
  concurrency_.limit(options_.sessions, per_domain());
  notify();
}

void Scheduler::Impl::notify() {
  look_ = true;
  wake_.notify_all();
}

Counts Scheduler::Impl::counts() const {
  Counts counts = counts_;
  counts.workers = concurrency_.workers();
  counts.destinations = concurrency_.active_count();
  counts.stalled = committer_.stalled();
  return counts;
}

std::vector<queue::InLine> Scheduler::Impl::in_line() const { return concurrency_.in_line(now()); }

asio::awaitable<void> Scheduler::Impl::settle(Self self) { co_await self->committer_.run(); }
asio::awaitable<void> Scheduler::Impl::watch(Self self) { co_await self->record_watch_.run(); }

// Looks for due work at the start, when something comes due, and when told to, as long as there are workers for it.
asio::awaitable<void> Scheduler::Impl::dispatch(Self self) {
  while (!self->stopping_) {
    co_await self->check_clock();
    co_await self->check_routes();
    self->mind_the_holds();
    if (self->looks_now()) co_await self->look();
    self->start_workers();
    self->relieve();
    self->drop_spares();
    if (self->stopping_ || self->looks_now() || (self->displaced_ && !self->is_paused())) continue;
    ++self->counts_.idle_count;
    self->asleep_until_ = self->next_wake();
    co_await self->wake_.wait_until(self->asleep_until_);
  }
}

bool Scheduler::Impl::is_paused() const { return committer_.stalled() || Steady::now() < paused_until_; }

// While destinations wait for workers there is nothing to look for; worker_gone wakes the dispatcher then.
bool Scheduler::Impl::looks_now() const {
  return (look_ || Steady::now() >= look_at_) && concurrency_.waiting() == 0 && !concurrency_.is_full() && !is_paused();
}

Scheduler::Impl::Steady::time_point Scheduler::Impl::next_wake() const {
  const auto at = Steady::now();
  if (is_paused()) return committer_.stalled() ? at + pause : paused_until_;
  const bool may_look = concurrency_.waiting() == 0 && !concurrency_.is_full();
  const auto end = router_.rules()->next_end(placed_);
  const Milliseconds lasts = end ? std::clamp<Milliseconds>(*end - now(), Milliseconds(0), look_again) : look_again;
  const auto spare = spares_.empty() ? at + look_again : spares_.front().until;
  return std::min({spare, may_look ? look_at_ : at + look_again, at + lasts, evict_at_.value_or(at + look_again),
                   hung_at_.value_or(at + look_again),
                   concurrency_.is_full() ? at + look_again : gates_.opens().value_or(at + look_again)});
}

asio::awaitable<void> Scheduler::Impl::look() {
  const auto began = Steady::now();
  if (began >= look_at_) concurrency_.recheck_busy();
  look_ = false;
  looked_at_ = began;
  look_at_ = began + look_again;
  auto work = co_await queue_.ready(now(), ConcurrencyLimits::most_waiting, concurrency_.busy());
  if (!work) {
    look_ = true;
    queue_failed(work.error().detail);
    co_return;
  }
  if (work->ready.size() >= ConcurrencyLimits::most_waiting) look_ = true;  // there are more
  if (work->next_due) note_due(*work->next_due);
  add_work(std::move(work->ready));
}

// Something comes due then: the dispatcher shall be awake.
void Scheduler::Impl::note_due(Time due) {
  if (clock_went_back()) return notify();  // or `due` would seem far away until it is noticed otherwise
  const auto at = std::max(Steady::now() + std::min<Milliseconds>(due - now(), look_again), looked_at_ + look_gap);
  if (at >= look_at_) return;
  look_at_ = at;
  if (at < asleep_until_) wake_.notify_all();
}

bool Scheduler::Impl::clock_went_back() const {
  return now() - wall_ < std::chrono::duration_cast<Milliseconds>(Steady::now() - steady_) - clock_tolerance;
}

// CONTRACT: a clock set back delays no message by more than its own retry interval.
asio::awaitable<void> Scheduler::Impl::check_clock() {
  const bool set_back = clock_went_back();
  const auto wall = now();
  wall_ = wall;
  steady_ = Steady::now();
  if (!set_back) co_return;
  log_.write(Event(Level::warn, "clock-set-back"));
  look_ = true;
  displaced_ = true;  // routes whose time was over count again
  // A site's hold ends by the clock that was. Each destination keeps its own, which moves with the queue.
  gates_.forget_holds();
  slow_senders_.forget();
  const auto rebased = co_await queue_.rebase(wall);
  if (!rebased) queue_failed(rebased.error().detail);
}

// MX-20: a route ended, or a worker came upon mail that the rules send elsewhere by now. What waited for the old next hop waits no more.
asio::awaitable<void> Scheduler::Impl::check_routes() {
  const Time at = now();
  const auto end = router_.rules()->next_end(placed_);
  if (is_paused() || (!displaced_ && (!end || at < *end))) co_return;
  displaced_ = false;
  if (end && at >= *end) reopen();
  const auto rerouted = co_await queue_.reroute(at);
  look_ = true;
  if (rerouted) {
    placed_ = at;
  } else {
    displaced_ = true;
    queue_failed(rerouted.error().detail);
  }
  replaced_.notify_all();
}

void Scheduler::Impl::queue_failed(const std::string& what) {
  paused_until_ = Steady::now() + pause;
  // that the store is away is told by whoever keeps it, once
  if (queue_.available()) log_.write(Event(Level::error, "queue-failed").add("error", what));
  wake_.notify_all();
}

void Scheduler::Impl::add_work(std::vector<store::Ready> ready) {
  for (store::Ready& one : ready) {
    if (const ActiveDestinationPtr destination = concurrency_.active(one.destination)) {
      destination->more = true;
      if (!concurrency_.wake_idle(*destination)) {
        grow(destination);
        mind_hang(*destination);
      }
    } else if (!concurrency_.add(std::move(one))) {
      look_ = true;
    }
  }
  start_workers();
}

void Scheduler::Impl::start_workers() {
  if (stopping_ || is_paused()) return;
  while (const ActiveDestinationPtr destination = concurrency_.next()) add_worker(destination);
  if (gates_.opens() && *gates_.opens() < asleep_until_) wake_.notify_all();
  evict_at_ = concurrency_.evict_idle(Steady::now());
  if (evict_at_ && *evict_at_ < asleep_until_) wake_.notify_all();
  if (concurrency_.crowd() > 0 && Steady::now() + hang_again < asleep_until_) wake_.notify_all();
}

// More workers when those there are cannot keep up, or all of them hang.
void Scheduler::Impl::grow(const ActiveDestinationPtr& destination) {
  if (stopping_ || is_paused()) return;
  const auto at = Steady::now();
  if (destination->takeable(at) > 0) {
    if (concurrency_.wake_idle(*destination)) return;
    while (concurrency_.may_grow(*destination) && destination->is_behind()) add_worker(destination);
  }
  const auto overdue = destination->overdue(at);
  if (overdue && *overdue <= at && concurrency_.may_grow(*destination, ConcurrencyLimits::Why::hung))
    add_worker(destination);
}

// One message that gets no reply holds up no other: a further worker goes past it.
void Scheduler::Impl::relieve() {
  hung_at_.reset();
  for (const ActiveDestinationPtr& destination : concurrency_.all()) {
    auto at = Steady::now();
    auto overdue = destination->overdue(at);
    if (!overdue) continue;
    if (*overdue <= at) {
      grow(destination);
      overdue = at + hang_again;
    }
    hung_at_ = std::min(hung_at_.value_or(*overdue), *overdue);
  }
  make_stuck_give_way();
}

// Servers that hold on to sessions and say nothing shall not have all of them.
void Scheduler::Impl::make_stuck_give_way() {
  const auto at = Steady::now();
  for (const BusyWorker* worker : concurrency_.stuck_too_many(at)) {
    Event event(Level::info, "gave-way");
    event.add("id", worker->job->id.text()).add("domain", worker->job->recipients.front().domain.text());
    event.add("seconds", std::chrono::duration_cast<std::chrono::seconds>(at - worker->began).count());
    event.add("waiting", static_cast<std::int64_t>(concurrency_.crowd()));
    log_.write(event);
    log_.count(counted::Once::gave_way);
    worker->access->gives_way.now();
    if (*worker->access->speaks != nullptr) (*worker->access->speaks)->give_up();
  }
  if (concurrency_.crowd() > 0) hung_at_ = std::min(hung_at_.value_or(at + hang_again), at + hang_again);
}

void Scheduler::Impl::mind_hang(const ActiveDestination& destination) {
  const auto overdue = destination.overdue(Steady::now());
  if (overdue && *overdue < asleep_until_) wake_.notify_all();
}

void Scheduler::Impl::add_worker(const ActiveDestinationPtr& destination) {
  concurrency_.worker_came(*destination);
  Places places = take_places(*destination);
  workers_.spawn("lane", run_worker(shared_from_this(), destination, std::move(places)));
}

Scheduler::Impl::Places Scheduler::Impl::take_places(ActiveDestination& destination) {
  Places places;
  if (!destination.site) destination.site = gates_.site_of(destination.name);
  if (destination.site) places.at_site = gates_.use(destination.site);
  for (GatePtr& gate : gates_.for_unproven(destination.name)) places.on_trial.push_back(gates_.use(gate));
  return places;
}

void Scheduler::Impl::worker_gone(ActiveDestination& destination) {
  const bool last = concurrency_.worker_left(destination);
  if (stopping_) return;
  if (!last) {
    if (destination.more || !destination.jobs.empty()) concurrency_.wake_idle(destination);
  } else if (destination.held) {
    look_ = true;  // an operator may have ended the hold meanwhile
    tasks_.spawn("expire", expire_waiting(shared_from_this(), destination.name, *destination.backoff));
    // with the workers: whoever waits for them to end waits for this mail too, and stores what became of it
    workers_.spawn("relaxed", send_relaxed(shared_from_this(), destination.name, *destination.backoff));
    tasks_.spawn("tell", tell_waiting(shared_from_this(), destination.name, *destination.backoff));
  } else if (destination.more) {
    Waiting ready;
    if (std::exchange(destination.given_back, false)) ready.place = destination.place;
    ready.destination = destination.name;
    ready.due = now();
    ready.backoff = destination.backoff;
    const GatePtr gate = std::exchange(destination.waits_at, nullptr);
    if (gate) {
      if (!concurrency_.park(gate, std::move(ready))) look_ = true;
    } else if (!concurrency_.add(std::move(ready))) {
      look_ = true;
    }
  }
  start_workers();
  if (looks_now()) wake_.notify_all();
}

Scheduler::Scheduler(const Services& services) : impl_(std::make_shared<Impl>(services)) {}
Scheduler::~Scheduler() { impl_->abandon(); }
void Scheduler::set(Options options, std::shared_ptr<const net::ClientTls> tls) {
  impl_->set(std::move(options), std::move(tls));
}
void Scheduler::start(Sends sends) { impl_->start(sends); }
asio::awaitable<void> Scheduler::stop(net::SteadyTime deadline) { return impl_->stop(deadline); }
void Scheduler::sign_with(std::shared_ptr<const dkim::Keyring> keyring) { impl_->sign_with(std::move(keyring)); }
void Scheduler::notify() { impl_->notify_by_order(); }
void Scheduler::look() { impl_->notify(); }
void Scheduler::share(std::size_t senders) { impl_->share(senders); }
asio::awaitable<Result<store::Affected>> Scheduler::bounce(store::Selection selection,
                                                           queue::Queue::Progress progress) {
  return Impl::bounce(impl_, std::move(selection), std::move(progress));
}
Counts Scheduler::counts() const { return impl_->counts(); }
std::vector<queue::InLine> Scheduler::in_line() const { return impl_->in_line(); }

}  // namespace hoplock::delivery
