// SPDX-License-Identifier: Apache-2.0
#include "delivery/result_committer.h"

#include <chrono>
#include <exception>
#include <utility>

#include "reports/returned.h"
#include "store/errors.h"

namespace hoplock::delivery {

namespace asio = boost::asio;

namespace {
constexpr std::size_t most_unstored = 128;
constexpr std::chrono::seconds longest_unstored{1};  // a disk that hangs reports no error
constexpr std::chrono::seconds longest_wait{
    60};  // of a peer for the final dot; RFC 5321 section 4.5.3.2.5 gives it minutes
constexpr std::chrono::seconds try_again{1};
Event event_of(const Settlement::ReturnedReport& report, const std::optional<store::ReturnedReport>& known) {
  if (known) return reports::event_of(*known, report.why, report.id.text());
  Event event(Level::warn, "tlsrpt");
  event.add("action", "failed").add("rua", report.rua).add("error", report.why);
  event.add("id", report.id.text());
  return event;
}

bool counts_something(const store::Results& results) {
  return results.sessions || !results.given_up.empty() || results.deliveries;
}
}  // namespace

ResultCommitter::Sequence ResultCommitter::add(Settlement settlement) {
  waiting_.push_back(std::move(settlement));
  uncommitted_since_.push_back(std::chrono::steady_clock::now());
  added_.notify_one();
  return ++added_last_;
}

asio::awaitable<void> ResultCommitter::wait_committed(Sequence sequence) {
  while (committed_last_ < sequence && !ended_) co_await committed_.wait();
}

asio::awaitable<void> ResultCommitter::wait_for_capacity() {
  while (is_behind() && !ended_) co_await committed_.wait();
}

asio::awaitable<bool> ResultCommitter::leave(std::int64_t term) {
  const auto until = std::chrono::steady_clock::now() + longest_wait;
  while (is_behind()) {
    if (ended_) co_return false;
    const net::Woken woken = co_await committed_.wait_until(until);
    if (woken == net::Woken::timed_out) co_return false;
  }
  co_return queue_.lease_term() == term;
}

bool ResultCommitter::is_behind() const {
  if (uncommitted_since_.size() >= most_unstored) return true;
  return !uncommitted_since_.empty() &&
         std::chrono::steady_clock::now() - uncommitted_since_.front() > longest_unstored;
}

void ResultCommitter::end() {
  ended_ = true;
  added_.notify_all();
  committed_.notify_all();
  ending_.notify_all();
}

asio::awaitable<void> ResultCommitter::run() {
  for (;;) {
    while (waiting_.empty()) {
      if (ended_) co_return;
      co_await added_.wait();
    }
    std::vector<Settlement> batch = std::exchange(waiting_, {});
    store::Results results;
    results.now = clock_();
    store::LedgerCounts sessions;
    statistics::Counts statistics;
    std::vector<Settlement::ReturnedReport> returned;
    for (Settlement& one : batch) {
      results.settled.push_back(std::move(one.settled));
      for (store::Notice& notice : one.notices) results.notices.push_back(std::move(notice));
      if (one.change) results.destinations.push_back(std::move(*one.change));
      sessions.add(one.counts);
      statistics.add(std::move(one.statistics));
      for (auto& report : one.returned) {
        results.given_up.push_back({report.id, report.why});
        returned.push_back(std::move(report));
      }
    }
    if (!sessions.empty()) results.sessions = std::make_shared<const store::LedgerCounts>(std::move(sessions));
    if (!statistics.empty()) results.deliveries = std::make_shared<const statistics::Counts>(std::move(statistics));
    auto stored = co_await store(std::move(results));
    const bool good = stored.has_value();
    if (good) stored->resize(returned.size());
    if (!good) {
      const auto lost = static_cast<std::int64_t>(batch.size() + waiting_.size());
      log_.write(Event(Level::error, "results-lost").add("count", lost));  // what they tell of is tried again
    }
    for (const Settlement& one : batch) {
      for (const Event& event : one.events) log_.write(event);
      for (const counted::Value& value : one.metrics) log_.count(value);
    }
    for (std::size_t i = 0; i < returned.size(); ++i) {
      log_.write(event_of(returned[i], good ? (*stored)[i] : std::nullopt));
      log_.count(counted::Report{"failed"});
    }
    if (!good) co_return;
    committed_last_ += batch.size();
    uncommitted_since_.erase(uncommitted_since_.begin(),
                             uncommitted_since_.begin() + static_cast<std::ptrdiff_t>(batch.size()));
    committed_.notify_all();
  }
}

// Nothing: given up, because the daemon ends and the store still fails.
asio::awaitable<std::optional<ResultCommitter::GivenUp>> ResultCommitter::store(store::Results results) {
  for (;;) {
    store::Results copy = results;
    auto applied = co_await apply(std::move(copy));
    const bool ours = !applied && counts_something(results) && !store::is_unavailable(applied.error());
    if (ours) applied = co_await store_apart(results);
    if (applied) {
      if (!stalled_) co_return std::move(*applied);
      stalled_ = false;
      log_.write(Event(Level::info, "store-recovered"));
      recovered_();
      co_return std::move(*applied);
    }
    if (!stalled_) log_.write(Event(Level::error, "store-failed").add("error", applied.error().detail));
    stalled_ = true;
    if (ended_) co_return std::nullopt;
    co_await ending_.wait_until(std::chrono::steady_clock::now() + try_again);
  }
}

// Whatever is wrong with the ledger or the statistics, mail that was delivered is marked so: a report may lack sessions, but nobody gets mail
// twice.
asio::awaitable<Result<ResultCommitter::GivenUp>> ResultCommitter::store_apart(store::Results results) {
  store::Results sessions, deliveries, given_up;
  sessions.now = deliveries.now = given_up.now = results.now;
  sessions.sessions = std::exchange(results.sessions, {});
  deliveries.deliveries = std::exchange(results.deliveries, {});
  given_up.given_up = std::exchange(results.given_up, {});
  auto applied = co_await apply(std::move(results));
  if (!applied) co_return applied;
  if (counts_something(sessions)) {
    const auto noted = co_await apply(std::move(sessions));
    if (!noted) tell_uncounted(Of::ledger, noted.error().detail);
  }
  if (counts_something(deliveries)) {
    const auto noted = co_await apply(std::move(deliveries));
    if (!noted) tell_uncounted(Of::statistics, noted.error().detail);
  }
  if (counts_something(given_up)) {
    auto noted = co_await apply(std::move(given_up));
    if (!noted) tell_uncounted(Of::ledger, noted.error().detail);
    if (noted) co_return noted;
  }
  co_return applied;
}

void ResultCommitter::tell_uncounted(Of of, const std::string& why) const {
  if (of == Of::statistics) {
    const std::string what = "deliveries are not counted for hoplock audit: ";
    log_.write(Event(Level::error, "store-failed").add("error", what + why));
    return;
  }
  log_.write(Event(Level::error, "tlsrpt").add("action", "failed").add("error", "sessions are not counted: " + why));
  log_.count(counted::Report{"failed"});
}

asio::awaitable<Result<ResultCommitter::GivenUp>> ResultCommitter::apply(store::Results results) {
  try {
    co_return co_await queue_.apply(std::move(results));
  } catch (const std::exception& error) {
    co_return fail(errc::state_not_recoverable, error.what());
  }
}

}  // namespace hoplock::delivery
