// SPDX-License-Identifier: Apache-2.0
// What becomes of policies without anybody asking: refreshed, told expired, forgotten (STS-32).
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/fnv1a.h"
#include "net/task_group.h"
#include "route/sts_impl.h"

namespace hoplock::route {

using boost::asio::awaitable;
using hop::Refusal;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t most_rows = 64;  // of one look
constexpr std::size_t width = 8;       // refreshed at a time
constexpr std::chrono::seconds shortest_pause{1};
constexpr std::chrono::minutes longest_pause{1};
constexpr std::chrono::minutes patience{30};  // for one look's rows
constexpr std::chrono::seconds last_words{5};
constexpr std::chrono::days keep_expired{7};
constexpr std::chrono::days keep_failed_domains{1};  // of a domain without a policy
constexpr Seconds farthest = mtasts::max_lifetime + keep_expired + std::chrono::days{1};

// 0 to 1, the same for a domain each time: refreshes that began together spread, and stay spread.
double jitter_of(const dns::Name& domain) {
  const std::uint64_t hash = fnv1a(domain.text());
  return static_cast<double>((hash ^ hash >> 32U) & 0xffffffffU) / 4294967295.0;
}

std::string not_there(const mtasts::Choice& choice) {
  return "the domain has no usable _mta-sts record any more" + (choice.why.empty() ? "" : ": " + choice.why);
}

}  // namespace

Time PolicyCache::Impl::next_look(const store::PolicyRow& row) const {
  const auto& held = row.freshness.held;
  if (!held) return row.freshness.failures.last + keep_failed_domains;
  const Time expires = mtasts::expires(*held);
  const auto wanted = std::chrono::duration_cast<Seconds>(options_.refresh);
  const auto refresh = mtasts::refresh_at(row.freshness, wanted, jitter_of(row.domain));
  return std::min(refresh.value_or(expires), expires);
}

awaitable<PolicyEvent> PolicyCache::Impl::refresh(Self self, dns::Name domain) {
  return refresh_now(std::move(self), std::move(domain), Cause::request);
}

// The record is asked for afresh. Without one there is no policy to be had (RFC 8461 section 3.1); while DNS does not answer, the
// policy at hand is refreshed under its own id.
awaitable<PolicyEvent> PolicyCache::Impl::refresh_now(Self self, dns::Name domain, Cause cause) {
  const PolicyTxt txt = co_await find_policy_txt(self->parts_.resolver, domain);
  EntryPtr entry = co_await load(self, domain);
  while (const auto flight = self->flights_.find(domain)) {
    co_await flight->wait();
    entry = co_await load(self, domain);
  }
  const auto& held = entry->row.freshness.held;
  if (txt.valid() || (txt.failure && held)) {
    std::string id = txt.valid() ? txt.choice.id : held->id;
    Fetched fetched = co_await fetch(self, std::move(domain), std::move(id), cause);
    co_return std::move(fetched.news);
  }
  if (held) {
    NoPolicy none{Refusal{hop::Reason::sts_policy_fetch_error, not_there(txt.choice)}};
    std::string id = held->id;
    co_return co_await fail(self, std::move(entry), std::move(id), std::move(none));
  }
  PolicyEvent news;
  news.domain = std::move(domain);
  news.level = Level::warn;
  news.error = txt.failure
                   ? std::string(to_text(txt.failure->reason)) + ": " + txt.failure->text
                   : "the domain has no usable _mta-sts record" + (txt.choice.why.empty() ? "" : ": " + txt.choice.why);
  co_return news;
}

awaitable<void> PolicyCache::Impl::maintain(Self self) {
  for (;;) {
    self->look_at_ = Time::max();  // what becomes due from here on is noted
    if (self->options_.upkeep == PolicyOptions::Upkeep::off) {
      co_await rest(self, longest_pause);
      continue;
    }
    const store::DueBy by{self->now(), self->now() + farthest, most_rows};
    auto due = co_await self->parts_.policies.due(by);
    std::chrono::milliseconds pause = longest_pause;  // also when the database cannot be read: others tell of that
    if (due && !due->domains.empty()) {
      pause = shortest_pause;
      co_await look_at(self, std::move(due->domains));
    } else if (due && due->next) {
      pause = std::clamp<std::chrono::milliseconds>(*due->next - self->now(), shortest_pause, longest_pause);
    }
    co_await rest(self, pause);
  }
}

// Until then, or until something is due sooner; never shorter than the shortest pause.
awaitable<void> PolicyCache::Impl::rest(Self self, std::chrono::milliseconds pause) {
  const auto end = Steady::now() + pause;
  self->look_at_ = std::min<Time>(self->look_at_, self->now() + pause);
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, shortest_pause);
  co_await timer.async_wait(boost::asio::use_awaitable);
  while (self->now() < self->look_at_ && Steady::now() < end) {
    const auto until = std::min<Steady::time_point>(end, Steady::now() + (self->look_at_ - self->now()));
    co_await self->due_sooner_.wait_until(until);
  }
}

void PolicyCache::Impl::note_due(Time due) {
  if (due >= look_at_) return;
  look_at_ = due;
  due_sooner_.notify_all();
}

// All of these rows, a few at a time.
awaitable<void> PolicyCache::Impl::look_at(Self self, std::vector<dns::Name> domains) {
  struct Rest {
    std::vector<dns::Name> domains;
  };
  const auto rest = std::make_shared<Rest>();
  rest->domains = std::move(domains);
  std::reverse(rest->domains.begin(), rest->domains.end());
  const auto work = [](Self of, std::shared_ptr<Rest> from) -> awaitable<void> {
    while (!from->domains.empty()) {
      dns::Name domain = std::move(from->domains.back());
      from->domains.pop_back();
      co_await look_at_one(of, std::move(domain));
    }
  };
  net::TaskGroup tasks(co_await boost::asio::this_coro::executor, self->parts_.log);
  for (std::size_t i = 0; i < std::min(width, rest->domains.size()); ++i) tasks.spawn("sts-refresh", work(self, rest));
  co_await tasks.join(Steady::now() + patience);
  tasks.stop();
  co_await tasks.join(Steady::now() + last_words);
}

awaitable<void> PolicyCache::Impl::look_at_one(Self self, dns::Name domain) {
  const EntryPtr entry = co_await load(self, domain);
  if (self->flights_.find(domain) != nullptr) co_return;  // what comes of that counts
  const Time at = self->now();
  const auto& held = entry->row.freshness.held;
  if (entry->row.due > at && entry->row.due <= at + farthest) co_return;
  if (is_live(entry->row, at)) {
    co_await refresh_now(self, std::move(domain), Cause::schedule);
  } else if (held && entry->row.due <= mtasts::expires(*held)) {
    co_await expire(self, entry);
  } else {
    co_await forget(self, entry);
  }
}

awaitable<void> PolicyCache::Impl::expire(Self self, EntryPtr before) {
  auto entry = std::make_shared<Entry>(*before);
  PolicyEvent news = news_of(*entry);
  entry->row.due = *news.expires + keep_expired;
  const auto stored = co_await self->parts_.policies.update(entry->row);
  if (!stored) co_return;  // another time
  self->keep(entry);
  news.action = PolicyEvent::Action::expired;
  news.level = entry->policy.mode == mtasts::Mode::none ? Level::info : Level::warn;
  if (entry->row.problem)
    news.error = std::string(to_text(entry->row.problem->reason)) + ": " + entry->row.problem->text;
  self->tell(news);
}

awaitable<void> PolicyCache::Impl::forget(Self self, EntryPtr before) {
  const auto stored = co_await self->parts_.policies.remove(before->row.domain);
  if (!stored) co_return;
  auto entry = std::make_shared<Entry>();
  entry->row.domain = before->row.domain;
  self->keep(entry);
  if (!before->row.freshness.held) co_return;
  PolicyEvent news = news_of(*before);
  news.action = PolicyEvent::Action::removed;
  self->tell(news);
}

}  // namespace hoplock::route
