#include "delivery/settler.h"

#include <chrono>
#include <utility>

namespace hoplock::delivery {

namespace asio = boost::asio;

namespace {
constexpr std::size_t most_unstored = 64;
constexpr std::chrono::seconds try_again{1};
Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }
}  // namespace

void Settler::add(Finished finished) {
  waiting_.push_back(std::move(finished));
  added_.notify_one();
}

asio::awaitable<void> Settler::room() {
  while (waiting_.size() + storing_ >= most_unstored && !ended_) co_await stored_.wait();
}

void Settler::end() {
  ended_ = true;
  added_.notify_all();
  stored_.notify_all();
}

asio::awaitable<void> Settler::run() {
  for (;;) {
    while (waiting_.empty()) {
      if (ended_) co_return;
      co_await added_.wait();
    }
    std::vector<Finished> batch = std::exchange(waiting_, {});
    storing_ = batch.size();
    queue::Results results;
    results.now = now();
    for (auto& one : batch) {
      results.settled.push_back(std::move(one.settled));
      if (one.change) results.destinations.push_back(std::move(*one.change));
    }
    const bool stored = co_await store(std::move(results));
    storing_ = 0;
    for (const auto& one : batch) {
      for (const Event& event : one.events) log_.write(event);
    }
    stored_.notify_all();
    if (!stored) co_return;
  }
}

// False: given up, because the daemon ends and the store still fails.
asio::awaitable<bool> Settler::store(queue::Results results) {
  for (;;) {
    queue::Results copy = results;
    const auto applied = co_await queue_.apply(std::move(copy));
    if (applied) {
      if (stalled_) log_.write(Event(Level::info, "store-recovered"));
      stalled_ = false;
      co_return true;
    }
    if (!stalled_) log_.write(Event(Level::error, "store-failed").add("error", applied.error().detail));
    stalled_ = true;
    if (ended_) co_return false;
    co_await added_.wait_until(std::chrono::steady_clock::now() + try_again);
  }
}

}  // namespace hoplock::delivery
