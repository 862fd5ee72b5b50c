// SPDX-License-Identifier: Apache-2.0
#include "postgres/stream.h"

#include <algorithm>
#include <utility>

#include "postgres/errors.h"
#include "postgres/pause.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t most_jobs = 1024;  // of one transaction
constexpr std::size_t most_bytes = 8 << 20;
// As the disk thread gathers (disk/core.cpp): those whom the last commit let go are back in a moment.
constexpr std::chrono::microseconds slow_commit{500};
constexpr int gather_share = 3;
constexpr std::chrono::milliseconds longest_gather{20};

std::size_t bytes_of(const Batch& batch) {
  std::size_t bytes = 0;
  for (const Statement& one : batch)
    for (const Parameter& value : one.parameters) bytes += value.octets().size();
  return bytes;
}

Error not_registered() { return fail(errc::device_or_resource_busy, "this node is not registered with the database"); }
Error too_late() { return fail(errc::timed_out, "the database did not answer in time"); }

}  // namespace

Stream::Stream(asio::any_io_executor loop, Connecting& shared, Counters& counters, Histogram& commits, StreamKind kind)
    : loop_(std::move(loop)), shared_(shared), counters_(counters), commits_(commits), kind_(kind) {}

void Stream::begin(std::int64_t incarnation, int slot) {
  incarnation_ = incarnation;
  slot_ = slot;
  from_ = last_ = durable_ = 0;
  failure_.reset();
  wake_.notify_all();
}

void Stream::end(const Error& why) {
  incarnation_ = 0;
  Group dropped(waiting_.begin(), waiting_.end());
  waiting_.clear();
  for (const auto& entry : dropped) entry->done(why);
  wake_.notify_all();
  idle_.notify_all();
}

asio::awaitable<Result<Written>> Stream::write(Job job, net::SteadyTime deadline) {
  if (incarnation_ == 0) co_return not_registered();
  auto entry = std::make_shared<Entry>();
  entry->job = std::move(job);
  auto start = [this, entry, deadline](Completion<Result<Written>> done) {
    entry->done = std::move(done);
    give_up_at(entry, deadline);
    enqueue(entry);
  };
  co_return co_await completed<Result<Written>>(loop_, std::move(start));
}

// Who has waited long enough is told; what is under way is settled all the same, and made undone if it turns out to be written.
void Stream::give_up_at(const std::shared_ptr<Entry>& entry, net::SteadyTime deadline) {
  if (deadline == net::SteadyTime::max()) return;
  entry->timer = std::make_unique<asio::steady_timer>(loop_, deadline);
  entry->timer->async_wait([this, late = std::weak_ptr<Entry>(entry)](const boost::system::error_code& error) {
    const auto one = late.lock();
    if (error || !one || !one->done) return;
    one->abandoned = true;
    if (!one->taken) std::erase(waiting_, one);
    one->done(too_late());
  });
}

void Stream::post(Job job) {
  auto entry = std::make_shared<Entry>();
  entry->job = std::move(job);
  entry->posted = true;
  enqueue(std::move(entry));
}

void Stream::enqueue(std::shared_ptr<Entry> entry) {
  entry->bytes = bytes_of(entry->job.statements);
  entry->since = steady_clock::now();
  waiting_.push_back(std::move(entry));
  wake_.notify_all();
  arrived_.notify_all();
}

asio::awaitable<void> Stream::work() {
  for (;;) {
    while (incarnation_ == 0 || waiting_.empty()) co_await wake_.wait();
    co_await gather();
    Group group = take();
    if (group.empty()) continue;
    busy_ = true;
    busy_since_ = steady_clock::now();
    co_await commit(std::move(group));
    busy_ = false;
    idle_.notify_all();
  }
}

asio::awaitable<void> Stream::gather() {
  if (commit_took_ < slow_commit || last_group_ < 2) co_return;
  const auto until = committed_ + std::min<net::SteadyTime::duration>(commit_took_ / gather_share, longest_gather);
  while (!waiting_.empty() && waiting_.size() < last_group_ &&
         waiting_.front()->job.durability == Durability::durable) {
    const auto woken = co_await wake_.wait_until(until);
    if (woken == net::Woken::timed_out) break;
  }
}

Stream::Group Stream::take() {
  Group group;
  std::size_t bytes = 0;
  while (incarnation_ != 0 && !waiting_.empty() && group.size() < most_jobs && bytes < most_bytes) {
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    group.back()->taken = true;
    bytes += group.back()->bytes;
  }
  return group;
}

// One transaction of all; where a job spoils it, those before it, that one and those behind it, in their order.
asio::awaitable<void> Stream::commit(Group group) {
  std::deque<Group> parts;
  parts.push_back(std::move(group));
  while (!parts.empty()) {
    const Group part = std::move(parts.front());
    parts.pop_front();
    Try one;
    one.number = ++last_;
    one.incarnation = incarnation_;
    one.began = steady_clock::now();
    for (const auto& entry : part)
      if (entry->job.durability == Durability::durable) one.durability = Durability::durable;
    End end = co_await carry(part, one);
    if (end.how == End::How::failed && part.size() > 1) {
      const bool known = end.job < part.size();
      const auto middle = part.begin() + static_cast<std::ptrdiff_t>(known ? end.job : part.size() / 2);
      const auto behind = known ? middle + 1 : middle;
      if (behind != part.end()) parts.emplace_front(behind, part.end());
      if (known) parts.emplace_front(middle, behind);
      if (middle != part.begin()) parts.emplace_front(part.begin(), middle);
      continue;
    }
    complete(part, end, one);
    if (end.how != End::How::unavailable) continue;
    for (const Group& rest : parts) complete(rest, end, one);
    parts.clear();
    if (!waiting_.empty() && waiting_.front()->posted) co_await pause(Milliseconds(1000));
  }
}

void Stream::complete(const Group& group, End& end, const Try& one) {
  const bool good = end.how == End::How::applied || end.how == End::How::replayed;
  if (good) {
    ++counters_.batches;
    counters_.jobs += group.size();
    last_group_ = group.size();
    committed_ = steady_clock::now();
    commit_took_ = committed_ - one.began;
    if (one.durability == Durability::durable) durable_ = one.number;
    if (one.durability == Durability::durable) commits_.add(std::chrono::duration<double>(commit_took_).count());
  }
  if (end.how == End::How::unavailable) put_back(group);
  for (std::size_t i = 0; i < group.size(); ++i) {
    Entry& entry = *group[i];
    entry.timer.reset();
    if (good && entry.abandoned && !entry.job.undo.empty())
      post(Job{std::move(entry.job.undo), entry.job.durability, {}, {}});
    if (!good)
      entry.done(*end.error);
    else
      entry.done(Written{std::move(end.rows[i]), end.how == End::How::replayed, one.incarnation, one.number});
  }
}

// What nobody waits for is tried again, before what came later.
void Stream::put_back(const Group& group) {
  for (auto at = group.rbegin(); at != group.rend(); ++at) {
    if (!(*at)->posted || incarnation_ == 0) continue;
    (*at)->taken = false;
    waiting_.push_front(*at);
  }
}

// What was not sent waits no longer than patience lasts: it may be asked for again.
asio::awaitable<void> Stream::expire() {
  for (;;) {
    const auto oldest =
        std::find_if(waiting_.begin(), waiting_.end(), [](const auto& entry) { return !entry->posted; });
    if (oldest == waiting_.end()) {
      co_await arrived_.wait();
      continue;
    }
    const auto entry = *oldest;
    const auto until = entry->since + shared_.options.patience;
    if (steady_clock::now() < until) {
      co_await arrived_.wait_until(until);
      continue;
    }
    std::erase(waiting_, entry);
    entry->timer.reset();
    entry->done(fail(errc::device_or_resource_busy, failure_ ? failure_->detail : "the database is busy"));
  }
}

asio::awaitable<void> Stream::drain(net::SteadyTime deadline) {
  while ((busy_ || !waiting_.empty()) && incarnation_ != 0 && steady_clock::now() < deadline)
    co_await idle_.wait_until(deadline);
}

Result<> Stream::health() const {
  if (failure_) return *failure_;
  if (busy_ && steady_clock::now() - busy_since_ > shared_.options.patience)
    return fail(errc::device_or_resource_busy, "a batch waits for the database for longer than " +
                                                   std::to_string(shared_.options.patience.count() / 1000) + " s");
  return {};
}

}  // namespace hoplock::postgres
