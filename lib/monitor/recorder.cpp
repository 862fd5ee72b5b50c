// SPDX-License-Identifier: Apache-2.0
#include "monitor/recorder.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <memory>

namespace hoplock::monitor {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds patience{20};      // for what waits; a million messages take seconds
constexpr std::chrono::milliseconds behind{200};  // the minute's beginning

std::chrono::milliseconds to_next_minute(Time at) {
  return std::chrono::floor<std::chrono::minutes>(at) + std::chrono::minutes{1} - at + behind;
}

statistics::Waiting waiting_in(const Survey& survey) {
  statistics::Waiting waiting;
  waiting.messages = survey.queue.messages;
  if (survey.queue.oldest)
    waiting.oldest = std::max(Seconds{0}, std::chrono::floor<Seconds>(survey.taken - *survey.queue.oldest));
  return waiting;
}

}  // namespace

asio::awaitable<void> Recorder::run() {
  asio::steady_timer minute(executor_);
  for (;;) {
    minute.expires_after(to_next_minute(clock_()));
    co_await minute.async_wait(asio::use_awaitable);
    co_await round();
  }
}

asio::awaitable<void> Recorder::round() {
  const auto survey = co_await surveyor_.look(patience);
  if (survey && survey->error.empty() && survey->taken + std::chrono::minutes{2} > clock_())
    log_.tally().look(waiting_in(*survey), clock_());
  const auto minutes = std::make_shared<const statistics::Tally::Minutes>(log_.tally().take());
  if (minutes->empty()) co_return;
  const auto written = co_await kept_.write(minutes);
  if (!written) log_.tally().put_back(*minutes);
  const auto tended = co_await kept_.tend();
  std::string complaint;
  if (!written) complaint = "the status page's figures: " + written.error().detail;
  if (written && !tended) complaint = "the rows for hoplock audit: " + tended.error().detail;
  if (!complaint.empty() && complaint != told_) log_.write(Event(Level::warn, "store-failed").add("error", complaint));
  told_ = complaint;
}

void Recorder::end() {
  const auto minutes = std::make_shared<const statistics::Tally::Minutes>(log_.tally().take());
  if (minutes->empty()) return;
  kept_.write_later(minutes);
}

}  // namespace hoplock::monitor
