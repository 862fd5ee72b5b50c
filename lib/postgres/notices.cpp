// SPDX-License-Identifier: Apache-2.0
#include "postgres/notices.h"

#include <algorithm>
#include <utility>

#include "postgres/pause.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t most_untold = 64;
constexpr std::size_t most_at_once = 10;  // and these no oftener than each second
constexpr Milliseconds between{1'000};
constexpr Milliseconds notice_retry{1'000};
constexpr std::size_t longest = 7'000;  // the server takes 8,000 octets

}  // namespace

void Notices::notify(std::string payload) {
  const bool known = std::find(untold_.begin(), untold_.end(), payload) != untold_.end();
  if (known || untold_.size() >= most_untold || payload.size() > longest) return;
  untold_.push_back(std::move(payload));
  if (connection_) connection_->nudge();
}

asio::awaitable<bool> Notices::connected() {
  if (connection_ && connection_->is_open()) co_return true;
  connection_.reset();
  auto made = co_await Connection::open(shared_, Use::read_write, "hoplock notices");
  if (!made) co_return false;
  connection_ = std::move(*made);
  Batch batch(1, statement("LISTEN hoplock"));
  const auto listening = co_await connection_->run(std::move(batch), steady_clock::now() + shared_.options.deadline);
  co_return listening.has_value();
}

asio::awaitable<void> Notices::tell() {
  Batch batch;
  for (; batch.size() < most_at_once && !untold_.empty(); untold_.pop_front())
    batch.push_back(statement("SELECT pg_notify('hoplock', $1)", untold_.front()));
  told_ = steady_clock::now();
  co_await connection_->run(std::move(batch), told_ + shared_.options.deadline);
}

asio::awaitable<void> Notices::work() {
  for (;;) {
    const bool there = co_await connected();
    if (!there) {
      co_await pause(notice_retry);
      continue;
    }
    if (!untold_.empty() && steady_clock::now() >= told_ + between) co_await tell();
    const auto until = untold_.empty() ? net::SteadyTime::max() : told_ + between;
    const auto payloads = co_await connection_->listen(until);
    for (const std::string& one : payloads)
      if (call_) call_(one);
  }
}

}  // namespace hoplock::postgres
