// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "net/connection.h"

namespace hoplock::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::steady_clock;

namespace {
constexpr auto linger = std::chrono::seconds(2);
constexpr std::size_t most_thrown_away = 1 << 20;
}  // namespace

void SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Stream::Stream(asio::generic::stream_protocol::socket socket)
    : connection_(std::make_shared<Connection>(std::move(socket))) {}
Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  if (connection_) connection_->close();
  connection_ = std::move(other.connection_);
  return *this;
}

Stream::~Stream() {
  if (connection_) connection_->close();
}

void Stream::expires_at(SteadyTime deadline) { connection_->set_deadline(deadline); }

void Stream::no_later_than(SteadyTime limit) { connection_->set_limit(limit); }

void Stream::expires_after(steady_clock::duration duration) { expires_at(steady_clock::now() + duration); }

asio::awaitable<Result<std::size_t>> Stream::read_some(std::span<char> into) {
  Connection& connection = *connection_;
  if (auto ready = connection.check(); !ready) co_return ready.error();
  if (!connection.ssl) co_return co_await connection.read_plain(into);
  if (connection.is_greedy()) co_await asio::post(connection.socket.get_executor(), asio::use_awaitable);
  for (;;) {
    const auto attempt = connection.try_read_tls(into);
    if (attempt.kind == Connection::Attempt::Kind::done) co_return attempt.octets;
    if (attempt.kind == Connection::Attempt::Kind::failed) co_return attempt.error;
    if (auto waited = co_await connection.wait_for(attempt.kind); !waited) co_return waited.error();
  }
}

Result<std::size_t> Stream::read_now(std::span<char> into) {
  Connection& connection = *connection_;
  if (auto ready = connection.check(); !ready) return ready.error();
  const auto attempt = connection.ssl ? connection.try_read_tls(into) : connection.try_read_plain(into);
  if (attempt.kind == Connection::Attempt::Kind::failed) return attempt.error;
  return attempt.octets;
}

asio::awaitable<Result<>> Stream::write(std::string_view first, std::string_view second, std::string_view third) {
  Connection& connection = *connection_;
  if (auto ready = connection.check(); !ready) co_return ready.error();
  Pieces pieces(first, second, third);
  while (!pieces.empty()) {
    const auto attempt = connection.try_write(pieces);
    if (attempt.kind == Connection::Attempt::Kind::done) continue;
    if (attempt.kind == Connection::Attempt::Kind::failed) co_return attempt.error;
    if (auto waited = co_await connection.wait_for(attempt.kind); !waited) co_return waited.error();
  }
  co_return Result<>();
}

bool Stream::has_unread_input() const {
  error_code ignored;
  return connection_->socket.available(ignored) > 0;
}

asio::awaitable<Result<>> Stream::start_tls(SslHandle ssl) {
  Connection& connection = *connection_;
  if (auto ready = connection.check(); !ready) co_return ready.error();
  if (auto attached = connection.attach(std::move(ssl)); !attached) co_return attached.error();
  for (;;) {
    const auto attempt = connection.try_handshake();
    if (attempt.kind == Connection::Attempt::Kind::done) break;
    if (attempt.kind == Connection::Attempt::Kind::failed) co_return attempt.error;
    if (auto waited = co_await connection.wait_for(attempt.kind); !waited) co_return waited.error();
  }
  connection.secured = true;
  co_return Result<>();
}

asio::awaitable<void> Stream::shutdown() {
  Connection& connection = *connection_;
  if (!connection.socket.is_open()) co_return;
  connection.set_deadline(std::min(connection.deadline(), steady_clock::now() + linger));
  auto notified = connection.try_close_notify();
  while (notified.kind == Connection::Attempt::Kind::want_write) {
    if (auto waited = co_await connection.wait_for(notified.kind); !waited) break;
    notified = connection.try_close_notify();
  }
  error_code ignored;
  connection.socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::array<char, 512> waste;
  for (std::size_t total = 0; total < most_thrown_away;) {
    if (!connection.check()) break;
    const auto octets = co_await connection.read_plain(waste);
    if (!octets) break;
    total += *octets;
  }
  connection.broken = true;  // its close_notify is sent
  connection.close();
}

void Stream::close() { connection_->close(); }

bool Stream::is_open() const { return connection_->socket.is_open(); }

const Endpoint& Stream::local() const { return connection_->local; }

const Endpoint& Stream::peer() const { return connection_->peer; }

std::optional<TlsInfo> Stream::tls() const {
  if (!connection_->secured) return std::nullopt;
  const SSL* ssl = connection_->ssl.get();
  return TlsInfo{SSL_get_version(ssl), SSL_get_cipher_name(ssl), SSL_get_cipher_bits(ssl, nullptr)};
}

ssl_st* Stream::ssl() const { return connection_->ssl.get(); }

bool is_end_of_stream(const Error& error) {
  return error.code == asio::error::eof || error.code == asio::ssl::error::stream_truncated ||
         error.code == errc::connection_reset || error.code == errc::broken_pipe;
}

}  // namespace hoplock::net
