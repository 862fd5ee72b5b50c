// SPDX-License-Identifier: Apache-2.0
#include "listener/refusals.h"

#include <chrono>
#include <utility>

#include "net/condition.h"

namespace hoplock::listener {

namespace asio = boost::asio;

void Refusals::tell(const Ip& client, const smtp::Reply& reply) {
  ++counts_.rejected;
  log_.count(counted::Rejected{reply.code});
  Minute& now = minute();
  if (now.lines >= most_lines) {
    ++now.left_out;
    return;
  }
  ++now.lines;
  log_.write(Event(Level::info, "rejected")
                 .add("client", client.text())
                 .add("code", std::int64_t{reply.code})
                 .add("reply", reply.one_line()));
}

bool Refusals::may_tell(const Ip& network) {
  Minute& now = minute();
  if (now.of_sessions >= most_of_sessions || now.of_networks[network] >= most_of_network) return false;
  ++now.of_sessions;
  ++now.of_networks[network];
  return true;
}

void Refusals::leave_out(std::int64_t count) { minute().left_out += count; }

Refusals::Minute& Refusals::minute() {
  if (!std::exchange(minute_->runs, true)) tasks_.spawn("refusals", close(minute_, log_));
  return *minute_;
}

asio::awaitable<void> Refusals::close(std::shared_ptr<Minute> minute, Log& log) {
  net::Condition over;
  co_await over.wait_until(std::chrono::steady_clock::now() + std::chrono::minutes(1));
  const std::int64_t left_out = std::exchange(*minute, {}).left_out;
  if (left_out > 0) log.write(Event(Level::info, "rejections").add("count", left_out));
}

asio::awaitable<void> Refusals::joined() { co_await tasks_.join(net::SteadyTime::max()); }

}  // namespace hoplock::listener
