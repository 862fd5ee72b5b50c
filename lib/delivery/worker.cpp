// SPDX-License-Identifier: Apache-2.0
// A worker: one session's worth of sequential jobs for one destination, and what their ends mean for the destination as a whole.
#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "delivery/worker.h"

namespace hoplock::delivery {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t lease_bytes = 128U << 10U;
constexpr std::size_t expire_messages = 32;
constexpr Milliseconds report_life = std::chrono::hours{24};  // RPT-43
constexpr std::chrono::seconds turn{2};                       // of a worker while other destinations wait

double milliseconds_since(Steady::time_point then) {
  return std::chrono::duration<double, std::milli>(Steady::now() - then).count();
}

}  // namespace

asio::awaitable<void> Scheduler::Impl::run_worker(Self self, ActiveDestinationPtr destination, Places places) {
  DeliveryWorker worker(*self, destination, std::move(places));
  bool goes_on = true;  // by name: GCC 12 may drop the loop of `while (co_await …) {}`
  while (goes_on) goes_on = co_await self->step(worker);
  if (worker.session) self->pass_on(worker);
  if (worker.session) co_await worker.session->client->quit();
  worker.session.reset();
  worker.set_connected(false);
  if (destination->workers == 1 && !self->stopping_) co_await self->give_back_rest(destination);
}

// One job, or a rest. False: the worker ends.
asio::awaitable<bool> Scheduler::Impl::step(DeliveryWorker& worker) {
  if (stopping_ || worker.destination->held) co_return false;
  const bool turn_over = Steady::now() >= worker.began + turn;
  const GatePtr host = worker.session && worker.session->place ? host_of(*worker.session) : nullptr;
  if (concurrency_.must_yield(*worker.destination,
                              turn_over ? ConcurrencyLimits::Turn::over : ConcurrencyLimits::Turn::young, host.get())) {
    worker.destination->more = true;
    co_return false;
  }
  const SitePtr site = worker.destination->site;
  if (site && site->rate && Steady::now() < site->closed_until)
    co_return co_await wait_turn(worker, site->closed_until);
  auto job = co_await next_job(worker.destination);
  if (!job && is_wanted(worker)) co_return false;
  if (!job) co_return co_await wait_idle(worker, worker.last_job + options_.idle_session);
  if (const auto slow = slow_senders_.held(*job, site ? site->name : "", now())) {
    put(deferred_on_hold(slow->hold, slow->since, *job, now(), schedule()));
    co_return true;
  }
  const bool stay = co_await carry(worker, std::move(*job));
  worker.last_job = Steady::now();
  co_return stay;
}

// Others have work for its place at the site or the host.
bool Scheduler::Impl::is_wanted(const DeliveryWorker& worker) {
  const SitePtr& site = worker.destination->site;
  if (site && !site->waiting.empty()) return true;
  return worker.session && worker.session->place && !host_of(*worker.session)->waiting.empty();
}

// Under the operator's rate: over its open session, unless that would idle too long.
asio::awaitable<bool> Scheduler::Impl::wait_turn(DeliveryWorker& worker, Steady::time_point turn) {
  const bool soon = worker.session && turn <= worker.last_job + options_.idle_session;
  if (soon) {
    const bool stays = co_await wait_idle(worker, turn);
    co_return stays || (!worker.evicted && !stopping_);
  }
  worker.destination->more = true;
  worker.destination->waits_at = worker.destination->site;
  co_return false;
}

asio::awaitable<bool> Scheduler::Impl::wait_idle(DeliveryWorker& worker, Steady::time_point until) {
  if (!worker.session || stopping_ || Steady::now() >= until) co_return false;
  IdleWorker me;
  me.at = worker.destination.get();
  me.since = Steady::now();
  if (worker.session->place) me.host = host_of(*worker.session);
  concurrency_.idle_begins(me);
  const struct Leave {
    ConcurrencyLimits& limits;
    IdleWorker& worker;
    ~Leave() { limits.idle_ends(worker); }
  } leave{concurrency_, me};
  start_workers();  // its turn to give way may have come
  const net::Woken woken = me.evicted ? net::Woken::notified : co_await me.wake.wait_until(until);
  worker.evicted = me.evicted;
  co_return woken == net::Woken::notified && !me.evicted;
}

asio::awaitable<std::optional<store::Job>> Scheduler::Impl::next_job(ActiveDestinationPtr destination) {
  co_await committer_.wait_for_capacity();
  for (;;) {
    if (stopping_ || destination->held || is_paused()) co_return std::nullopt;
    if (auto job = destination->take(Steady::now())) {
      auto confirmed = co_await confirm(destination, std::move(*job));
      if (confirmed) co_return confirmed;
      continue;
    }
    if (destination->leasing) {
      co_await destination->leased.wait();
    } else if (!destination->more || !co_await lease(destination)) {
      co_return std::nullopt;
    }
  }
}

// Nothing: it was held or removed at another node, or waits here for what next_job() looks at.
asio::awaitable<std::optional<store::Job>> Scheduler::Impl::confirm(ActiveDestinationPtr destination, store::Job job) {
  const auto withdrawn = co_await queue_.withdrawn(job, now());
  if (!withdrawn) queue_failed(withdrawn.error().detail);
  if (withdrawn && !withdrawn->empty())
    std::erase_if(job.recipients, [&](const store::Due& due) {
      return std::binary_search(withdrawn->begin(), withdrawn->end(), store::Lease{job.id, due.seq});
    });
  if (job.recipients.empty()) co_return std::nullopt;
  if (!stopping_ && !destination->held && !is_paused()) co_return std::move(job);
  destination->jobs.push_front(std::move(job));
  destination->more = true;
  co_return std::nullopt;
}

// False: nothing came.
asio::awaitable<bool> Scheduler::Impl::lease(ActiveDestinationPtr destination) {
  const struct Leasing {
    ActiveDestination& at;
    explicit Leasing(ActiveDestination& destination) : at(destination) { at.leasing = true; }
    ~Leasing() {
      at.leasing = false;
      at.leased.notify_all();
    }
  } leasing(*destination);
  destination->more = false;  // what comes while we look sets it again
  queue::LeaseLimit limit;
  limit.messages = destination->portion();
  limit.bytes = lease_bytes;
  auto jobs = co_await queue_.lease(destination->name, now(), limit);
  if (!jobs) {
    destination->more = true;
    queue_failed(jobs.error().detail);
    co_return false;
  }
  if (jobs->empty()) {
    // what is due here later was no news to a look that came while there was still something to do
    if (const auto due = queue_.next_due(destination->name)) note_due(*due);
    co_return destination->more;
  }
  destination->more = true;
  for (store::Job& job : *jobs) destination->jobs.push_back(std::move(job));
  co_return true;
}

// It took too long while others waited: as if the server's time were over, and this message has its own schedule.
asio::awaitable<bool> Scheduler::Impl::give_way(DeliveryWorker& worker, const store::Job& job, const Attempt& attempt) {
  const ActiveDestinationPtr destination = worker.destination;
  if (!took_any(attempt)) gates_.unproven(destination->name);
  const auto why = destination_failure(attempt);
  // our own haste is no failure of a look-up, and its answer comes; nor does it make the hold of a silent host grow
  const bool holds = why && !attempt.cut_at_look_up && destination->connected == 0 && !destination->held;
  if (holds) hold(*destination, job, attempt, *why, Grows::no);
  destination->more = true;
  destination->given_back = false;
  const ResultCommitter::Sequence sequence = finish(*destination, attempt);
  co_await committer_.wait_committed(sequence);
  co_return false;
}

// Mail gets through to here; what comes after it is measured from now.
void Scheduler::Impl::DeliveryWorker::ready() {
  set_connected(true);
  busy.since = Steady::now();
  self.mind_hang(*destination);
}

// One job; false: this worker has to end.
asio::awaitable<bool> Scheduler::Impl::carry(DeliveryWorker& worker, store::Job job) {
  const ActiveDestinationPtr destination = worker.destination;
  const auto kept = std::make_shared<const store::Job>(std::move(job));
  const auto kind = worker.session ? ActiveDestination::Kind::further : ActiveDestination::Kind::first;
  const auto began = Steady::now();
  worker.busy.job = kept;
  worker.busy.at = destination.get();
  worker.busy.access = &worker;
  worker.busy.began = worker.busy.since = began;
  destination->begins(worker.busy);
  mind_hang(*destination);
  Attempt attempt;
  std::string broken;
  try {
    attempt = co_await runner_.attempt(kept, worker.session, &worker);
  } catch (const std::exception& error) {
    broken = error.what();
  } catch (...) {
    broken = "an exception of an unknown kind";
  }
  destination->ends(worker.busy, took_any(attempt) ? ActiveDestination::Took::mail : ActiveDestination::Took::nothing,
                    Steady::now());
  worker.busy.job.reset();
  if (!broken.empty()) {
    worker.session.reset();  // no telling where its conversation stands
    put_broken(*kept, broken);
    co_return false;
  }
  note_source(attempt);
  if (attempt.turned_away != TurnedAway::no) co_return co_await turn_away(worker, *kept, std::move(attempt));
  tell_hops(attempt);
  if (attempt.displaced) co_return co_await place_anew(worker, attempt);
  worker.set_connected(attempt.reached);
  if (worker.gives_way.is_made()) co_return co_await give_way(worker, *kept, attempt);
  auto why = destination_failure(attempt);
  // what fails for its sender's source address does not hold up the mail of others
  const bool of_source = why && is_of_source(attempt, *why);
  if (of_source) co_return co_await hold_source(worker, *kept, std::move(attempt), std::move(*why));
  if (why) co_return co_await go_down(worker, *kept, std::move(attempt), std::move(*why));
  if (attempt.reached) {
    destination->measure(kind, milliseconds_since(began));
    if (kind == ActiveDestination::Kind::first) concurrency_.measure_setup(destination->setup_ms);
  }
  auto slowed = learn(worker, attempt);
  if (slowed) co_return co_await slow_down(worker, std::move(attempt), std::move(*slowed));
  const ResultCommitter::Sequence sequence = finish(*destination, attempt);
  if (attempt.rest_back) {  // theirs again when it is stored
    co_await committer_.wait_committed(sequence);
    destination->more = true;
  }
  destination->given_back = false;
  if (gates_.has_room()) start_workers();  // a limit has grown: for those that wait first
  if (attempt.reached && !attempt.put_off) grow(destination);
  co_return true;
}

void Scheduler::Impl::tell_hops(const Attempt& attempt) {
  for (const Event& event : hop_events(attempt)) log_.write(event);
  for (const counted::Value& value : hop_counts(attempt)) log_.count(value);
  if (!attempt.broken.empty()) tell_broken(attempt.id, attempt.broken);
}

void Scheduler::Impl::tell_broken(store::Id id, const std::string& why) {
  log_.write(Event(Level::error, "internal-error").add("id", id.text()).add("error", why));
}

// What was to be an attempt came to nothing.
ResultCommitter::Sequence Scheduler::Impl::put_broken(const store::Job& job, const std::string& why) {
  if (stopping_) return put(released(job));
  tell_broken(job.id, why);
  return put(internal_error(job, now(), schedule()));
}

// Some of it has another next hop by now. The worker ends when all the queue has followed the rules: whoever came before would lease the
// same again.
asio::awaitable<bool> Scheduler::Impl::place_anew(DeliveryWorker& worker, const Attempt& attempt) {
  const ResultCommitter::Sequence sequence = put(settlement_of(attempt, schedule()));
  co_await committer_.wait_committed(sequence);
  worker.destination->more = true;
  displaced_ = true;
  wake_.notify_all();
  if (!stopping_) co_await replaced_.wait();
  co_return false;
}

bool Scheduler::Impl::is_displaced(const store::Job& job) const {
  const route::TablePtr rules = router_.rules();
  const Time at = now();
  return std::any_of(job.recipients.begin(), job.recipients.end(),
                     [&](const store::Due& due) { return rules->destination(due.domain, at) != job.destination; });
}

// The last worker leaves: what it leased and did not carry is the queue's again before another worker may come.
asio::awaitable<void> Scheduler::Impl::give_back_rest(ActiveDestinationPtr destination) {
  if (destination->jobs.empty()) co_return;
  ResultCommitter::Sequence sequence = 0;
  for (const store::Job& job : destination->jobs) sequence = put(released(job));
  destination->jobs.clear();
  destination->more = true;
  co_await committer_.wait_committed(sequence);
}

// Mail that does without the policy got through: what the policy holds back is held back as before (RTLS-13, RPT-38).
bool Scheduler::Impl::says_nothing(const Attempt& attempt, const store::Backoff& hold) const {
  const auto reason = hop::parse_reason(hold.reason);
  const MessageClass message_class = message_class_of(attempt.envelope, options_.tls_required_no);
  return reason && hop::is_policy(*reason) &&
         (message_class == MessageClass::tls_required_no || message_class == MessageClass::report);
}

// A destination that took mail works again; one that is held keeps its hold.
ResultCommitter::Sequence Scheduler::Impl::finish(ActiveDestination& destination, const Attempt& attempt, Works works) {
  Schedule when = schedule_of(attempt);
  const bool shows = took_any(attempt) || (attempt.reached && !attempt.put_off && !destination.held);
  if (works == Works::ask && shows && destination.backoff && !says_nothing(attempt, *destination.backoff)) {
    destination.backoff.reset();
    destination.held = false;
    record_watch_.remove(destination.name);
    told_.forget(destination.name);
    Settlement settlement = settlement_of(attempt, when);
    settlement.change = store::DestinationChange{destination.name, std::nullopt};
    return put(std::move(settlement));
  }
  if (destination.held && !attempt.reached) when.hold = destination.backoff;
  Settlement settlement = settlement_of(attempt, when);
  if (when.hold || works == Works::no)
    settlement.change = store::DestinationChange{destination.name, destination.backoff};
  return put(std::move(settlement));
}

ResultCommitter::Sequence Scheduler::Impl::put(Settlement settlement) {
  for (const store::RecipientResult& one : settlement.settled.recipients) {
    switch (one.verdict) {
      case store::Verdict::delivered:
        ++counts_.delivered;
        break;
      case store::Verdict::deferred:
        ++counts_.deferred;
        note_due(one.due);
        break;
      case store::Verdict::bounced:
        ++counts_.bounced;
        break;
      case store::Verdict::expired:
        ++counts_.expired;
        break;
    }
  }
  settlement.counts.add(runner_.take_cut_off());
  return committer_.add(std::move(settlement));
}

// What waits behind the hold and has waited long enough ends with the destination's own failure (DANE-07, MX-11).
asio::awaitable<void> Scheduler::Impl::expire_waiting(Self self, std::string destination, store::Backoff hold) {
  queue::LeaseLimit limit;
  limit.messages = expire_messages;
  limit.bytes = lease_bytes;
  while (!self->stopping_ && !self->is_paused()) {
    co_await self->committer_.wait_for_capacity();
    auto jobs = co_await self->queue_.lease_older(destination, hold.last - self->options_.expire, limit);
    if (!jobs || jobs->empty()) co_return;
    for (const store::Job& job : *jobs) {
      if (self->is_displaced(job)) {  // another's hold is no end of it
        self->put(released(job));
        self->displaced_ = true;
      } else {
        self->put(expired_on_hold(hold, job, self->schedule()));
      }
    }
    if (self->displaced_) {
      self->wake_.notify_all();
      co_return;
    }
  }
}

// A hold that lasts is renewed within retry.max.
TellingMarks::Clock Scheduler::Impl::telling_clock() const {
  TellingMarks::Clock clock;
  clock.now = now();
  clock.lasts =
      2 * options_.retry.max + std::max(options_.expire_bounces, options_.delay_notice) + std::chrono::hours{1};
  return clock;
}

// What waits behind it and was not tried itself: the senders of notices give up earlier, others are told that it takes long. Each
// recipient is looked at once for as long as the hold lasts.
asio::awaitable<void> Scheduler::Impl::tell_waiting(Self self, std::string destination, store::Backoff hold) {
  using Kind = store::HeldQuery::Kind;
  for (const Kind kind : {Kind::notices, Kind::untold}) {
    const Options& options = self->options_;
    const Milliseconds wait = kind == Kind::notices ? options.expire_bounces : options.delay_notice;
    if (kind == Kind::untold && (wait.count() == 0 || options.postmaster.empty())) continue;
    store::HeldQuery waiting;
    waiting.kind = kind;
    waiting.until = hold.last - wait;
    waiting.after = self->told_.move(destination, kind, waiting.until, self->telling_clock());
    waiting.messages = expire_messages;
    std::optional<store::HeldQuery> next = waiting;
    while (next && !self->stopping_ && !self->is_paused()) {
      co_await self->committer_.wait_for_capacity();
      store::HeldQuery from = *next;
      auto waited = co_await self->queue_.lease_waiting(destination, from);
      if (!waited) break;
      next = std::move(waited->next);
      ResultCommitter::Sequence sequence = 0;
      for (const store::Job& job : waited->jobs) {
        if (self->is_displaced(job)) {
          sequence = self->put(released(job));
        } else {
          sequence = self->put(kind == Kind::notices ? expired_on_hold(hold, job, self->schedule())
                                                     : delay_notice_on_hold(hold, job, self->schedule()));
        }
      }
      co_await self->committer_.wait_committed(sequence);
    }
  }
}

// RTLS-13: what was not tried yet and does without the policy that holds the destination is sent all the same, one after the other over
// a session of its own. What becomes of it says nothing about the destination.
asio::awaitable<void> Scheduler::Impl::send_relaxed(Self self, std::string destination, store::Backoff hold) {
  const auto reason = hop::parse_reason(hold.reason);
  if (!reason || !hop::is_policy(*reason) || self->options_.tls_required_no == TlsRequiredNo::ignore) co_return;
  store::HeldQuery waiting;
  waiting.kind = store::HeldQuery::Kind::relaxed;
  waiting.until = self->now();
  waiting.after = self->told_.move(destination, waiting.kind, waiting.until, self->telling_clock());
  waiting.messages = expire_messages;
  std::optional<OpenSession> session;
  std::optional<store::HeldQuery> next = waiting;
  while (next && !self->stopping_ && !self->is_paused()) {
    co_await self->committer_.wait_for_capacity();
    store::HeldQuery from = *next;
    auto waited = co_await self->queue_.lease_waiting(destination, from);
    if (!waited) break;
    next = std::move(waited->next);
    ResultCommitter::Sequence sequence = 0;
    for (store::Job& job : waited->jobs) {
      store::Job one = std::move(job);
      sequence = co_await self->carry_relaxed(std::move(one), session);
    }
    co_await self->committer_.wait_committed(sequence);
  }
  if (session) co_await session->client->quit();
}

asio::awaitable<ResultCommitter::Sequence> Scheduler::Impl::carry_relaxed(store::Job job,
                                                                          std::optional<OpenSession>& session) {
  const auto kept = std::make_shared<const store::Job>(std::move(job));
  if (stopping_) co_return put(released(*kept));
  std::string broken;
  Attempt attempt;
  try {
    attempt = co_await runner_.attempt(kept, session);
  } catch (const std::exception& error) {
    broken = error.what();
  }
  if (!broken.empty()) {
    session.reset();
    co_return put_broken(*kept, broken);
  }
  tell_hops(attempt);
  if (attempt.displaced) {
    displaced_ = true;
    wake_.notify_all();
  }
  co_return put(settlement_of(attempt, schedule_of(attempt)));
}

Schedule Scheduler::Impl::schedule_of(const Attempt& attempt) {
  Schedule when = schedule();
  if (attempt.envelope.kind == store::Kind::report) when.expire = std::min(when.expire, report_life);
  return when;
}

Schedule Scheduler::Impl::schedule() {
  Schedule schedule;
  schedule.retry = options_.retry;
  schedule.expire = options_.expire;
  schedule.expire_bounces = options_.expire_bounces;
  if (!options_.postmaster.empty()) {
    schedule.dsn_options.emplace();
    schedule.dsn_options->hostname = options_.hostname.text();
    schedule.dsn_options->from = options_.postmaster;
    schedule.dsn_options->delay_notice = options_.delay_notice;
    schedule.dsn_options->expire = options_.expire;
    schedule.dsn_options->token = random_();
  }
  schedule.random = fraction();
  return schedule;
}

}  // namespace hoplock::delivery
