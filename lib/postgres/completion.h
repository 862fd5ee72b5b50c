// SPDX-License-Identifier: Apache-2.0
// For its own sources: whoever waits for a result, of any kind. It keeps the loop running, is not cancelled, and goes on in a turn of its own.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

namespace hoplock::postgres {

namespace asio = boost::asio;

template <class T>
class Completion {
 public:
  Completion() = default;
  template <class Handler>
  Completion(const asio::any_io_executor& loop, Handler handler)
      : waiter_(std::make_unique<Waiter<Handler>>(loop, std::move(handler))) {}
  // Once; nothing happens without somebody who waits.
  void operator()(T result) {
    if (auto waiter = std::exchange(waiter_, nullptr)) waiter->complete(std::move(result));
  }
  explicit operator bool() const { return waiter_ != nullptr; }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void complete(T result) = 0;
  };
  template <class Handler>
  struct Waiter final : Base {
    Waiter(const asio::any_io_executor& on, Handler what)
        : loop(asio::prefer(on, asio::execution::outstanding_work.tracked)), handler(std::move(what)) {}
    void complete(T result) override {
      asio::post(loop, [call = std::move(handler), value = std::move(result)]() mutable {
        std::move(call)(std::move(value));
      });
    }
    asio::any_io_executor loop;
    Handler handler;
  };
  std::unique_ptr<Base> waiter_;
};

// Waits until what `start` was given is called.
template <class T, class Start>
asio::awaitable<T> completed(asio::any_io_executor loop, Start start) {
  auto begin = [loop](auto handler, Start with) { with(Completion<T>(loop, std::move(handler))); };
  return asio::async_initiate<const asio::use_awaitable_t<>&, void(T)>(std::move(begin), asio::use_awaitable,
                                                                       std::move(start));
}

}  // namespace hoplock::postgres
