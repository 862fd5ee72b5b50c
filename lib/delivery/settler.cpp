// SPDX-License-Identifier: Apache-2.0
#include "delivery/settler.h"

#include <chrono>
#include <exception>
#include <utility>

#include "disk/db.h"
#include "reports/returned.h"
#include "statistics/store.h"
#include "store_sqlite/along.h"

namespace hoplock::delivery {

namespace asio = boost::asio;

namespace {
constexpr std::size_t most_unstored = 128;
constexpr std::chrono::seconds longest_unstored{1};  // a disk that hangs reports no error
constexpr std::chrono::seconds longest_wait{
    60};  // of a peer for the final dot; RFC 5321 section 4.5.3.2.5 gives it minutes
constexpr std::chrono::seconds try_again{1};
// With the results of the deliveries that they tell of.
store::AlongPtr written(reports::Counts counts) {
  const auto shared = std::make_shared<const reports::Counts>(std::move(counts));
  return store_sqlite::SqliteAlong::of([shared](disk::Tx& tx) -> Result<> {
    reports::add(tx, *shared);
    return {};
  });
}
store::AlongPtr written(statistics::Counts counts) {
  const auto shared = std::make_shared<const statistics::Counts>(std::move(counts));
  return store_sqlite::SqliteAlong::of([shared](disk::Tx& tx) -> Result<> {
    statistics::add(tx, *shared);
    return {};
  });
}
// Reports that came back, and what the ledger knows of them once it was told.
struct Returned {
  struct One {
    Ending::ReturnedReport report;
    std::optional<reports::Returned> known;
  };
  std::vector<One> all;
};
using ReturnedPtr = std::shared_ptr<Returned>;

store::AlongPtr given_up(ReturnedPtr returned) {
  return store_sqlite::SqliteAlong::of([returned](disk::Tx& tx) -> Result<> {
    for (Returned::One& one : returned->all) one.known = reports::give_up_mail(tx, one.report.id.value, one.report.why);
    return {};
  });
}

Event event_of(const Returned::One& one) {
  if (one.known) return reports::event_of(*one.known, one.report.why, one.report.id.text());
  Event event(Level::warn, "tlsrpt");
  event.add("action", "failed").add("rua", one.report.rua).add("error", one.report.why);
  event.add("id", one.report.id.text());
  return event;
}
}  // namespace

Settler::Ticket Settler::add(Ending ending) {
  waiting_.push_back(std::move(ending));
  unstored_since_.push_back(std::chrono::steady_clock::now());
  added_.notify_one();
  return ++added_last_;
}

asio::awaitable<void> Settler::stored(Ticket ticket) {
  while (stored_last_ < ticket && !ended_) co_await stored_.wait();
}

asio::awaitable<void> Settler::room() {
  while (is_behind() && !ended_) co_await stored_.wait();
}

asio::awaitable<bool> Settler::leave() {
  const auto until = std::chrono::steady_clock::now() + longest_wait;
  while (is_behind()) {
    if (ended_) co_return false;
    const net::Woken woken = co_await stored_.wait_until(until);
    if (woken == net::Woken::timed_out) co_return false;
  }
  co_return true;
}

bool Settler::is_behind() const {
  if (unstored_since_.size() >= most_unstored) return true;
  return !unstored_since_.empty() && std::chrono::steady_clock::now() - unstored_since_.front() > longest_unstored;
}

void Settler::end() {
  ended_ = true;
  added_.notify_all();
  stored_.notify_all();
  ending_.notify_all();
}

asio::awaitable<void> Settler::run() {
  for (;;) {
    while (waiting_.empty()) {
      if (ended_) co_return;
      co_await added_.wait();
    }
    std::vector<Ending> batch = std::exchange(waiting_, {});
    store::Results results;
    results.now = clock_();
    reports::Counts counts;
    statistics::Counts statistics;
    const auto returned = std::make_shared<Returned>();
    for (Ending& one : batch) {
      results.settled.push_back(std::move(one.settled));
      for (store::Notice& notice : one.notices) results.notices.push_back(std::move(notice));
      if (one.change) results.destinations.push_back(std::move(*one.change));
      counts.add(one.counts);
      statistics.add(std::move(one.statistics));
      for (auto& report : one.returned) returned->all.push_back({std::move(report), std::nullopt});
    }
    std::vector<Beside> beside;
    if (!counts.empty()) beside.push_back({Beside::Of::ledger, written(std::move(counts))});
    if (!statistics.empty()) beside.push_back({Beside::Of::statistics, written(std::move(statistics))});
    if (!returned->all.empty()) beside.push_back({Beside::Of::ledger, given_up(returned)});
    const bool good = co_await store(std::move(results), std::move(beside));
    if (!good) {
      const auto lost = static_cast<std::int64_t>(batch.size() + waiting_.size());
      log_.write(Event(Level::error, "results-lost").add("count", lost));  // what they tell of is tried again
    }
    for (const Ending& one : batch) {
      for (const Event& event : one.events) log_.write(event);
      for (const counted::Value& value : one.metrics) log_.count(value);
    }
    for (const Returned::One& one : returned->all) {
      log_.write(event_of(one));
      log_.count(counted::Report{"failed"});
    }
    if (!good) co_return;
    stored_last_ += batch.size();
    unstored_since_.erase(unstored_since_.begin(), unstored_since_.begin() + static_cast<std::ptrdiff_t>(batch.size()));
    stored_.notify_all();
  }
}

// False: given up, because the daemon ends and the store still fails.
asio::awaitable<bool> Settler::store(store::Results results, std::vector<Beside> beside) {
  for (;;) {
    store::Results copy = results;
    for (const Beside& one : beside) copy.along.push_back(one.write);
    auto applied = co_await apply(std::move(copy));
    const bool ours = !applied && !beside.empty() && !disk::is_unavailable(applied.error());
    if (ours) applied = co_await store_apart(results, beside);
    if (applied) {
      if (!stalled_) co_return true;
      stalled_ = false;
      log_.write(Event(Level::info, "store-recovered"));
      recovered_();
      co_return true;
    }
    if (!stalled_) log_.write(Event(Level::error, "store-failed").add("error", applied.error().detail));
    stalled_ = true;
    if (ended_) co_return false;
    co_await ending_.wait_until(std::chrono::steady_clock::now() + try_again);
  }
}

// Whatever is wrong with the ledger or the statistics, mail that was delivered is marked so: a report may lack sessions, but nobody gets mail
// twice.
asio::awaitable<Result<>> Settler::store_apart(store::Results results, const std::vector<Beside>& beside) {
  const Time at = results.now;
  auto applied = co_await apply(std::move(results));
  if (!applied) co_return applied;
  for (const Beside& one : beside) {
    store::Results alone;
    alone.now = at;
    alone.along.push_back(one.write);
    const auto noted = co_await apply(std::move(alone));
    if (!noted) tell_uncounted(one.of, noted.error().detail);
  }
  co_return applied;
}

void Settler::tell_uncounted(Beside::Of of, const std::string& why) const {
  if (of == Beside::Of::statistics) {
    const std::string what = "deliveries are not counted for hoplock audit: ";
    log_.write(Event(Level::error, "store-failed").add("error", what + why));
    return;
  }
  log_.write(Event(Level::error, "tlsrpt").add("action", "failed").add("error", "sessions are not counted: " + why));
  log_.count(counted::Report{"failed"});
}

asio::awaitable<Result<>> Settler::apply(store::Results results) {
  try {
    co_return co_await queue_.apply(std::move(results));
  } catch (const std::exception& error) {
    co_return fail(errc::state_not_recoverable, error.what());
  }
}

}  // namespace hoplock::delivery
