// SPDX-License-Identifier: Apache-2.0
#include "net/hearing.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "net/endpoint.h"

namespace hoplock::net {

namespace asio = boost::asio;
using asio::ip::udp;

namespace {

constexpr std::chrono::seconds repeat{1};
constexpr std::size_t most_per_wake = 16;  // datagrams of one address that are looked at before others have their turn

// Shared with the sockets' callbacks, which may come once more when the coroutine is gone.
class Asking : public std::enable_shared_from_this<Asking> {
 public:
  Asking(asio::any_io_executor executor, std::string question, std::function<bool(std::string_view)> is_answer)
      : executor_(std::move(executor)), question_(std::move(question)), is_answer_(std::move(is_answer)) {}

  // Connected sockets: the system takes datagrams of that address only, and tells who refuses.
  void add(const Endpoint& to) {
    const asio::ip::tcp::endpoint at = to_asio(to);
    udp::socket socket(executor_);
    error_code code;
    const udp::endpoint target(at.address(), at.port());
    socket.open(target.protocol(), code);
    if (!code) socket.non_blocking(true, code);
    if (!code) socket.connect(target, code);
    if (code) {
      refusal_ = code.message();
      return;
    }
    sockets_.push_back(std::move(socket));
  }
  void listen() {
    for (std::size_t i = 0; i < sockets_.size(); ++i) listen_to(i);
  }
  void ask() {
    for (udp::socket& one : sockets_) {
      error_code code;
      if (one.is_open()) one.send(asio::buffer(question_), 0, code);
      if (code && code != asio::error::would_block) close(one, code);
    }
  }
  void end() {
    error_code ignored;
    for (udp::socket& one : sockets_) one.close(ignored);
  }

  bool answered() const { return answered_; }
  bool is_over() const {
    return answered_ || std::none_of(sockets_.begin(), sockets_.end(), [](const auto& one) { return one.is_open(); });
  }
  const std::string& refusal() const { return refusal_; }
  Condition changed;

 private:
  void listen_to(std::size_t index) {
    sockets_[index].async_wait(udp::socket::wait_read, [self = shared_from_this(), index](error_code error) {
      if (!error) self->take(index);
    });
  }
  void take(std::size_t index) {
    udp::socket& socket = sockets_[index];
    std::array<char, 4096> room{};
    for (std::size_t i = 0; i < most_per_wake; ++i) {
      error_code code;
      const std::size_t octets = socket.receive(asio::buffer(room), 0, code);
      if (code == asio::error::would_block) break;
      if (code) return close(socket, code);
      answered_ = answered_ || is_answer_(std::string_view(room.data(), octets));
    }
    if (answered_) return changed.notify_all();
    listen_to(index);
  }
  void close(udp::socket& socket, error_code why) {
    refusal_ = why.message();
    error_code ignored;
    socket.close(ignored);
    changed.notify_all();
  }

  asio::any_io_executor executor_;
  std::string question_;
  std::function<bool(std::string_view)> is_answer_;
  std::vector<udp::socket> sockets_;
  bool answered_ = false;
  std::string refusal_;
};

}  // namespace

asio::awaitable<Hearing> hear(std::vector<Endpoint> to, std::string question,
                              std::function<bool(std::string_view)> is_answer, SteadyTime deadline) {
  auto executor = co_await asio::this_coro::executor;
  const auto asking = std::make_shared<Asking>(std::move(executor), std::move(question), std::move(is_answer));
  // also when this is cancelled: the callbacks keep `asking`, and a socket that nobody answers would listen for ever
  const struct Ending {
    Asking& asking;
    ~Ending() { asking.end(); }
  } ending{*asking};
  for (const Endpoint& one : to) asking->add(one);
  asking->listen();
  while (!asking->is_over() && std::chrono::steady_clock::now() < deadline) {
    asking->ask();
    const SteadyTime next = std::min<SteadyTime>(deadline, std::chrono::steady_clock::now() + repeat);
    while (!asking->is_over() && std::chrono::steady_clock::now() < next) co_await asking->changed.wait_until(next);
  }
  Hearing heard;
  heard.answered = asking->answered();
  const bool refused = !heard.answered && asking->is_over() && !asking->refusal().empty();
  heard.silence = heard.answered ? "" : refused ? asking->refusal() : "no answer";
  co_return heard;
}

}  // namespace hoplock::net
