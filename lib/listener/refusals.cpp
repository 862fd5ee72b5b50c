// SPDX-License-Identifier: Apache-2.0
#include "listener/refusals.h"

#include <chrono>
#include <utility>

#include "net/signal.h"

namespace hoplock::listener {

namespace asio = boost::asio;

void Refusals::tell(const Ip& client, const smtp::Reply& reply) {
  ++counts_.rejected;
  if (minute_->lines == 0) tasks_.spawn("refusals", close(minute_, log_));
  if (minute_->lines >= most_lines) {
    ++minute_->left_out;
    return;
  }
  ++minute_->lines;
  log_.write(Event(Level::info, "rejected")
                 .add("client", client.text())
                 .add("code", std::int64_t{reply.code})
                 .add("reply", reply.one_line()));
  log_.count(counted::Rejected{reply.code});
}

asio::awaitable<void> Refusals::close(std::shared_ptr<Minute> minute, Log& log) {
  net::Signal over;
  co_await over.wait_until(std::chrono::steady_clock::now() + std::chrono::minutes(1));
  minute->lines = 0;
  const std::int64_t left_out = std::exchange(minute->left_out, 0);
  if (left_out > 0) log.write(Event(Level::info, "rejections").add("count", left_out));
}

asio::awaitable<void> Refusals::joined() { co_await tasks_.join(net::SteadyTime::max()); }

}  // namespace hoplock::listener
