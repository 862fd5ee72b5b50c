// SPDX-License-Identifier: Apache-2.0
// Two waits side by side: both results, or the exception that came first, which cancels the other. Whoever waits for both and is
// cancelled gets operation_aborted, as from a single wait; Asio's own && would throw a multiple_exceptions then.
#pragma once
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace hoplock::net {

namespace detail {
inline void rethrow_earlier(const std::array<std::size_t, 2>& order, const std::exception_ptr& first,
                            const std::exception_ptr& second) {
  const auto& [earlier, later] = order[0] == 0 ? std::tie(first, second) : std::tie(second, first);
  if (earlier) std::rethrow_exception(earlier);
  if (later) std::rethrow_exception(later);
}
}  // namespace detail

template <class A, class B>
requires(!std::is_void_v<B>) boost::asio::awaitable<std::tuple<A, B>> when_all(boost::asio::awaitable<A> first,
                                                                               boost::asio::awaitable<B> second) {
  using namespace boost::asio::experimental;
  const auto executor = co_await boost::asio::this_coro::executor;
  auto a = boost::asio::co_spawn(executor, std::move(first), boost::asio::deferred);
  auto b = boost::asio::co_spawn(executor, std::move(second), boost::asio::deferred);
  auto group = make_parallel_group(std::move(a), std::move(b));
  auto [order, failed, value, other_failed, other] =
      co_await group.async_wait(wait_for_one_error(), boost::asio::deferred);
  detail::rethrow_earlier(order, failed, other_failed);
  co_return std::tuple<A, B>(std::move(value), std::move(other));
}

// The second brings nothing: the first's result, once both have ended.
template <class A>
boost::asio::awaitable<A> when_all(boost::asio::awaitable<A> first, boost::asio::awaitable<void> second) {
  using namespace boost::asio::experimental;
  const auto executor = co_await boost::asio::this_coro::executor;
  auto a = boost::asio::co_spawn(executor, std::move(first), boost::asio::deferred);
  auto b = boost::asio::co_spawn(executor, std::move(second), boost::asio::deferred);
  auto group = make_parallel_group(std::move(a), std::move(b));
  auto [order, failed, value, other_failed] = co_await group.async_wait(wait_for_one_error(), boost::asio::deferred);
  detail::rethrow_earlier(order, failed, other_failed);
  co_return std::move(value);
}

}  // namespace hoplock::net
