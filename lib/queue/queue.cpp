// SPDX-License-Identifier: Apache-2.0
#include "queue/queue.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>

#include "queue/queue_impl.h"
#include "queue/writer_impl.h"

namespace hoplock::queue {

Queue::Core::Core(MailStore& mail_, Options options_, RouteOf route_)
    : mail(mail_),
      options(options_),
      route(std::move(route_)),
      announcer(std::make_shared<Announcer>()),
      ready_queue(options_.window_messages, options_.window_bytes) {
  mail.set_history(options.history);
  term = mail.lease_term();
}

Queue::Queue(MailStore& mail, Options options, RouteOf route)
    : core_(std::make_shared<Core>(mail, options, std::move(route))) {}
Queue::~Queue() { core_->announcer->call = nullptr; }

void Queue::on_work(std::function<void(std::vector<Ready>)> call) { core_->announcer->call = std::move(call); }
void Queue::on_damage(std::function<void(Id)> call) { core_->damaged = std::move(call); }
void Queue::on_lost(std::function<void(std::vector<Lease>)> call) { core_->lost = std::move(call); }
std::vector<Lease> Queue::active() const { return core_->ready_queue.leases(); }

Id Queue::Core::next_id(Time now) {
  const std::int64_t least = std::max(Id::at(now).value, last_id + 1);
  last_id = least - least % slots + slot;
  if (last_id < least) last_id += slots;
  return Id{last_id};
}

// --- intake ------------------------------------------------------------------------------------------------------------

Writer Queue::begin(Time received, std::uint64_t announced) {
  auto state = std::make_unique<Writer::State>();
  state->core = core_;
  state->id = core_->next_id(received);
  state->received = received;
  if (announced > 0) state->announced = std::make_unique<Claim>(core_->announced, std::min(announced, room()));
  return Writer(std::move(state));
}

Result<> Queue::accepting() {
  if (auto writable = core_->mail.writable(); !writable) return writable;
  if (core_->mail.free_bytes() < core_->options.min_free_space + *core_->passing)
    return fail(errc::no_space_on_device, "less than limits.min_free_space is free in " + core_->mail.volume());
  return {};
}

Result<> Queue::available() const {
  const Core& core = *core_;
  if (!core.started) return fail(errc::device_or_resource_busy, "the queue is not open yet");
  const std::int64_t now = core.mail.lease_term();
  if (now != 0 && now != core.term) return fail(errc::device_or_resource_busy, "a new term of leases begins");
  return core.mail.available();
}

asio::awaitable<Result<>> Queue::renew() { return core_->renew(); }

std::uint64_t Queue::room() { return core_->room_beside(*core_->announced); }

std::uint64_t Queue::Core::room_beside(std::uint64_t spoken_for) const {
  const std::uint64_t taken = options.min_free_space + *passing + spoken_for;
  const std::uint64_t free = mail.free_bytes();
  return free > taken ? free - taken : 0;
}

void Queue::set_min_free_space(std::uint64_t octets) { core_->options.min_free_space = octets; }

// Where others bring work too, nothing that was found holds for long.
Time Queue::Core::until_asked_again(Time now, Time next) const {
  const auto again = mail.look_again();
  return again ? std::min(next, now + *again) : next;
}

// A message was committed: its jobs go into the ready queue where there is room for them.
void Queue::Core::enqueued(std::vector<Enqueued> destinations, const std::shared_ptr<Draft>& draft) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> recipients_at;
  for (std::size_t r = 0; r < draft->recipients.size(); ++r) recipients_at[draft->destinations[r]].push_back(r);
  for (std::size_t i = 0; i < destinations.size(); ++i) {
    Enqueued& at = destinations[i];
    DestinationQueue* known = ready_queue.find(at.destination);
    DestinationQueue& queued = known ? *known : ready_queue.of(at.destination);
    if (!known && at.alone) queued.next = until_asked_again(draft->received, no_due_time);
    queued.backoff = at.backoff;
    const bool kept = at.kept && mail.lease_term() == term;
    if (!kept || queued.held(draft->received)) {
      queued.next = std::min(queued.next, draft->received);
      if (kept) mail.release(at.destination, {draft->id});
      continue;
    }
    Job job;
    job.id = draft->id;
    job.destination = at.destination;
    job.received = draft->received;
    job.size = draft->size;
    job.chunks = draft->chunks;
    for (const std::size_t r : recipients_at[at.destination]) {
      NewRecipient& recipient = draft->recipients[r];
      Due due;
      due.seq = static_cast<std::uint32_t>(r);
      due.address = std::move(recipient.address);
      due.domain = std::move(recipient.domain);
      due.orcpt = std::move(recipient.orcpt);
      due.notify = recipient.notify;
      job.recipients.push_back(std::move(due));
    }
    const bool last = i + 1 == destinations.size();
    job.envelope = last ? std::move(draft->envelope) : draft->envelope;
    if (draft->chunks == 1 && draft->last_chunk) job.body = last ? std::move(*draft->last_chunk) : *draft->last_chunk;
    const ReadyQueue::Room room = ready_queue.add_fresh(queued, std::move(job));
    if (room == ReadyQueue::Room::none) mail.release(at.destination, {draft->id});
    announcer->pending.push_back({at.destination, draft->received, queued.backoff});
  }
}

void Queue::Core::announce(const asio::any_io_executor& loop, std::vector<Ready> ready) {
  auto& pending = announcer->pending;
  pending.insert(pending.end(), std::make_move_iterator(ready.begin()), std::make_move_iterator(ready.end()));
  if (pending.empty() || announcer->posted) return;
  announcer->posted = true;
  asio::post(loop, [shared = announcer] {
    shared->posted = false;
    auto all = std::exchange(shared->pending, {});
    std::sort(all.begin(), all.end(), [](const Ready& a, const Ready& b) { return a.destination < b.destination; });
    const auto same = [](const Ready& a, const Ready& b) { return a.destination == b.destination; };
    all.erase(std::unique(all.begin(), all.end(), same), all.end());
    if (shared->call) shared->call(std::move(all));
  });
}

void Queue::Core::announce_woken(const asio::any_io_executor& loop, Time now) {
  std::vector<Ready> ready;
  for (auto& destination : ready_queue.take_woken()) {
    const DestinationQueue* queued = ready_queue.find(destination);
    if (!queued || !queued->held(now))
      ready.push_back({std::move(destination), now, queued ? queued->backoff : std::nullopt});
  }
  announce(loop, std::move(ready));
}

// --- delivery ----------------------------------------------------------------------------------------------------------

asio::awaitable<Result<Work>> Queue::ready(Time now, std::size_t limit, std::vector<std::string> busy) {
  Core& core = *core_;
  if (!core.is_current()) {
    auto renewed = co_await core.renew();
    if (!renewed) co_return renewed.error();
  }
  Work work;
  std::optional<Time> next;
  const auto sooner = [&next](Time time) { next = next ? std::min(*next, time) : time; };
  std::sort(busy.begin(), busy.end());
  std::vector<std::string> known = busy;
  for (const auto& [destination, queued] : core.ready_queue.destinations()) {
    if (queued.idle()) continue;  // the database knows as well
    const bool is_busy = std::binary_search(busy.begin(), busy.end(), destination);
    if (queued.jobs.empty() && queued.next <= now)
      continue;  // nothing at hand: the database knows whether there is more
    if (!queued.jobs.empty() && queued.held(now))
      sooner(queued.backoff->until);
    else if (!queued.jobs.empty() && !is_busy)
      work.ready.push_back({destination, queued.jobs.front().received, queued.backoff});
    else if (queued.jobs.empty() && queued.next != no_due_time)
      sooner(queued.backoff ? std::max(queued.next, queued.backoff->until) : queued.next);
    if (!is_busy) known.push_back(destination);
  }
  std::sort(known.begin(), known.end());
  auto found = co_await core.mail.due(now, limit, std::move(known));
  if (!found) co_return found.error();
  for (auto& ready : found->ready) {
    DestinationQueue& queued = core.ready_queue.of(ready.destination);
    queued.backoff = ready.backoff;
    work.ready.push_back(std::move(ready));
  }
  if (found->next_due) sooner(*found->next_due);
  if (const auto again = core.mail.look_again()) sooner(now + *again);
  std::stable_sort(work.ready.begin(), work.ready.end(), [](const Ready& a, const Ready& b) { return a.due < b.due; });
  if (work.ready.size() > limit) {
    work.ready.resize(limit);
    sooner(now);
  }
  work.next_due = next;
  co_return work;
}

// Reads what is due at a destination into its queue. One read at a time for each; the others wait for it.
asio::awaitable<Result<>> Queue::Core::read_due(std::string destination, Time now, std::size_t least) {
  {
    DestinationQueue& queued = ready_queue.of(destination);
    if (queued.reading) {
      error_code woken;
      auto waiting = asio::redirect_error(asio::use_awaitable, woken);
      co_await queued.reading->async_wait(waiting);
      co_return Result<>();
    }
  }
  auto loop = co_await asio::this_coro::executor;
  DestinationQueue& queued = ready_queue.of(destination);
  queued.reading = std::make_unique<asio::steady_timer>(loop, asio::steady_timer::time_point::max());
  // However the read ends, cancelled or by an exception too: the others go on, or they would wait for ever.
  struct Reading {
    std::weak_ptr<const Core::Life> queue;  // gone: so is the ready queue
    ReadyQueue& ready_queue;
    const std::string& destination;
    ReadyQueue::Share share{};
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    Reading(Core& core, const std::string& of) : queue(core.life), ready_queue(core.ready_queue), destination(of) {}
    ~Reading() { end(); }
    void end() {
      if (queue.expired()) return;
      queue.reset();
      ready_queue.give_back(share);
      DestinationQueue& at = ready_queue.of(destination);  // not erased: it was not idle
      at.reading->cancel();
      at.reading.reset();
    }
  } reading(*this, destination);
  const auto epoch = queued.epoch;
  LeaseQuery wanted;
  wanted.destination = destination;
  wanted.which = LeaseQuery::DueNow{now};
  reading.share = ready_queue.set_aside(std::max<std::size_t>(least, 1));
  wanted.messages = reading.share.messages;
  wanted.bytes = reading.share.bytes;
  wanted.exclude = ready_queue.excluded(queued);
  const std::int64_t began_in = term;
  auto refilled = co_await mail.lease(std::move(wanted));
  reading.end();
  DestinationQueue& after = ready_queue.of(destination);
  if (!refilled) co_return refilled.error();
  if (mail.lease_term() != began_in) co_return Result<>();
  after.backoff = refilled->backoff;
  if (after.epoch == epoch) {
    after.more = refilled->more;
    after.next = refilled->more ? no_earlier_bound : until_asked_again(now, refilled->next);
  }
  ready_queue.add_read(after, std::move(refilled->jobs));
  report_damage(refilled->damaged);
  co_return Result<>();
}

asio::awaitable<Result<std::vector<Job>>> Queue::lease(std::string destination, Time now, LeaseLimit limit) {
  Core& core = *core_;
  for (int reads = 0;; ++reads) {
    if (!core.is_current()) {
      auto renewed = co_await core.renew();
      if (!renewed) co_return renewed.error();
    }
    DestinationQueue& queued = core.ready_queue.of(destination);
    // a retry whose time has come does not wait until nothing fresh comes in
    const bool overdue = reads == 0 && queued.next <= now && (queued.next != no_earlier_bound || queued.back);
    std::vector<Job> jobs;
    if (!overdue) jobs = core.ready_queue.take(queued, limit.messages, limit.bytes);
    if (!jobs.empty() || queued.next > now || reads == 3) co_return core.stamped(std::move(jobs), core.term);
    auto read = co_await core.read_due(destination, now, limit.messages);
    if (!read) co_return read.error();
  }
}

asio::awaitable<Result<std::vector<Lease>>> Queue::withdrawn(const Job& job, Time now) {
  Core& core = *core_;
  std::vector<Lease> leased;
  if (!core.mail.look_again() || core.mail.lease_term() != job.term) co_return leased;
  auto loop = co_await asio::this_coro::executor;
  for (const Due& due : job.recipients) leased.push_back({job.id, due.seq});
  auto found = co_await core.mail.withdraw(std::move(leased));
  if (!found || found->size() < job.recipients.size()) co_return found;
  DestinationQueue& queued = core.ready_queue.of(job.destination);
  core.ready_queue.release(queued, job.destination, job.id);
  core.announce_woken(loop, now);
  co_return found;
}

std::vector<Job> Queue::Core::stamped(std::vector<Job> jobs, std::int64_t of) {
  for (Job& job : jobs) job.term = of;
  return jobs;
}

std::int64_t Queue::lease_term() const { return core_->mail.lease_term(); }

std::optional<Time> Queue::next_due(const std::string& destination) const {
  const DestinationQueue* queued = core_->ready_queue.find(destination);
  if (queued == nullptr || queued->next == no_earlier_bound || queued->next == no_due_time) return std::nullopt;
  return queued->next;
}

asio::awaitable<Result<std::vector<Job>>> Queue::lease_older(std::string destination, Time before, LeaseLimit limit) {
  Core& core = *core_;
  DestinationQueue& queued = core.ready_queue.of(destination);
  core.ready_queue.drop_jobs(queued);  // what was prefetched may be among them
  LeaseQuery wanted;
  wanted.destination = destination;
  wanted.messages = limit.messages;
  wanted.bytes = limit.bytes;
  wanted.exclude = core.ready_queue.excluded(queued);
  wanted.which = LeaseQuery::OlderThan{Id::at(before)};
  const std::int64_t term = core.mail.lease_term();
  auto found = co_await core.mail.lease(std::move(wanted));
  if (!found) co_return found.error();
  core.report_damage(found->damaged);
  co_return core.stamped(core.ready_queue.lease(core.ready_queue.of(destination), std::move(found->jobs)), term);
}

asio::awaitable<Result<HeldPage>> Queue::lease_waiting(std::string destination, HeldQuery waiting) {
  Core& core = *core_;
  DestinationQueue& queued = core.ready_queue.of(destination);
  core.ready_queue.drop_jobs(queued);  // what was prefetched may be among them
  LeaseQuery wanted;
  wanted.destination = destination;
  wanted.messages = waiting.messages;
  wanted.bytes = SIZE_MAX;  // a chunk of each at most; none is left out
  wanted.exclude = core.ready_queue.excluded(queued);
  wanted.which = waiting;
  const std::int64_t term = core.mail.lease_term();
  auto found = co_await core.mail.lease(std::move(wanted));
  if (!found) co_return found.error();
  core.report_damage(found->damaged);
  HeldPage waited;
  waited.jobs = core.stamped(core.ready_queue.lease(core.ready_queue.of(destination), std::move(found->jobs)), term);
  waited.next = std::move(found->rest);
  co_return waited;
}

asio::awaitable<Result<std::string>> Queue::read_chunk(Id id, std::uint32_t n) {
  Core& core = *core_;
  auto octets = co_await core.mail.read_chunk(id, n);
  if (!octets && octets.error().code == errc::bad_message) core.report_damage({id});
  co_return octets;
}

asio::awaitable<Result<std::optional<Backoff>>> Queue::backoff(std::string destination) {
  return core_->mail.backoff(std::move(destination));
}

asio::awaitable<Result<std::vector<Held>>> Queue::holds(std::string after, Time now) {
  return core_->mail.holds(std::move(after), now);
}

asio::awaitable<Result<std::vector<Waiting>>> Queue::waiting(std::string after, Time now) {
  return core_->mail.waiting(std::move(after), now);
}

asio::awaitable<Result<std::optional<PruneFrom>>> Queue::prune(Time before, PruneFrom from) {
  return core_->mail.prune(before, from);
}

void Queue::set_history(Recording recording) { core_->mail.set_history(recording); }

void Queue::Core::report_damage(const std::vector<Id>& ids) {
  for (const Id id : ids) {
    mail.hold_damaged(id);
    if (damaged) damaged(id);
  }
}

}  // namespace hoplock::queue
