// SPDX-License-Identifier: Apache-2.0
#include "delivery/gates.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

namespace {
constexpr std::size_t most_parked = 20'000;
constexpr std::size_t most_remembered = 20'000;  // of each kind
constexpr std::size_t share_of_owner = 10;       // of all sessions, one in so many
constexpr std::size_t most_put_off = 64;
constexpr std::size_t most_cut_off = 256;
constexpr std::chrono::seconds moment{3};  // in which all are told to slow down
constexpr int reward = 4, penalty = 8;     // sessions more or less for an owner's other names

// Keeps the map small: what is not in use and knows nothing that matters goes.
template <class Map, class Idle>
void forget(Map& map, Idle idle) {
  if (map.size() >= most_remembered) std::erase_if(map, [&](const auto& entry) { return idle(*entry.second); });
  if (map.size() >= most_remembered)
    std::erase_if(map, [&](const auto& entry) { return entry.second->used == 0 && entry.second->waiting.empty(); });
}
}  // namespace

std::string owner_of(const std::string& domain) {
  std::vector<std::size_t> dots;
  for (std::size_t i = domain.size(); i-- > 0 && dots.size() < 3;)
    if (domain[i] == '.') dots.push_back(i);
  if (dots.size() < 2) return domain;
  const std::size_t last = domain.size() - dots[0] - 1, second = dots[0] - dots[1] - 1;
  const bool under_country = last == 2 && second <= 3;
  if (!under_country) return domain.substr(dots[1] + 1);
  return dots.size() < 3 ? domain : domain.substr(dots[2] + 1);
}

// Bounded, also where a sender of its own for each message is cut off at one recipient.
void Site::CutOff::add(std::uint64_t recipient, const std::string& domain, const store::Envelope& envelope) {
  if (std::max(whom.size(), senders.size()) >= most_cut_off) *this = {};
  whom.insert(recipient);
  senders.insert(std::hash<std::string>{}(origin_of(envelope, By::sender)));
  by.add(domain);
  from.add(envelope);
}

Allowance::Clock::time_point Site::next_turn() const {
  if (!rate || !last_turn) return {};
  return *last_turn + std::chrono::duration_cast<Allowance::Clock::duration>(rate->per) / rate->count;
}

bool Site::take_turn(Allowance::Clock::time_point now) {
  const bool comes = now >= next_turn();
  if (comes) last_turn = now;
  closed_until = next_turn();
  return comes;
}

void Gates::limit(std::size_t sessions, std::size_t per_host) {
  sessions_ = sessions;
  per_host_ = per_host;
  unproven_->allowance.most(std::max<std::size_t>(1, sessions - sessions / 4));
  for (auto& [owner, gate] : shares_) gate->allowance.most(share() + static_cast<std::size_t>(gate->score));
  for (auto& [ip, gate] : hosts_) gate->allowance.most(per_host);
  room_ = true;
}

GatePtr Gates::closed_to(const std::string& destination) const {
  const SitePtr site = site_of(destination);
  if (site && site->is_closed(Clock::now())) return site;
  if (is_proven(destination)) return nullptr;
  const auto share = shares_.find(owner_of(destination));
  if (share != shares_.end() && share->second->is_full()) return share->second;
  return unproven_->is_full() ? unproven_ : nullptr;
}

bool Gates::park(const GatePtr& gate, Waiting ready) {
  if (parked_.size() >= most_parked) return false;
  if (!parked_.insert(ready.destination).second) return true;
  line_up(gate->waiting, std::move(ready));
  crowded_.insert(gate);
  room_ = room_ || !gate->is_full();
  if (gate->closed_until > Clock::now()) opens_ = std::min(opens_.value_or(gate->closed_until), gate->closed_until);
  return true;
}

std::vector<Waiting> Gates::take_ready() {
  std::vector<Waiting> ready;
  const auto now = Clock::now();
  const bool opened = opens_ && now >= *opens_;
  const bool all = std::exchange(reopened_, false);
  if (!std::exchange(room_, false) && !opened) return ready;
  opens_.reset();
  std::erase_if(crowded_, [&](const GatePtr& gate) {
    if (all) {
      std::move(gate->waiting.begin(), gate->waiting.end(), std::back_inserter(ready));
      gate->waiting.clear();
      return true;
    }
    if (now < gate->closed_until) {
      opens_ = std::min(opens_.value_or(gate->closed_until), gate->closed_until);
      return false;
    }
    const std::size_t limit = gate->sessions();
    for (std::size_t used = gate->used - gate->spare; used < limit && !gate->waiting.empty(); ++used) {
      parked_.erase(gate->waiting.front().destination);
      ready.push_back(std::move(gate->waiting.front()));
      gate->waiting.pop_front();
    }
    return gate->waiting.empty();
  });
  if (all) {
    parked_.clear();
    std::sort(ready.begin(), ready.end(), [](const Waiting& a, const Waiting& b) { return a.place < b.place; });
  }
  return ready;
}

std::string Gates::reason_of(const GatePtr& gate, const std::unordered_map<const Gate*, std::string>& names) const {
  const auto all_in_use = [count = gate->sessions()](const std::string& of) {
    return count == 1 ? "the one session " + of + " is in use"
                      : "all " + std::to_string(count) + " sessions " + of + " are in use";
  };
  if (gate == unproven_) return all_in_use("for next hops that have not worked lately");
  const auto found = names.find(gate.get());
  if (found == names.end()) return "no session is free";
  if (Clock::now() < gate->closed_until) return "the route's rate is used up";  // only a site closes
  return all_in_use(found->second);
}

// Of those at which somebody waits: each is looked for once, not all of them for each.
std::unordered_map<const Gate*, std::string> Gates::names_of_crowded() const {
  std::unordered_map<const Gate*, std::string> names;
  if (crowded_.empty()) return names;
  const auto note = [&](const GatePtr& gate, std::string name) {
    if (!gate->waiting.empty()) names.emplace(gate.get(), std::move(name));
  };
  for (const auto& [name, site] : sites_) note(site, "of the site " + name);
  for (const auto& [key, host] : hosts_) note(host, "to " + key.first.text());
  for (const auto& [owner, share] : shares_) note(share, "for names under " + owner + " that have not worked lately");
  return names;
}

namespace {
// The two clocks are read one after the other: whoever asks again is told the same millisecond, unless the system's clock was set.
Time by_system_clock(Gate& gate, Allowance::Clock::time_point at, Time now) {
  constexpr Seconds set_anew{1};
  const Time until = now + std::chrono::ceil<Milliseconds>(gate.closed_until - at);
  if (std::chrono::abs(until - gate.told_until) >= set_anew) gate.told_until = until;
  return gate.told_until;
}
}  // namespace

std::vector<queue::InLine> Gates::in_line(Time now) const {
  std::vector<queue::InLine> all;
  const auto at = Clock::now();
  const auto names = names_of_crowded();
  for (const GatePtr& gate : crowded_) {
    queue::InLine one;
    one.why = reason_of(gate, names);
    if (at < gate->closed_until) one.until = by_system_clock(*gate, at, now);
    for (const Waiting& waiting : gate->waiting) {
      one.destination = waiting.destination;
      all.push_back(one);
    }
  }
  return all;
}

void Gates::reopen() {
  site_of_.clear();
  for (auto& [name, site] : sites_) site->closed_until = {};
  reopened_ = room_ = true;
}

std::size_t Gates::share() const { return std::max<std::size_t>(2, sessions_ / share_of_owner); }

void Gates::score(const std::string& destination, int by) {
  const auto found = shares_.find(owner_of(destination));
  if (found == shares_.end()) return;
  Share& share = *found->second;
  share.score = std::clamp(share.score + by, 0, static_cast<int>(sessions_));
  share.allowance.most(this->share() + static_cast<std::size_t>(share.score));
  room_ = room_ || by > 0;
}

void Gates::proven(const std::string& destination) {
  if (proven_.contains(destination)) return;
  if (proven_.size() >= most_remembered) proven_.clear();
  proven_.insert(destination);
  score(destination, reward);
}

void Gates::unproven(const std::string& destination) {
  proven_.erase(destination);
  score(destination, -penalty);
}

std::vector<GatePtr> Gates::for_unproven(const std::string& destination) {
  if (is_proven(destination)) return {};
  forget(shares_, [](const Gate& gate) { return gate.used == 0 && gate.waiting.empty(); });
  std::shared_ptr<Share>& share = shares_[owner_of(destination)];
  if (!share) share = std::make_shared<Share>(this->share());
  return {share, unproven_};
}

void Gates::forget_sites() {
  const auto now = Clock::now();
  const auto idle = [now](const Site& site) {
    return site.used == 0 && site.waiting.empty() && !site.hold && site.allowance.is_stale(now);
  };
  if (sites_.size() < most_remembered) return;
  forget(sites_, idle);
  site_of_.clear();
}

SitePtr Gates::site(const std::string& name, const route::Limits& limits) {
  forget_sites();
  const std::size_t most = limits.sessions ? *limits.sessions : sessions_;
  SitePtr& site = sites_[name];
  if (!site) {
    site = std::make_shared<Site>(most);
    site->name = name;
  }
  site->allowance.most(most);
  if (site->rate != limits.rate) {
    site->rate = limits.rate;
    site->closed_until = site->next_turn();
  }
  return site;
}

void Gates::forget_holds() {
  for (auto& [name, site] : sites_) site->hold.reset();
}

void Gates::belongs(const std::string& destination, const SitePtr& site) {
  if (site_of_.size() >= most_remembered) site_of_.clear();
  site_of_[destination] = site;
}

SitePtr Gates::site_of(const std::string& destination) const {
  const auto found = site_of_.find(destination);
  return found == site_of_.end() ? nullptr : found->second;
}

GatePtr Gates::host(const Ip& ip, const std::optional<Ip>& from) {
  const auto now = Clock::now();
  forget(hosts_,
         [now](const Gate& gate) { return gate.used == 0 && gate.waiting.empty() && gate.allowance.is_stale(now); });
  GatePtr& gate = hosts_[{ip, from}];
  if (!gate) gate = std::make_shared<Gate>(per_host_);
  return gate;
}

void Gates::answered(const Ip& ip, const std::optional<Ip>& from) {
  const auto found = hosts_.find({ip, from});
  if (found == hosts_.end()) return;
  found->second->answered_at = Clock::now();
  room_ = std::exchange(found->second->silent, false) || room_;
}

void Gates::silent(const Ip& ip, const std::optional<Ip>& from, Clock::time_point since) {
  const GatePtr gate = host(ip, from);
  gate->silent = std::max(gate->worked_at, gate->answered_at) < since;
}

void Gates::tell(const Word& word, std::size_t sessions, std::size_t was) {
  if (sessions == was) return;
  if (sessions < was) ++cuts_;
  Event event(Level::info, "throttled");
  event.add("site", word.site ? word.site->name : "").add("ip", word.ip ? word.ip->text() : "");
  event.add("sessions", static_cast<std::int64_t>(sessions)).add("was", static_cast<std::int64_t>(was));
  event.add("reply", word.reply);
  log_.write(event);
  using Way = counted::SessionLimit::Way;
  log_.count(counted::SessionLimit{sessions < was ? Way::cut : Way::grown});
}

void Gates::cut(const Word& word, std::size_t working) {
  const GatePtr gate = host(*word.ip, word.from);
  const std::size_t was = gate->allowance.sessions();
  gate->allowance.cut(working, Clock::now());
  tell(word, gate->allowance.sessions(), was);
}

void Gates::refused(const Word& word) {
  if (!word.ip) return;
  cut(word, host(*word.ip, word.from)->used);
  if (word.site) word.site->allowance.give_way(word.site->used > 1 ? word.site->used - 1 : 1, Clock::now());
}

// What all sessions are told at once must not bring the limit down to one: nothing would be learnt of where it lies.
void Gates::too_fast(const Word& word) {
  if (!word.ip) return;
  const GatePtr gate = host(*word.ip, word.from);
  const auto now = Clock::now();
  if (now < gate->slowed_at + moment) return;
  gate->slowed_at = now;
  const std::size_t less = std::max<std::size_t>(1, gate->used - gate->used / 4);
  cut(word, less);
  if (word.site) word.site->allowance.give_way(less, now);
}

void Gates::took(const Word& word) {
  const auto now = Clock::now();
  const GatePtr gate = word.ip ? host(*word.ip, word.from) : nullptr;
  if (gate) {
    const std::size_t was = gate->allowance.sessions();
    gate->worked_at = now;
    room_ = std::exchange(gate->silent, false) || room_;
    gate->allowance.took(gate->used, now);
    tell(word, gate->allowance.sessions(), was);
    room_ = room_ || gate->allowance.sessions() > was;
  }
  if (!word.site) return;
  Site& site = *word.site;
  const std::size_t was = site.allowance.sessions();
  if (!gate || !gate->is_full()) site.allowance.took(site.used, now);
  room_ = room_ || site.allowance.sessions() > was;
  site.forget_put_off();
  site.hold.reset();
}

void Gates::slow(const Word& word) {
  if (!word.site) return;
  Allowance& allowance = word.site->allowance;
  const std::size_t was = std::max<std::size_t>(1, std::min(allowance.sessions(), word.site->used));
  allowance.fit(1);
  tell(word, 0, was);
  if (word.site->put_off.size() > most_put_off) word.site->put_off.clear();
}

}  // namespace hoplock::delivery
