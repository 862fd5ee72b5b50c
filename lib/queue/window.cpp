// SPDX-License-Identifier: Apache-2.0
#include "queue/window.h"

#include <algorithm>

namespace hoplock::queue {
namespace {

constexpr std::size_t most_idle_lanes = 8192;

std::size_t weight(const Job& job) {
  return sizeof(Job) + job.body.size() + job.recipients.size() * (sizeof(Due) + 64);
}

}  // namespace

Lane& Window::lane(const std::string& destination) {
  if (lanes_.size() > idle_checked_ + most_idle_lanes) forget_idle();
  return lanes_[destination];
}

Lane* Window::find(const std::string& destination) {
  const auto found = lanes_.find(destination);
  return found == lanes_.end() ? nullptr : &found->second;
}

void Window::forget_idle() {
  std::erase_if(lanes_, [](const auto& entry) { return entry.second.idle(); });
  idle_checked_ = lanes_.size();
}

bool Window::overlaps(const Job& job) const {
  const auto found = leases_.find(job.id);
  if (found == leases_.end()) return false;
  for (const auto& lease : found->second)
    for (const auto& due : job.recipients)
      if (std::find(lease.seqs.begin(), lease.seqs.end(), due.seq) != lease.seqs.end()) return true;
  return false;
}

void Window::put(Lane& lane, Job job) {
  ++messages_;
  bytes_ += weight(job);
  ++here_[job.id];
  lane.jobs.push_back(std::move(job));
}

Window::Room Window::add_fresh(Lane& lane, Job job) {
  const bool full = messages_ >= most_messages_ || bytes_ + weight(job) > most_bytes_;
  if (!full && !lane.more && !frozen_.contains(job.id)) {
    put(lane, std::move(job));
    return Room::taken;
  }
  lane.more = true;
  lane.next = at_once;
  return Room::none;
}

Window::Share Window::set_aside(std::size_t least_messages) {
  const auto left = [](std::size_t most, std::size_t used) { return most > used ? most - used : 0; };
  Share share;
  share.messages = std::clamp<std::size_t>(left(most_messages_, messages_ + aside_.messages) / 8, least_messages,
                                           std::max<std::size_t>(least_messages, 256));
  share.bytes = std::clamp<std::size_t>(left(most_bytes_, bytes_ + aside_.bytes) / 8, chunk_bytes, 2 << 20);
  aside_.messages += share.messages;
  aside_.bytes += share.bytes;
  return share;
}

void Window::give_back(const Share& share) {
  aside_.messages -= share.messages;
  aside_.bytes -= share.bytes;
}

void Window::add_read(Lane& lane, std::vector<Job> jobs) {
  const std::size_t before = lane.jobs.size();
  for (auto& job : jobs) {
    if (frozen_.contains(job.id) || overlaps(job)) {
      if (!lane.leased.contains(job.id)) waiting_[job.id].push_back(job.destination);
      continue;
    }
    const auto same = [&](const Job& other) { return other.id == job.id; };
    if (here_.contains(job.id) && std::any_of(lane.jobs.begin(), lane.jobs.end(), same)) continue;
    put(lane, std::move(job));
  }
  if (std::exchange(lane.back, false))
    std::rotate(lane.jobs.begin(), lane.jobs.begin() + static_cast<std::ptrdiff_t>(before), lane.jobs.end());
}

void Window::wake(Id id) {
  auto found = waiting_.extract(id);
  if (!found) return;
  for (auto& destination : found.mapped()) {
    if (Lane* lane = find(destination)) lane->next = at_once;
    woken_.push_back(std::move(destination));
  }
}

void Window::note_lease(Lane& lane, const Job& job) {
  Leased leased;
  leased.destination = job.destination;
  for (const auto& due : job.recipients) leased.seqs.push_back(due.seq);
  leases_[job.id].push_back(std::move(leased));
  lane.leased.insert(job.id);
}

std::vector<Job> Window::take(Lane& lane, std::size_t messages, std::size_t bytes) {
  std::vector<Job> taken;
  std::size_t size = 0;
  std::deque<Job> later;
  while (!lane.jobs.empty() && taken.size() < messages) {
    Job& front = lane.jobs.front();
    if (!taken.empty() && size + front.size > bytes) break;
    Job job = std::move(front);
    lane.jobs.pop_front();
    if (lane.leased.contains(job.id)) {  // other recipients of it are under way here: it waits for them
      later.push_back(std::move(job));
      continue;
    }
    --messages_;
    bytes_ -= weight(job);
    if (auto at = here_.find(job.id); --at->second == 0) here_.erase(at);
    size += job.size;
    note_lease(lane, job);
    taken.push_back(std::move(job));
  }
  for (auto job = later.rbegin(); job != later.rend(); ++job) lane.jobs.push_front(std::move(*job));
  return taken;
}

std::vector<Job> Window::lease(Lane& lane, std::vector<Job> jobs) {
  std::vector<Job> leased;
  for (auto& job : jobs) {
    if (frozen_.contains(job.id) || overlaps(job) || lane.leased.contains(job.id) || here_.contains(job.id)) continue;
    note_lease(lane, job);
    leased.push_back(std::move(job));
  }
  return leased;
}

std::size_t Window::release(Lane& lane, const std::string& destination, Id id) {
  lane.leased.erase(id);
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

std::vector<Id> Window::excluded(const Lane& lane) const {
  std::vector<Id> ids(lane.leased.begin(), lane.leased.end());
  for (const auto& job : lane.jobs) ids.push_back(job.id);
  for (const auto& [id, actions] : frozen_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<Lease> Window::leases_of(Id id) const {
  std::vector<Lease> all;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return all;
  for (const auto& leased : found->second)
    for (const auto seq : leased.seqs) all.push_back({id, seq});
  return all;
}

std::vector<std::uint32_t> Window::leased_at(const std::string& destination, Id id) const {
  std::vector<std::uint32_t> all;
  const auto found = leases_.find(id);
  if (found == leases_.end()) return all;
  for (const auto& leased : found->second)
    if (leased.destination == destination) all.insert(all.end(), leased.seqs.begin(), leased.seqs.end());
  return all;
}

std::vector<Lease> Window::leases() const {
  std::vector<Lease> all;
  for (const auto& [id, list] : leases_)
    for (const auto& leased : list)
      for (const auto seq : leased.seqs) all.push_back({id, seq});
  std::sort(all.begin(), all.end());
  return all;
}

void Window::drop_lane_jobs(Lane& lane) {
  for (const auto& job : lane.jobs) {
    --messages_;
    bytes_ -= weight(job);
    if (auto at = here_.find(job.id); --at->second == 0) here_.erase(at);
  }
  lane.jobs.clear();
  lane.next = at_once;
  lane.more = true;
  ++lane.epoch;
}

void Window::drop_all() {
  for (auto& [destination, lane] : lanes_) drop_lane_jobs(lane);
}

void Window::freeze(const std::vector<Id>& ids) {
  for (const Id id : ids) ++frozen_[id];
  if (std::none_of(ids.begin(), ids.end(), [this](Id id) { return here_.contains(id); })) return;
  for (auto& [destination, lane] : lanes_) {
    const auto is_frozen = [this](const Job& job) { return frozen_.contains(job.id); };
    if (std::any_of(lane.jobs.begin(), lane.jobs.end(), is_frozen)) drop_lane_jobs(lane);
  }
}

void Window::thaw(const std::vector<Id>& ids) {
  for (const Id id : ids) {
    const auto found = frozen_.find(id);
    if (found == frozen_.end() || --found->second > 0) continue;
    frozen_.erase(found);
    wake(id);
  }
}

}  // namespace hoplock::queue
