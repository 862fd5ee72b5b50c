// SPDX-License-Identifier: Apache-2.0
#include "net/listening.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hoplock::net {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::milliseconds first_retry{250};
constexpr std::chrono::milliseconds last_retry{2000};
}  // namespace

Result<std::shared_ptr<Listening>> Listening::open(asio::any_io_executor executor, Endpoint at) {
  auto made = std::make_shared<Listening>(executor, at);
  auto acceptor = Acceptor::listen(executor, at);
  if (acceptor) {
    made->acceptor_.emplace(std::move(*acceptor));
    return made;
  }
  const auto& code = acceptor.error().code;
  if (code == errc::permission_denied || code == errc::operation_not_permitted) return acceptor.error();
  made->error_ = acceptor.error().detail;
  return made;
}

asio::awaitable<Result<Stream>> Listening::accept(Log& log) {
  if (!acceptor_) co_await bind(log);
  if (closed_) co_return fail(errc::operation_canceled, "the listener was closed");
  co_return co_await acceptor_->accept();
}

void Listening::close() {
  closed_ = true;
  closing_.notify_all();
  if (acceptor_) acceptor_->close();
}

asio::awaitable<void> Listening::bind(Log& log) {
  log.write(Event(Level::error, "listener-failed")
                .add("listener", at_.text())
                .add("error", error_ + "; it is tried again until it works"));
  for (auto pause = first_retry; !closed_; pause = std::min(pause * 2, last_retry)) {
    co_await closing_.wait_until(std::chrono::steady_clock::now() + pause);
    if (closed_) co_return;
    auto acceptor = Acceptor::listen(executor_, at_);
    if (!acceptor) {
      error_ = acceptor.error().detail;
      continue;
    }
    acceptor_.emplace(std::move(*acceptor));
    error_.clear();
    log.write(Event(Level::info, "listener-works").add("listener", at_.text()));
    co_return;
  }
}

}  // namespace hoplock::net
