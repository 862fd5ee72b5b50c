// SPDX-License-Identifier: Apache-2.0
#include "delivery/tlsrpt_sessions.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hoplock::delivery {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::seconds interest_timeout{5};
}

ReportInterestPtr ReportInterests::ask(const dns::Name& domain) {
  auto interest = std::make_shared<ReportInterest>();
  interest->wanted = router_.known_reporting(domain);
  if (!interest->wanted) tasks_.spawn("tlsrpt-record", find(router_, domain, interest));
  return interest;
}

asio::awaitable<void> ReportInterests::find(route::Router& router, dns::Name domain, ReportInterestPtr interest) {
  interest->wanted = co_await router.find_reporting(std::move(domain));
  interest->known.notify_all();
}

// False also once it is known that the domain wants nothing.
bool SessionRecorder::is_told(const hop::Facts& facts) const {
  const auto domain = tlsrpt::report_domain(facts);
  if (interests_ == nullptr || !domain) return false;
  if (std::any_of(except_.begin(), except_.end(), [&](const auto& one) { return one.matches(*domain); })) return false;
  const auto asked = asked_.find(*domain);
  return asked == asked_.end() || asked->second->wanted.value_or(true);
}

void SessionRecorder::expect(const hop::Facts& facts) {
  if (!is_told(facts)) return;
  const auto domain = tlsrpt::report_domain(facts);
  if (!asked_.contains(*domain)) asked_.emplace(*domain, interests_->ask(*domain));
}

void SessionRecorder::add(const hop::Facts& facts, Seen seen) {
  if (seen.session.empty()) return;
  expect(facts);
  seen.key.domain = tlsrpt::report_domain(facts).value();
  seen_.push_back(std::move(seen));
}

void SessionRecorder::record(const Connection& connection) {
  if (!is_told(connection.question.facts)) return;
  Seen seen;
  seen.key.day = tlsrpt::day_of(connection.began);
  seen.session = tlsrpt::classify(connection.question, connection.plan, connection.outcome, connection.ends);
  add(connection.question.facts, std::move(seen));
}

void SessionRecorder::record(const tlsrpt::Question& question, const hop::Refuse& refused, Time at) {
  if (!is_told(question.facts)) return;
  Seen seen;
  seen.key.day = tlsrpt::day_of(at);
  seen.session = tlsrpt::classify(question, refused);
  seen.refused = true;
  add(question.facts, std::move(seen));
}

void SessionRecorder::forget_sts_refusals() {
  std::erase_if(
      seen_, [](const Seen& one) { return one.refused && one.session.front().policy.type == tlsrpt::PolicyType::sts; });
}

bool SessionRecorder::waits() const {
  return std::any_of(seen_.begin(), seen_.end(),
                     [this](const Seen& one) { return !asked_.at(one.key.domain)->wanted.has_value(); });
}

asio::awaitable<void> SessionRecorder::wait() const {
  const auto deadline = std::chrono::steady_clock::now() + interest_timeout;
  for (const Seen& seen : seen_) {
    const ReportInterestPtr interest = asked_.at(seen.key.domain);
    if (!interest->wanted && co_await interest->known.wait_until(deadline) == net::Woken::timed_out) co_return;
  }
}

store::LedgerCounts SessionRecorder::counts() const {
  store::LedgerCounts counts;
  for (const Seen& seen : seen_) {
    if (asked_.at(seen.key.domain)->wanted.value_or(false)) counts.add(seen.key, seen.session);
  }
  return counts;
}

}  // namespace hoplock::delivery
