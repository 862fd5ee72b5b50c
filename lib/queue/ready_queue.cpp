// SPDX-License-Identifier: Apache-2.0
#include "queue/ready_queue.h"

#include <algorithm>

namespace hoplock::queue {

using namespace store;
namespace {

constexpr std::size_t most_idle = 8192;

std::size_t weight(const Job& job) {
  return sizeof(Job) + job.body.size() + job.recipients.size() * (sizeof(Due) + 64);
}

}  // namespace

DestinationQueue& ReadyQueue::of(const std::string& destination) {
  if (destinations_.size() > idle_checked_ + most_idle) forget_idle();
  return destinations_[destination];
}

DestinationQueue* ReadyQueue::find(const std::string& destination) {
  const auto found = destinations_.find(destination);
  return found == destinations_.end() ? nullptr : &found->second;
}

void ReadyQueue::forget_idle() {
  std::erase_if(destinations_, [](const auto& entry) { return entry.second.idle(); });
  idle_checked_ = destinations_.size();
}

bool ReadyQueue::overlaps(const Job& job) const {
  const auto found = leases_.find(job.id);
  if (found == leases_.end()) return false;
  for (const auto& lease : found->second)
    for (const auto& due : job.recipients)
      if (std::find(lease.seqs.begin(), lease.seqs.end(), due.seq) != lease.seqs.end()) return true;
  return false;
}

void ReadyQueue::put(DestinationQueue& queued, Job job) {
  ++messages_;
  bytes_ += weight(job);
  ++here_[job.id];
  queued.jobs.push_back(std::move(job));
}

ReadyQueue::Room ReadyQueue::add_fresh(DestinationQueue& queued, Job job) {
  const bool full = messages_ >= most_messages_ || bytes_ + weight(job) > most_bytes_;
  if (!full && !queued.more && !frozen_.contains(job.id)) {
    put(queued, std::move(job));
    return Room::taken;
  }
  queued.more = true;
  queued.next = no_earlier_bound;
  return Room::none;
}

ReadyQueue::Share ReadyQueue::set_aside(std::size_t least_messages) {
  const auto left = [](std::size_t most, std::size_t used) { return most > used ? most - used : 0; };
  Share share;
  share.messages = std::clamp<std::size_t>(left(most_messages_, messages_ + aside_.messages) / 8, least_messages,
                                           std::max<std::size_t>(least_messages, 256));
  share.bytes = std::clamp<std::size_t>(left(most_bytes_, bytes_ + aside_.bytes) / 8, chunk_bytes, 2 << 20);
  aside_.messages += share.messages;
  aside_.bytes += share.bytes;
  return share;
}

void ReadyQueue::give_back(const Share& share) {
  aside_.messages -= share.messages;
  aside_.bytes -= share.bytes;
}

void ReadyQueue::add_read(DestinationQueue& queued, std::vector<Job> jobs) {
  const std::size_t before = queued.jobs.size();
  for (auto& job : jobs) {
    if (frozen_.contains(job.id) || overlaps(job)) {
      if (!queued.leased.contains(job.id)) waiting_[job.id].push_back(job.destination);
      continue;
    }
    const auto same = [&](const Job& other) { return other.id == job.id; };
    if (here_.contains(job.id) && std::any_of(queued.jobs.begin(), queued.jobs.end(), same)) continue;
    put(queued, std::move(job));
  }
  if (std::exchange(queued.back, false))
    std::rotate(queued.jobs.begin(), queued.jobs.begin() + static_cast<std::ptrdiff_t>(before), queued.jobs.end());
}

void ReadyQueue::wake(Id id) {
  auto found = waiting_.extract(id);
  if (!found) return;
  for (auto& destination : found.mapped()) {
    if (DestinationQueue* queued = find(destination)) queued->next = no_earlier_bound;
    woken_.push_back(std::move(destination));
  }
}

void ReadyQueue::note_lease(DestinationQueue& queued, const Job& job) {
  Leased leased;
  leased.destination = job.destination;
  for (const auto& due : job.recipients) leased.seqs.push_back(due.seq);
  leases_[job.id].push_back(std::move(leased));
  queued.leased.insert(job.id);
}

std::vector<Job> ReadyQueue::take(DestinationQueue& queued, std::size_t messages, std::size_t bytes) {
  std::vector<Job> taken;
  std::size_t size = 0;
  std::deque<Job> later;
  while (!queued.jobs.empty() && taken.size() < messages) {
    Job& front = queued.jobs.front();
    if (!taken.empty() && size + front.size > bytes) break;
    Job job = std::move(front);
    queued.jobs.pop_front();
    if (queued.leased.contains(job.id)) {  // other recipients of it are under way here: it waits for them
      later.push_back(std::move(job));
      continue;
    }
    --messages_;
    bytes_ -= weight(job);
    if (auto at = here_.find(job.id); --at->second == 0) here_.erase(at);
    size += job.size;
    note_lease(queued, job);
    taken.push_back(std::move(job));
  }
  for (auto job = later.rbegin(); job != later.rend(); ++job) queued.jobs.push_front(std::move(*job));
  return taken;
}

std::vector<Job> ReadyQueue::lease(DestinationQueue& queued, std::vector<Job> jobs) {
  std::vector<Job> leased;
  for (auto& job : jobs) {
    if (frozen_.contains(job.id) || overlaps(job) || queued.leased.contains(job.id) || here_.contains(job.id)) continue;
    note_lease(queued, job);
    leased.push_back(std::move(job));
  }
  return leased;
}

std::size_t ReadyQueue::release(DestinationQueue& queued, const std::string& destination, Id id) {
  queued.leased.erase(id);
  const auto found = leases_.find(id);
  if (found == leases_.end()) return 0;
  std::size_t count = 0;
  std::erase_if(found->second, [&](const Leased& leased) {
    if (leased.destination != destination) return false;
    count += leased.seqs.size();
    return true;
  });
  if (found->second.empty()) leases_.erase(found);
  wake(id);
  return count;
}

std::vector<Id> ReadyQueue::excluded(const DestinationQueue& queued) const {
  std::vector<Id> ids(queued.leased.begin(), queued.leased.end());
  for (const auto& job : queued.jobs) ids.push_back(job.id);
  for (const auto& [id, actions] : frozen_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<Lease> ReadyQueue::leases_of(Id id) const {
  std::vector<Lease> all;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return all;
  for (const auto& leased : found->second)
    for (const auto seq : leased.seqs) all.push_back({id, seq});
  return all;
}

std::vector<std::uint32_t> ReadyQueue::leased_at(const std::string& destination, Id id) const {
  std::vector<std::uint32_t> all;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return all;
  for (const auto& leased : found->second)
    if (leased.destination == destination) all.insert(all.end(), leased.seqs.begin(), leased.seqs.end());
  return all;
}

std::vector<Lease> ReadyQueue::leases() const {
  std::vector<Lease> all;
  for (const auto& [id, list] : leases_)
    for (const auto& leased : list)
      for (const auto seq : leased.seqs) all.push_back({id, seq});
  std::sort(all.begin(), all.end());
  return all;
}

void ReadyQueue::drop_jobs(DestinationQueue& queued) {
  for (const auto& job : queued.jobs) {
    --messages_;
    bytes_ -= weight(job);
    if (auto at = here_.find(job.id); --at->second == 0) here_.erase(at);
  }
  queued.jobs.clear();
  queued.next = no_earlier_bound;
  queued.more = true;
  ++queued.epoch;
}

void ReadyQueue::drop_all() {
  for (auto& [destination, queued] : destinations_) drop_jobs(queued);
}

void ReadyQueue::freeze(const std::vector<Id>& ids) {
  for (const Id id : ids) ++frozen_[id];
  if (std::none_of(ids.begin(), ids.end(), [this](Id id) { return here_.contains(id); })) return;
  for (auto& [destination, queued] : destinations_) {
    const auto is_frozen = [this](const Job& job) { return frozen_.contains(job.id); };
    if (std::any_of(queued.jobs.begin(), queued.jobs.end(), is_frozen)) drop_jobs(queued);
  }
}

void ReadyQueue::thaw(const std::vector<Id>& ids) {
  for (const Id id : ids) {
    const auto found = frozen_.find(id);
    if (found == frozen_.end() || --found->second > 0) continue;
    frozen_.erase(found);
    wake(id);
  }
}

}  // namespace hoplock::queue
