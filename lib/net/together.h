// Two waits side by side: both results, or the exception of either, which cancels the other.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <tuple>
#include <utility>

namespace hoplock::net {

template <class A, class B>
boost::asio::awaitable<std::tuple<A, B>> together(boost::asio::awaitable<A> first, boost::asio::awaitable<B> second) {
  using boost::asio::experimental::awaitable_operators::operator&&;
  co_return co_await (std::move(first) && std::move(second));
}

}  // namespace hoplock::net
