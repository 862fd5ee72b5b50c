// SPDX-License-Identifier: Apache-2.0
#include "route/sts.h"

#include <algorithm>
#include <utility>

#include "route/sts_impl.h"

namespace hoplock::route {

using boost::asio::awaitable;
using hop::Refusal;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t most_fetches = 50;  // for deliveries, at once, of those that are quick …
constexpr std::chrono::seconds quick{3};  // … and younger than this: slow hosts are no reason for others to wait
constexpr std::size_t most_slow_fetches = 400;  // however slow
constexpr std::chrono::hours keep_silence{1};   // a domain whose TXT was asked for so long ago: its wait begins anew
constexpr std::size_t most_patterns = 64;       // of a policy that stays in memory
constexpr std::size_t most_text = 8192;         // likewise, octets
constexpr std::chrono::seconds keep_txt{300};   // at most
constexpr std::chrono::seconds keep_failed_txt{5};  // of look-ups

}  // namespace

std::string_view to_text(PolicyEvent::Action action) {
  using Action = PolicyEvent::Action;
  switch (action) {
    case Action::fetched:
      return "fetched";
    case Action::refreshed:
      return "refreshed";
    case Action::unchanged:
      return "unchanged";
    case Action::failed:
      return "failed";
    case Action::expired:
      return "expired";
    case Action::removed:
      return "removed";
  }
  return "?";
}

Event event_of(const PolicyEvent& news) {
  Event event(news.level, "sts-policy");
  event.add("domain", news.domain.text()).add("action", std::string(to_text(news.action))).add("id", news.id);
  if (news.mode) event.add("mode", std::string(to_text(*news.mode))).add("max_age", news.max_age.count());
  if (news.expires) event.add("expires", to_rfc3339(*news.expires));
  event.add("error", news.error);
  return event;
}

// One of the places for fetches that deliveries wait for.
class PolicyCache::Impl::Place {
 public:
  explicit Place(Self self) : self_(std::move(self)), mine_(self_->fetching_.insert(Steady::now())) {}
  ~Place() {
    self_->fetching_.erase(mine_);
    self_->place_free_.notify_one();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  Self self_;
  std::multiset<Steady::time_point>::iterator mine_;
};

bool PolicyCache::Impl::is_crowded() const {
  const auto young = fetching_.lower_bound(Steady::now() - quick);
  return fetching_.size() >= most_slow_fetches ||
         static_cast<std::size_t>(std::distance(young, fetching_.end())) >= most_fetches;
}

bool PolicyCache::Impl::is_live(const store::PolicyRow& row, Time at) {
  return row.freshness.held && mtasts::is_live(*row.freshness.held, at);
}

// REQUIRES: it has a policy.
hop::StsFact PolicyCache::Impl::in_force(const Entry& entry) {
  hop::StsFact fact;
  fact.state = hop::StsFact::State::live;
  fact.id = entry.row.freshness.held->id;
  fact.policy = entry.policy;
  fact.text = entry.text;
  fact.problem = entry.row.problem;
  return fact;
}

hop::StsFact PolicyCache::Impl::fact_of(const Entry& entry, const PolicyTxt& txt) const {
  using State = hop::StsFact::State;
  hop::StsFact fact;
  if (is_live(entry.row, now())) return in_force(entry);
  if (txt.failure) {
    fact.state = State::unknown;
    fact.problem = txt.failure;
    fact.unknown_for = txt.failing;
  } else if (txt.valid()) {
    fact.problem = entry.row.problem;
    fact.refused = entry.refused;
  }
  return fact;
}

// What there is to tell, but for the action.
PolicyEvent PolicyCache::Impl::news_of(const Entry& entry) {
  PolicyEvent news;
  news.domain = entry.row.domain;
  if (const auto& held = entry.row.freshness.held) {
    news.id = held->id;
    news.mode = entry.policy.mode;
    news.max_age = held->max_age;
    news.expires = mtasts::expires(*held);
  }
  return news;
}

void PolicyCache::Impl::reload(PolicyOptions options) {
  options_ = options;
  txts_.clear();
  silent_since_.clear();
}

void PolicyCache::Impl::tell(const PolicyEvent& news) {
  if (parts_.log.enabled(news.level)) parts_.log.write(event_of(news));
  if (news.level >= Level::info) parts_.log.count(counted::StsPolicy{std::string(to_text(news.action))});
}

// A bogus answer is no silence, and ends none.
Seconds PolicyCache::Impl::failing(const dns::Name& domain, const PolicyTxt& txt) {
  const auto at = Steady::now();
  if (!txt.failure) silent_since_.erase(domain);
  if (!txt.failure || txt.failure->reason != hop::Reason::dns_failure) return Seconds{0};
  const auto since = silent_since_.find(domain, at).value_or(at);
  silent_since_.put(domain, since, at + keep_silence);
  return std::chrono::floor<Seconds>(at - since);
}

awaitable<PolicyTxt> PolicyCache::Impl::find_txt(Self self, dns::Name domain) {
  if (const auto kept = self->txts_.find(domain, Steady::now())) co_return **kept;
  PolicyTxt asked = co_await find_policy_txt(self->parts_.resolver, domain);
  asked.texts = {};  // 64 KiB at worst, thousands of times
  asked.failing = self->failing(domain, asked);
  const auto found = std::make_shared<const PolicyTxt>(std::move(asked));
  const auto time = found->failure ? keep_failed_txt : std::min<std::chrono::seconds>(found->ttl, keep_txt);
  self->txts_.put(domain, found, Steady::now() + time);
  co_return *found;
}

PolicyCache::Impl::EntryPtr PolicyCache::Impl::entry_of(dns::Name domain, store::KeptPolicy kept) const {
  auto entry = std::make_shared<Entry>();
  entry->row.domain = std::move(domain);
  if (!kept.row) return entry;
  entry->row = std::move(*kept.row);
  entry->refused = std::move(kept.refused);
  if (!entry->row.text) return entry;
  auto policy = mtasts::parse_policy(*entry->row.text);
  entry->text = std::move(*entry->row.text);
  entry->row.text.reset();
  if (policy) {
    entry->policy = std::move(*policy);
    return entry;
  }
  // Nothing that we ever wrote: it is fetched anew.
  PolicyEvent news = news_of(*entry);
  news.level = Level::error;
  news.mode.reset();
  news.error = "the stored policy cannot be read: " + policy.error().detail;
  parts_.log.write(event_of(news));
  parts_.log.count(counted::StsPolicy{std::string(to_text(news.action))});
  entry->row.freshness.held.reset();
  return entry;
}

void PolicyCache::Impl::keep(const EntryPtr& entry) {
  if (entry->policy.mx.size() > most_patterns || entry->text.size() > most_text) {
    entries_.erase(entry->row.domain);
  } else {
    const auto time = parts_.policies.look_again();
    entries_.put(entry->row.domain, entry, time ? Steady::now() + *time : Steady::time_point::max());
  }
}

// That a policy has run out, or that there is none, is not believed of memory where another node may have fetched one since.
bool PolicyCache::Impl::is_doubtful(const Entry& entry) const {
  return parts_.policies.look_again() && !is_live(entry.row, now());
}

awaitable<PolicyCache::Impl::EntryPtr> PolicyCache::Impl::load(Self self, dns::Name domain) {
  const EntryPtr before = self->entries_.find(domain, Steady::now()).value_or(nullptr);
  if (before && !self->is_doubtful(*before)) co_return self->settle(before);
  auto kept = co_await self->parts_.policies.find(domain);
  const EntryPtr newer = self->entries_.find(domain, Steady::now()).value_or(nullptr);
  if (newer && (newer != before || !kept)) co_return self->settle(newer);
  const EntryPtr entry = self->entry_of(std::move(domain), std::move(kept).value());
  self->keep(entry);
  co_return self->settle(entry);
}

// A clock that was set back: times that lie ahead count from now on.
PolicyCache::Impl::EntryPtr PolicyCache::Impl::settle(EntryPtr entry) {
  const Time at = now();
  const auto& [held, failures] = entry->row.freshness;
  if ((!held || held->fetched <= at) && (failures.count == 0 || failures.last <= at)) return entry;
  auto settled = std::make_shared<Entry>(*entry);
  settled->row.freshness = mtasts::settled(entry->row.freshness, at);
  settled->row.due = next_look(settled->row);
  keep(settled);
  parts_.policies.update_later(settled->row);
  return settled;
}

awaitable<hop::StsFact> PolicyCache::Impl::find(Self self, dns::Name domain, PolicyTxt txt) {
  EntryPtr entry = co_await load(self, domain);
  const auto must_fetch = [&self, &txt](const EntryPtr& at) {
    return txt.valid() && mtasts::need(at->row.freshness, txt.choice.id, self->now()) == mtasts::Need::fetch;
  };
  bool tried = false;  // a fetch under this id came to its end, ours or another's
  while (!tried && must_fetch(entry)) {
    EntryPtr brought;
    const auto flight = self->flights_.find(domain);
    if (!flight) {
      const Fetched fetched = co_await fetch(self, domain, txt.choice.id, Cause::delivery);
      tried = true;
      brought = fetched.brought;
    } else {
      co_await flight->wait();
      tried = flight->found() && flight->found()->id == txt.choice.id;
      if (tried) brought = flight->found()->entry;
    }
    if (brought) co_return in_force(*brought);
    entry = co_await load(self, domain);
  }
  co_return self->fact_of(*entry, txt);
}

std::optional<hop::StsFact> PolicyCache::Impl::known(const dns::Name& domain) {
  const auto kept = entries_.find(domain, Steady::now());
  if (!kept || !is_live((*kept)->row, now())) return std::nullopt;
  return in_force(**kept);
}

// REQUIRES: nobody fetches for this domain.
awaitable<PolicyCache::Impl::Fetched> PolicyCache::Impl::fetch(Self self, dns::Name domain, std::string id,
                                                               Cause cause) {
  net::SingleFlight<dns::Name, Brought>::Work work(self->flights_, domain);
  Brought end{id, nullptr};
  std::optional<Place> place;
  if (cause == Cause::delivery) {
    while (self->is_crowded()) co_await self->place_free_.wait_until(Steady::now() + quick / 3);
    place.emplace(self);
  }
  auto fetched = co_await fetch_policy(self->parts_.fetch, domain);
  place.reset();
  EntryPtr before = co_await load(self, domain);
  Fetched result;
  if (auto* why = std::get_if<NoPolicy>(&fetched)) {
    result.news = co_await fail(self, std::move(before), std::move(id), std::move(*why));
  } else {
    auto policy = std::get<FetchedPolicy>(std::move(fetched));
    result = co_await succeed(self, std::move(before), std::move(id), std::move(policy), cause);
  }
  end.entry = result.brought;
  work.done(std::move(end));
  co_return result;
}

// STS-17: a policy with a max_age of 0 governs the attempts that waited for it, and leaves nothing behind.
awaitable<PolicyCache::Impl::Fetched> PolicyCache::Impl::succeed(Self self, EntryPtr before, std::string id,
                                                                 FetchedPolicy fetched, Cause cause) {
  const Time at = self->now();
  auto entry = std::make_shared<Entry>();
  entry->row.domain = before->row.domain;
  entry->row.checked = at;
  entry->row.freshness.held = mtasts::Held{std::move(id), at, fetched.policy.max_age};
  entry->row.due = self->next_look(entry->row);
  entry->policy = std::move(fetched.policy);
  entry->text = std::move(fetched.text);
  store::PolicyRow row = entry->row;
  row.text = entry->text;
  const bool lasts = entry->policy.max_age.count() > 0;
  const auto stored = co_await self->parts_.policies.put(std::move(row));
  lasts ? self->keep(entry) : self->entries_.erase(entry->row.domain);
  if (lasts) self->note_due(entry->row.due);
  PolicyEvent news = news_of(*entry);
  news.action = PolicyEvent::Action::fetched;
  if (cause != Cause::delivery && is_live(before->row, at)) {
    const bool same = before->policy == entry->policy && before->row.freshness.held->id == news.id;
    news.action = same ? PolicyEvent::Action::unchanged : PolicyEvent::Action::refreshed;
  }
  if (!stored) {
    news.level = Level::error;
    news.error = "the policy is in force, but cannot be stored: " + stored.error().detail;
  }
  self->tell(news);
  Fetched result;
  result.news = std::move(news);
  result.brought = std::move(entry);
  co_return result;
}

// STS-31, STS-32: a policy that is live stays, and the first failure in a row is told to the administrator.
awaitable<PolicyEvent> PolicyCache::Impl::fail(Self self, EntryPtr before, std::string id, NoPolicy none) {
  const Time at = self->now();
  auto entry = std::make_shared<Entry>(*before);
  store::PolicyRow& row = entry->row;
  row.checked = at;
  row.freshness.failures.count += 1;
  row.freshness.failures.last = at;
  row.freshness.failures.id = id;
  row.problem = none.why;
  entry->refused = std::move(none.text);
  const bool live = is_live(row, at);
  if (live || !row.freshness.held) row.due = self->next_look(row);
  const auto stored = co_await self->parts_.policies.put_failure(row, entry->refused);
  self->keep(entry);
  self->note_due(row.due);
  PolicyEvent news = news_of(*entry);
  const bool harmless = live && entry->policy.mode == mtasts::Mode::none;
  if (!harmless) news.level = Level::warn;
  if (before->row.freshness.failures.count > 0) news.level = Level::debug;
  news.id = std::move(id);
  news.error = std::string(to_text(none.why.reason)) + ": " + none.why.text;
  if (live) {
    news.error += "; the policy of " + to_rfc3339(row.freshness.held->fetched) + " stays in force until " +
                  to_rfc3339(*news.expires);
  }
  if (!stored) news.error += "; and this cannot be stored: " + stored.error().detail;
  self->tell(news);
  co_return news;
}

PolicyCache::PolicyCache(Parts parts, PolicyOptions options) : impl_(std::make_shared<Impl>(parts, options)) {}
PolicyCache::~PolicyCache() = default;

void PolicyCache::reload(PolicyOptions options) { impl_->reload(options); }
awaitable<PolicyTxt> PolicyCache::find_txt(dns::Name domain) { return Impl::find_txt(impl_, std::move(domain)); }
awaitable<hop::StsFact> PolicyCache::find(dns::Name domain, PolicyTxt txt) {
  return Impl::find(impl_, std::move(domain), std::move(txt));
}
std::optional<hop::StsFact> PolicyCache::known(const dns::Name& domain) const { return impl_->known(domain); }
awaitable<PolicyEvent> PolicyCache::refresh(dns::Name domain) { return Impl::refresh(impl_, std::move(domain)); }
awaitable<void> PolicyCache::maintain() { return Impl::maintain(impl_); }

}  // namespace hoplock::route
