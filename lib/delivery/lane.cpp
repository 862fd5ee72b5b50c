// SPDX-License-Identifier: Apache-2.0
// A lane: one session's worth of sequential jobs for one destination, and what their ends mean for the destination as a whole.
#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "delivery/lane.h"
#include "delivery/patience.h"

namespace hoplock::delivery {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t lease_bytes = 128U << 10U;
constexpr std::size_t expire_messages = 32;
constexpr Milliseconds report_life = std::chrono::hours{24};  // RPT-43
constexpr std::chrono::seconds turn{2};                       // of a lane while other destinations wait

double milliseconds_since(Steady::time_point then) {
  return std::chrono::duration<double, std::milli>(Steady::now() - then).count();
}

}  // namespace

asio::awaitable<void> Scheduler::Impl::run_lane(Self self, DestinationPtr destination, Places places) {
  Lane lane(*self, destination, std::move(places));
  bool goes_on = true;  // by name: GCC 12 may drop the loop of `while (co_await …) {}`
  while (goes_on) goes_on = co_await self->step(lane);
  if (lane.session) self->pass_on(lane);
  if (lane.session) co_await lane.session->client->quit();
  lane.session.reset();
  lane.set_connected(false);
  if (destination->lanes == 1 && !self->stopping_) co_await self->give_back_rest(destination);
}

// One job, or a rest. False: the lane ends.
asio::awaitable<bool> Scheduler::Impl::step(Lane& lane) {
  if (stopping_ || lane.destination->held) co_return false;
  const bool turn_over = Steady::now() >= lane.began + turn;
  const GatePtr host = lane.session && lane.session->place ? host_of(*lane.session) : nullptr;
  if (pool_.must_yield(*lane.destination, turn_over ? Pool::Turn::over : Pool::Turn::young, host.get())) {
    lane.destination->more = true;
    co_return false;
  }
  const SitePtr site = lane.destination->site;
  if (site && site->rate && Steady::now() < site->closed_until) co_return co_await wait_turn(lane, site->closed_until);
  auto job = co_await next_job(lane.destination);
  if (!job && is_wanted(lane)) co_return false;
  if (!job) co_return co_await wait_idle(lane, lane.last_job + options_.idle_session);
  if (const auto slow = slow_senders_.held(*job, site ? site->name : "", now())) {
    put(deferred_behind(slow->hold, slow->since, *job, now(), schedule()));
    co_return true;
  }
  const bool stay = co_await carry(lane, std::move(*job));
  lane.last_job = Steady::now();
  co_return stay;
}

// Others have work for its place at the site or the host.
bool Scheduler::Impl::is_wanted(const Lane& lane) {
  const SitePtr& site = lane.destination->site;
  if (site && !site->waiting.empty()) return true;
  return lane.session && lane.session->place && !host_of(*lane.session)->waiting.empty();
}

// Under the operator's rate: over its open session, unless that would idle too long.
asio::awaitable<bool> Scheduler::Impl::wait_turn(Lane& lane, Steady::time_point turn) {
  const bool soon = lane.session && turn <= lane.last_job + options_.idle_session;
  if (soon) {
    const bool stays = co_await wait_idle(lane, turn);
    co_return stays || (!lane.evicted && !stopping_);
  }
  lane.destination->more = true;
  lane.destination->waits_at = lane.destination->site;
  co_return false;
}

asio::awaitable<bool> Scheduler::Impl::wait_idle(Lane& lane, Steady::time_point until) {
  if (!lane.session || stopping_ || Steady::now() >= until) co_return false;
  IdleLane me;
  me.at = lane.destination.get();
  me.since = Steady::now();
  if (lane.session->place) me.host = host_of(*lane.session);
  pool_.idle_begins(me);
  const struct Leave {
    Pool& pool;
    IdleLane& lane;
    ~Leave() { pool.idle_ends(lane); }
  } leave{pool_, me};
  start_lanes();  // its turn to give way may have come
  const net::Woken woken = me.evicted ? net::Woken::notified : co_await me.wake.wait_until(until);
  lane.evicted = me.evicted;
  co_return woken == net::Woken::notified && !me.evicted;
}

asio::awaitable<std::optional<store::Job>> Scheduler::Impl::next_job(DestinationPtr destination) {
  co_await settler_.room();
  for (;;) {
    if (stopping_ || destination->held || is_paused()) co_return std::nullopt;
    if (auto job = destination->take(Steady::now())) co_return job;
    if (destination->leasing) {
      co_await destination->leased.wait();
    } else if (!destination->more || !co_await lease(destination)) {
      co_return std::nullopt;
    }
  }
}

// False: nothing came.
asio::awaitable<bool> Scheduler::Impl::lease(DestinationPtr destination) {
  const struct Leasing {
    Destination& at;
    explicit Leasing(Destination& destination) : at(destination) { at.leasing = true; }
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
asio::awaitable<bool> Scheduler::Impl::give_way(Lane& lane, const store::Job& job, const Attempt& attempt) {
  const DestinationPtr destination = lane.destination;
  if (!took_any(attempt)) gates_.unproven(destination->name);
  const auto why = down(attempt);
  // our own haste is no failure of a look-up, and its answer comes; nor does it make the hold of a silent host grow
  const bool holds = why && !attempt.cut_at_look_up && destination->connected == 0 && !destination->held;
  if (holds) hold(*destination, job, attempt, *why, Grows::no);
  destination->more = true;
  destination->given_back = false;
  const Settler::Ticket ticket = finish(*destination, attempt);
  co_await settler_.stored(ticket);
  co_return false;
}

// Mail gets through to here; what comes after it is measured from now.
void Scheduler::Impl::Lane::ready() {
  set_connected(true);
  busy.since = Steady::now();
  self.mind_hang(*destination);
}

// One job; false: this lane has to end.
asio::awaitable<bool> Scheduler::Impl::carry(Lane& lane, store::Job job) {
  const DestinationPtr destination = lane.destination;
  const auto kept = std::make_shared<const store::Job>(std::move(job));
  const auto kind = lane.session ? Destination::Kind::further : Destination::Kind::first;
  const auto began = Steady::now();
  lane.busy.job = kept;
  lane.busy.at = destination.get();
  lane.busy.access = &lane;
  lane.busy.began = lane.busy.since = began;
  destination->begins(lane.busy);
  mind_hang(*destination);
  Attempt attempt;
  std::string broken;
  try {
    attempt = co_await courier_.attempt(kept, lane.session, &lane);
  } catch (const std::exception& error) {
    broken = error.what();
  } catch (...) {
    broken = "an exception of an unknown kind";
  }
  destination->ends(lane.busy, took_any(attempt) ? Destination::Took::mail : Destination::Took::nothing, Steady::now());
  lane.busy.job.reset();
  if (!broken.empty()) {
    lane.session.reset();  // no telling where its conversation stands
    put_broken(*kept, broken);
    co_return false;
  }
  note_source(attempt);
  if (attempt.turned_away != TurnedAway::no) co_return co_await turn_away(lane, *kept, std::move(attempt));
  tell_hops(attempt);
  if (attempt.displaced) co_return co_await place_anew(lane, attempt);
  lane.set_connected(attempt.reached);
  if (lane.gives_way.is_made()) co_return co_await give_way(lane, *kept, attempt);
  auto why = down(attempt);
  // what fails for its sender's source address does not hold up the mail of others
  const bool of_source = why && is_of_source(attempt, *why);
  if (of_source) co_return co_await hold_source(lane, *kept, std::move(attempt), std::move(*why));
  if (why) co_return co_await go_down(lane, *kept, std::move(attempt), std::move(*why));
  if (attempt.reached) {
    destination->measure(kind, milliseconds_since(began));
    if (kind == Destination::Kind::first) pool_.measure_setup(destination->setup_ms);
  }
  auto slowed = learn(lane, attempt);
  if (slowed) co_return co_await slow_down(lane, std::move(attempt), std::move(*slowed));
  const Settler::Ticket ticket = finish(*destination, attempt);
  if (attempt.rest_back) {  // theirs again when it is stored
    co_await settler_.stored(ticket);
    destination->more = true;
  }
  destination->given_back = false;
  if (gates_.has_room()) start_lanes();  // a limit has grown: for those that wait first
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
Settler::Ticket Scheduler::Impl::put_broken(const store::Job& job, const std::string& why) {
  if (stopping_) return put(give_back(job));
  tell_broken(job.id, why);
  return put(internal_error(job, now(), schedule()));
}

// Some of it has another next hop by now. The lane ends when all the queue has followed the rules: whoever came before would lease the
// same again.
asio::awaitable<bool> Scheduler::Impl::place_anew(Lane& lane, const Attempt& attempt) {
  const Settler::Ticket ticket = put(ending_of(attempt, schedule()));
  co_await settler_.stored(ticket);
  lane.destination->more = true;
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

// The last lane leaves: what it leased and did not carry is the queue's again before another lane may come.
asio::awaitable<void> Scheduler::Impl::give_back_rest(DestinationPtr destination) {
  if (destination->jobs.empty()) co_return;
  Settler::Ticket ticket = 0;
  for (const store::Job& job : destination->jobs) ticket = put(give_back(job));
  destination->jobs.clear();
  destination->more = true;
  co_await settler_.stored(ticket);
}

// Mail that does without the policy got through: what the policy holds back is held back as before (RTLS-13, RPT-38).
bool Scheduler::Impl::says_nothing(const Attempt& attempt, const store::Backoff& hold) const {
  const auto reason = hop::parse_reason(hold.reason);
  const Manner manner = manner_of(attempt.envelope, options_.tls_required_no);
  return reason && hop::is_policy(*reason) && (manner == Manner::relaxed || manner == Manner::report);
}

// A destination that took mail works again; one that is held keeps its hold.
Settler::Ticket Scheduler::Impl::finish(Destination& destination, const Attempt& attempt, Works works) {
  Schedule when = schedule_of(attempt);
  const bool shows = took_any(attempt) || (attempt.reached && !attempt.put_off && !destination.held);
  if (works == Works::ask && shows && destination.backoff && !says_nothing(attempt, *destination.backoff)) {
    destination.backoff.reset();
    destination.held = false;
    watch_.remove(destination.name);
    told_.forget(destination.name);
    Ending ending = ending_of(attempt, when);
    ending.change = store::DestinationChange{destination.name, std::nullopt};
    return put(std::move(ending));
  }
  if (destination.held && !attempt.reached) when.hold = destination.backoff;
  Ending ending = ending_of(attempt, when);
  if (when.hold || works == Works::no) ending.change = store::DestinationChange{destination.name, destination.backoff};
  return put(std::move(ending));
}

Settler::Ticket Scheduler::Impl::put(Ending ending) {
  for (const store::RecipientResult& one : ending.settled.recipients) {
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
  ending.counts.add(courier_.take_cut_off());
  return settler_.add(std::move(ending));
}

// What waits behind the hold and has waited long enough ends with the destination's own failure (DANE-07, MX-11).
asio::awaitable<void> Scheduler::Impl::expire_waiting(Self self, std::string destination, store::Backoff hold) {
  queue::LeaseLimit limit;
  limit.messages = expire_messages;
  limit.bytes = lease_bytes;
  while (!self->stopping_ && !self->is_paused()) {
    co_await self->settler_.room();
    auto jobs = co_await self->queue_.lease_older(destination, hold.last - self->options_.expire, limit);
    if (!jobs || jobs->empty()) co_return;
    for (const store::Job& job : *jobs) {
      if (self->is_displaced(job)) {  // another's hold is no end of it
        self->put(give_back(job));
        self->displaced_ = true;
      } else {
        self->put(expired_behind(hold, job, self->schedule()));
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
      co_await self->settler_.room();
      store::HeldQuery from = *next;
      auto waited = co_await self->queue_.lease_waiting(destination, from);
      if (!waited) break;
      next = std::move(waited->next);
      Settler::Ticket ticket = 0;
      for (const store::Job& job : waited->jobs) {
        if (self->is_displaced(job)) {
          ticket = self->put(give_back(job));
        } else {
          ticket = self->put(kind == Kind::notices ? expired_behind(hold, job, self->schedule())
                                                   : delayed_behind(hold, job, self->schedule()));
        }
      }
      co_await self->settler_.stored(ticket);
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
    co_await self->settler_.room();
    store::HeldQuery from = *next;
    auto waited = co_await self->queue_.lease_waiting(destination, from);
    if (!waited) break;
    next = std::move(waited->next);
    Settler::Ticket ticket = 0;
    for (store::Job& job : waited->jobs) {
      store::Job one = std::move(job);
      ticket = co_await self->carry_relaxed(std::move(one), session);
    }
    co_await self->settler_.stored(ticket);
  }
  if (session) co_await session->client->quit();
}

asio::awaitable<Settler::Ticket> Scheduler::Impl::carry_relaxed(store::Job job, std::optional<OpenSession>& session) {
  const auto kept = std::make_shared<const store::Job>(std::move(job));
  if (stopping_) co_return put(give_back(*kept));
  std::string broken;
  Attempt attempt;
  try {
    attempt = co_await courier_.attempt(kept, session);
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
  co_return put(ending_of(attempt, schedule_of(attempt)));
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
    schedule.telling.emplace();
    schedule.telling->hostname = options_.hostname.text();
    schedule.telling->from = options_.postmaster;
    schedule.telling->delay_notice = options_.delay_notice;
    schedule.telling->expire = options_.expire;
    schedule.telling->token = random_();
  }
  schedule.random = fraction();
  return schedule;
}

}  // namespace hoplock::delivery
