// SPDX-License-Identifier: Apache-2.0
// The templates behind Disk::run and Disk::post: a job with its function, its result and whoever waits for it.
#pragma once
#include <boost/asio/async_result.hpp>
#include <boost/asio/prefer.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "disk/disk.h"

namespace hoplock::disk {

template <class F, class R>
class FunctionJob : public Job {
 public:
  FunctionJob(Durability durability, std::size_t bytes, F function)
      : Job(durability, bytes), function_(std::move(function)) {}

  Outcome execute(Tx& tx) override {
    result_.reset();
    exception_ = nullptr;
    try {
      result_.emplace(function_(tx));
    } catch (const Failure& failure) {
      result_.emplace(failure.error());
    } catch (...) {
      exception_ = std::current_exception();
    }
    return result_ && *result_ ? Outcome::good : Outcome::failed;
  }
  void fail(const Error& error) override {
    exception_ = nullptr;
    result_.emplace(error);
  }
  std::optional<Error> error() const override {
    if (!result_ || *result_) return {};
    return result_->error();
  }
  void complete() override {}

 protected:
  F function_;
  std::optional<R> result_;
  std::exception_ptr exception_;
};

template <class F, class R>
class PostedJob final : public FunctionJob<F, R> {
 public:
  using FunctionJob<F, R>::FunctionJob;
  bool persists() const override { return true; }
  bool has_more() const override {
    if constexpr (std::is_same_v<R, Result<More>>)
      return this->result_ && *this->result_ && **this->result_ == More::yes;
    return false;
  }
};

template <class F, class R, class Handler>
class AwaitedJob final : public FunctionJob<F, R> {
 public:
  AwaitedJob(Durability durability, std::size_t bytes, F function, Handler handler, const asio::any_io_executor& loop)
      : FunctionJob<F, R>(durability, bytes, std::move(function)),
        handler_(std::move(handler)),
        work_(asio::prefer(loop, asio::execution::outstanding_work.tracked)) {}

  void complete() override {
    Handler handler(std::move(handler_));
    std::exception_ptr exception = std::exchange(this->exception_, nullptr);
    R result = exception ? R(fail_text()) : std::move(*this->result_);
    std::move(handler)(std::move(exception), std::move(result));
  }

 private:
  static Error fail_text() { return hoplock::fail(errc::state_not_recoverable, "the job threw"); }
  Handler handler_;
  asio::any_io_executor work_;  // keeps the loop running while someone waits
};

template <class F>
asio::awaitable<std::invoke_result_t<F&, Tx&>> Disk::run(Durability durability, std::size_t bytes, F job) {
  using R = std::invoke_result_t<F&, Tx&>;
  auto start = [this, durability, bytes](auto handler, F function) {
    using Awaited = AwaitedJob<F, R, std::decay_t<decltype(handler)>>;
    submit(std::make_unique<Awaited>(durability, bytes, std::move(function), std::move(handler), loop()));
  };
  return asio::async_initiate<const asio::use_awaitable_t<>&, void(std::exception_ptr, R)>(
      std::move(start), asio::use_awaitable, std::move(job));
}

template <class F>
void Disk::post(Durability durability, F job) {
  using R = std::invoke_result_t<F&, Tx&>;
  submit(std::make_unique<PostedJob<F, R>>(durability, 0, std::move(job)));
}

}  // namespace hoplock::disk
