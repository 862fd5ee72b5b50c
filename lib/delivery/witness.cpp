// SPDX-License-Identifier: Apache-2.0
#include "delivery/witness.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hoplock::delivery {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::seconds patience{5};
}

WishPtr Wishes::ask(const dns::Name& domain) {
  auto wish = std::make_shared<Wish>();
  wish->wanted = router_.known_reporting(domain);
  if (!wish->wanted) tasks_.spawn("tlsrpt-record", find(router_, domain, wish));
  return wish;
}

asio::awaitable<void> Wishes::find(route::Router& router, dns::Name domain, WishPtr wish) {
  wish->wanted = co_await router.find_reporting(std::move(domain));
  wish->known.notify_all();
}

// False also once it is known that the domain wants nothing.
bool Witness::is_told(const hop::Facts& facts) const {
  const auto domain = tlsrpt::report_domain(facts);
  if (wishes_ == nullptr || !domain) return false;
  if (std::any_of(except_.begin(), except_.end(), [&](const auto& one) { return one.matches(*domain); })) return false;
  const auto asked = asked_.find(*domain);
  return asked == asked_.end() || asked->second->wanted.value_or(true);
}

void Witness::expect(const hop::Facts& facts) {
  if (!is_told(facts)) return;
  const auto domain = tlsrpt::report_domain(facts);
  if (!asked_.contains(*domain)) asked_.emplace(*domain, wishes_->ask(*domain));
}

void Witness::add(const hop::Facts& facts, Seen seen) {
  if (seen.session.empty()) return;
  expect(facts);
  seen.key.domain = tlsrpt::report_domain(facts).value();
  seen_.push_back(std::move(seen));
}

void Witness::saw(const Connection& connection) {
  if (!is_told(connection.question.facts)) return;
  Seen seen;
  seen.key.day = tlsrpt::day_of(connection.began);
  seen.session = tlsrpt::classify(connection.question, connection.plan, connection.outcome, connection.ends);
  add(connection.question.facts, std::move(seen));
}

void Witness::saw(const tlsrpt::Question& question, const hop::Refuse& refused, Time at) {
  if (!is_told(question.facts)) return;
  Seen seen;
  seen.key.day = tlsrpt::day_of(at);
  seen.session = tlsrpt::classify(question, refused);
  seen.refused = true;
  add(question.facts, std::move(seen));
}

void Witness::forget_sts_refusals() {
  std::erase_if(
      seen_, [](const Seen& one) { return one.refused && one.session.front().policy.type == tlsrpt::PolicyType::sts; });
}

bool Witness::waits() const {
  return std::any_of(seen_.begin(), seen_.end(),
                     [this](const Seen& one) { return !asked_.at(one.key.domain)->wanted.has_value(); });
}

asio::awaitable<void> Witness::wait() const {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (const Seen& seen : seen_) {
    const WishPtr wish = asked_.at(seen.key.domain);
    if (!wish->wanted && co_await wish->known.wait_until(deadline) == net::Woken::timed_out) co_return;
  }
}

store::LedgerCounts Witness::counts() const {
  store::LedgerCounts counts;
  for (const Seen& seen : seen_) {
    if (asked_.at(seen.key.domain)->wanted.value_or(false)) counts.add(seen.key, seen.session);
  }
  return counts;
}

}  // namespace hoplock::delivery
