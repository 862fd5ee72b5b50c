// SPDX-License-Identifier: Apache-2.0
// An address that is listened on as soon as it can be had: one that is not there yet (its network comes up later) or that somebody else
// holds is tried again until it works or is closed, and both are told once: `listener-failed`, `listener-works`.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "net/acceptor.h"
#include "net/condition.h"

namespace hoplock::net {

class Listening {
 public:
  // The error is one that no waiting mends: the system forbids the address. It names it.
  static Result<std::shared_ptr<Listening>> open(boost::asio::any_io_executor executor, Endpoint at);
  Listening(boost::asio::any_io_executor executor, Endpoint at) : executor_(std::move(executor)), at_(at) {}
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  // The next client; the error is operation_canceled after close(). One caller at a time.
  // REQUIRES: this and log outlive the call.
  boost::asio::awaitable<Result<Stream>> accept(Log& log);
  void close();
  // As bound; nothing while it cannot be had.
  std::optional<Endpoint> local() const { return acceptor_ ? std::optional(acceptor_->local()) : std::nullopt; }
  // Why it cannot be had; "": it works.
  const std::string& error() const { return error_; }

 private:
  boost::asio::awaitable<void> bind(Log& log);

  boost::asio::any_io_executor executor_;
  Endpoint at_;
  std::optional<Acceptor> acceptor_;
  std::string error_;
  Condition closing_;
  bool closed_ = false;
};

}  // namespace hoplock::net
