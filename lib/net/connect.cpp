// SPDX-License-Identifier: Apache-2.0
#include "net/connect.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/endpoint.h"

namespace hoplock::net {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {
// What the timer's handler may still see when the coroutine is gone.
struct Dial {
  explicit Dial(const asio::any_io_executor& executor) : socket(executor), timer(executor) {}
  tcp::socket socket;
  asio::steady_timer timer;
  bool expired = false;
};

Result<> prepare(tcp::socket& socket, const tcp::endpoint& target, const std::optional<Ip>& source) {
  error_code code;
  socket.open(target.protocol(), code);
  if (code) return fail(code, "cannot open a socket: " + code.message());
  if (!source) return {};
  socket.bind(to_asio({*source, 0}), code);
  if (code) return fail(code, "cannot use the source address " + source->text() + ": " + code.message());
  return {};
}

void cut_off_at(const std::shared_ptr<Dial>& dial, SteadyTime deadline) {
  dial->timer.expires_at(deadline);
  dial->timer.async_wait([weak = std::weak_ptr<Dial>(dial)](error_code code) {
    const auto alive = weak.lock();
    if (code || !alive) return;
    alive->expired = true;
    alive->socket.cancel(code);
  });
}
}  // namespace

asio::awaitable<Result<Stream>> connect(Endpoint to, SteadyTime deadline, std::optional<Ip> source) {
  if (std::chrono::steady_clock::now() >= deadline) co_return fail(errc::timed_out, "connecting timed out");
  const auto dial = std::make_shared<Dial>(co_await asio::this_coro::executor);
  const tcp::endpoint target = to_asio(to);
  if (auto ready = prepare(dial->socket, target, source); !ready) co_return ready.error();
  cut_off_at(dial, deadline);
  const auto [code] = co_await dial->socket.async_connect(target, asio::as_tuple(asio::use_awaitable));
  dial->timer.cancel();
  if (dial->expired) co_return fail(errc::timed_out, "connecting timed out");
  if (code) co_return fail(code, code.message());
  Stream stream(std::move(dial->socket));
  stream.expires_at(deadline);
  co_return stream;
}

}  // namespace hoplock::net
