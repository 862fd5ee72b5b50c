// SPDX-License-Identifier: Apache-2.0
#include "delivery/host_order.h"

#include <algorithm>
#include <chrono>
#include <set>

namespace hoplock::delivery {

namespace {
using Steady = std::chrono::steady_clock;
}  // namespace

void HostOrder::begin_source() {
  heard_at_ = heard_key(*progress_.source);
  heard_.try_emplace(heard_at_);
}

void HostOrder::arrange() {
  arrange_by_destination();
  arrange_by_message();
  prefer_open_session();
}

// Hosts that were tried in vain lately come last; the one that worked then comes before the third of the others.
void HostOrder::arrange_by_destination() {
  const auto now = Steady::now();
  const std::string& at = progress_.job->destination;
  Rotation& rotation = progress_.common.rotation;
  if (!rotation.knows(at)) return;
  auto& hosts = progress_.hosts.hosts;
  const auto behind = std::stable_partition(hosts.begin(), hosts.end(), [&](const route::Host& host) {
    return !rotation.is_behind(at, host_key(host), now);
  });
  if (behind == hosts.begin()) return rotation.start_over(at);  // all had their turn
  const std::string good = rotation.good(at);
  const auto found = std::find_if(hosts.begin(), hosts.end(), [&](const auto& host) { return host_key(host) == good; });
  constexpr std::ptrdiff_t third = 2;
  if (found != hosts.end() && found - hosts.begin() > third) std::rotate(hosts.begin() + third, found, found + 1);
}

void HostOrder::arrange_by_message() {
  Rotation& heard = progress_.common.heard;
  if (!heard.knows(heard_at_)) return;
  const auto now = Steady::now();
  auto& hosts = progress_.hosts.hosts;
  const auto behind = std::stable_partition(hosts.begin(), hosts.end(), [&](const route::Host& host) {
    return !heard.is_behind(heard_at_, host_key(host), now);
  });
  if (behind == hosts.begin()) heard.start_over(heard_at_);
}

// Hosts of the best preference come in random order; the one that a session is open to goes first.
void HostOrder::prefer_open_session() {
  const auto& session = progress_.session;
  if (!session || progress_.common.heard.is_behind(heard_at_, session->host, Steady::now())) return;
  auto& hosts = progress_.hosts.hosts;
  const auto best = hosts.front().preference;
  const auto end = std::find_if(hosts.begin(), hosts.end(), [&](const auto& host) { return host.preference != best; });
  const auto mine = std::find_if(hosts.begin(), end, [&](const auto& host) { return host_key(host) == session->host; });
  if (mine != end) std::rotate(hosts.begin(), mine, mine + 1);
}

void HostOrder::start_over() { progress_.common.rotation.start_over(progress_.job->destination); }

bool HostOrder::was_tried(const route::Host& host, const Ip& ip) const {
  return progress_.common.rotation.was_tried(progress_.job->destination, {host_key(host), ip}, Steady::now());
}

void HostOrder::note_in_vain(const route::Host& host, const Ip& ip) { seen_.in_vain.emplace_back(host_key(host), ip); }

void HostOrder::note_through(const route::Host& host) { seen_.hosts_through.push_back(host_key(host)); }

void HostOrder::note_heard(const route::Host& host) {
  if (!progress_.open.empty()) heard_[heard_at_].hosts_through.push_back(host_key(host));
}

void HostOrder::note_good(const route::Host& host) { seen_.good = host_key(host); }

void HostOrder::remember() {
  const std::string& at = progress_.job->destination;
  const Attempt& attempt = progress_.attempt;
  Rotation& rotation = progress_.common.rotation;
  if (progress_.cut_short || rotation.knows(at)) {
    if (!seen_.in_vain.empty() || !seen_.good.empty()) rotation.note(at, seen_, Steady::now());
  }
  if (!progress_.cut_short && !attempt.reached && !attempt.full) rotation.start_over(at);
  remember_heard();
}

// A message has a job for each destination, and mail for each source: what the hosts of one said is nothing to the others.
std::string HostOrder::heard_key(const Source& source) const {
  std::string key = progress_.job->id.text() + "/" + progress_.job->destination + "/" + source.hostname.text();
  for (const auto& ip : {source.ipv4, source.ipv6}) key += "/" + (ip ? ip->text() : "");
  return key;
}

void HostOrder::remember_heard() {
  Rotation& heard = progress_.common.heard;
  std::set<std::string> left;
  for (const std::size_t i : progress_.open)
    left.insert(heard_key(progress_.source_of(progress_.job->recipients[i].domain)));
  for (const auto& [key, seen] : heard_) {
    const bool goes_on = progress_.cut_short || heard.knows(key);
    if (!left.contains(key)) {
      heard.start_over(key);
    } else if (goes_on && !seen.hosts_through.empty()) {
      heard.note(key, seen, Steady::now());
    }
  }
}

}  // namespace hoplock::delivery
