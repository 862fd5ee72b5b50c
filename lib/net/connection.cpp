// SPDX-License-Identifier: Apache-2.0
#include "net/connection.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

#include "net/endpoint.h"
#include "net/openssl_error.h"
#include "net/tls_limits.h"

namespace hoplock::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using Kind = Connection::Attempt::Kind;

namespace {
constexpr std::uint8_t immediate_reads_in_a_row = 16;
constexpr std::size_t tls_record = 16384;
// Read in one call of OpenSSL: a record of the largest kind, or a part of a handshake's flight.
constexpr std::size_t allowance_for_data = 20 * 1024;
constexpr std::size_t allowance_in_handshake = 4096;
// Session tickets and new keys (RFC 8446 section 4.6) are few: honest peers send a handful, and a new key after gigabytes.
constexpr std::uint64_t most_messages = 64;
constexpr std::uint64_t data_per_message = 64 * 1024;  // … and one more for so much data

error_code system_code(int error) { return {error, boost::system::system_category()}; }

Error system_error(int error) {
  const error_code code = system_code(error);
  return fail(code, code.message());
}
}  // namespace

void Pieces::consume(std::size_t octets) {
  for (auto& piece : pieces_) {
    const std::size_t part = std::min(octets, piece.size());
    piece.remove_prefix(part);
    octets -= part;
  }
}

std::string_view Pieces::front(std::span<char> room) const {
  const auto first = std::find_if(pieces_.begin(), pieces_.end(), [](std::string_view p) { return !p.empty(); });
  const bool alone = std::all_of(first + 1, pieces_.end(), [](std::string_view p) { return p.empty(); });
  if (alone || first->size() >= room.size()) return *first;
  std::size_t filled = 0;
  for (auto piece = first; piece != pieces_.end(); ++piece) {
    filled += piece->copy(room.data() + filled, room.size() - filled);
  }
  return {room.data(), filled};
}

// While it lives an operation waits, and the deadline timer watches over it.
class Connection::Waiting {
 public:
  explicit Waiting(Connection& connection) : connection_(connection) {
    connection_.waiting_ = true;
    connection_.expired_ = false;
    connection_.arm();
  }
  ~Waiting() { connection_.waiting_ = false; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Connection& connection_;
};

Connection::Connection(asio::generic::stream_protocol::socket connected)
    : socket(std::move(connected)), timer_(socket.get_executor()) {
  error_code ignored;  // a peer that has left already is found by the first read
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  local = from_asio(socket.local_endpoint(ignored));
  peer = from_asio(socket.remote_endpoint(ignored));
  wire.fd = socket.native_handle();
}

void Connection::set_deadline(SteadyTime time) {
  deadline_ = std::min(time, limit_);
  if (waiting_) arm();
}

void Connection::arm() {
  if (deadline_ >= armed_) return;  // when the timer fires it looks again
  armed_ = deadline_;
  timer_.expires_at(armed_);
  timer_.async_wait([weak = weak_from_this()](error_code code) {
    const auto alive = weak.lock();
    if (!code && alive) alive->on_timer();
  });
}

void Connection::on_timer() {
  armed_ = SteadyTime::max();
  if (!waiting_) return;
  if (std::chrono::steady_clock::now() < deadline_) return arm();
  expired_ = true;
  error_code ignored;
  socket.cancel(ignored);
}

Result<> Connection::check() const {
  if (!socket.is_open()) return fail(errc::operation_canceled, "the connection was closed");
  if (deadline_ == SteadyTime::max() || std::chrono::steady_clock::now() < deadline_) return {};
  return fail(errc::timed_out, "timed out");
}

Error Connection::wait_error(const error_code& code) const {
  if (expired_) return fail(errc::timed_out, "timed out");
  if (!socket.is_open()) return fail(errc::operation_canceled, "the connection was closed");
  if (code == asio::error::eof) return fail(code, "the peer closed the connection");
  return fail(code, code.message());
}

asio::awaitable<Result<>> Connection::wait_for(Kind want) {
  if (want == Kind::want_turn) {
    co_await asio::post(socket.get_executor(), asio::use_awaitable);
    co_return check();
  }
  const Waiting waiting(*this);
  immediate_reads_ = 0;
  const auto type = want == Kind::want_read ? tcp::socket::wait_read : tcp::socket::wait_write;
  const auto [code] = co_await socket.async_wait(type, asio::as_tuple(asio::use_awaitable));
  if (code || expired_) co_return wait_error(code);
  co_return Result<>();
}

asio::awaitable<Result<std::size_t>> Connection::read_plain(std::span<char> into) {
  const Waiting waiting(*this);
  const auto buffer = asio::buffer(into.data(), into.size());
  const auto [code, octets] = co_await socket.async_read_some(buffer, asio::as_tuple(asio::use_awaitable));
  if (code) co_return wait_error(code);
  co_return octets;
}

bool Connection::is_greedy() {
  if (++immediate_reads_ < immediate_reads_in_a_row) return false;
  immediate_reads_ = 0;
  return true;
}

Result<> Connection::attach(SslHandle session) {
  BIO* bio = make_wire_bio(&wire);
  if (bio == nullptr) return fail(errc::not_enough_memory, "out of memory");
  SSL_set_bio(session.get(), bio, bio);
  SSL_set_msg_callback(session.get(), count_message);
  SSL_set_msg_callback_arg(session.get(), this);
  ssl = std::move(session);
  return {};
}

// OpenSSL's message callback. TLS-15: messages among data, too, cost more than they should only so many times.
void Connection::count_message(int written, int /*version*/, int type, const void* /*octets*/, std::size_t /*size*/,
                               SSL* /*ssl*/, void* connection) {
  auto& self = *static_cast<Connection*>(connection);
  if (written != 0 || !self.secured || (type != SSL3_RT_HANDSHAKE && type != SSL3_RT_ALERT)) return;
  if (++self.messages_ > most_messages + self.data_ / data_per_message) {
    self.wire.refused = "the peer sends TLS messages without end";
  }
}

void Connection::begin() {
  ERR_clear_error();
  wire.allowance = secured ? allowance_for_data : allowance_in_handshake;
  wire.paused = false;
}

Connection::Attempt Connection::try_write_plain(Pieces& pieces) {
  std::array<iovec, 3> vectors{};
  std::size_t count = 0;
  for (const auto& piece : pieces.all()) {
    if (!piece.empty()) vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(wire.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    pieces.consume(static_cast<std::size_t>(sent));
    return {Kind::done, static_cast<std::size_t>(sent), {}};
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Kind::want_write, 0, {}};
  return {Kind::failed, 0, system_error(errno)};
}

Connection::Attempt Connection::try_write_tls(Pieces& pieces) {
  std::array<char, tls_record> room;  // one record for small pieces; a repeated try gathers the same octets again
  const std::string_view chunk = pieces.front(room);
  begin();
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl.get(), chunk.data(), chunk.size(), &written);
  if (result != 1) return explain(result);
  pieces.consume(written);
  return {Kind::done, written, {}};
}

Connection::Attempt Connection::try_read_tls(std::span<char> into) {
  begin();
  std::size_t octets = 0;
  const int result = SSL_read_ex(ssl.get(), into.data(), into.size(), &octets);
  if (result != 1) return explain(result);
  wire.silence = 0;
  data_ += octets;
  return {Kind::done, octets, {}};
}

Connection::Attempt Connection::try_read_plain(std::span<char> into) {
  ssize_t got = -1;
  do {
    got = ::recv(wire.fd, into.data(), into.size(), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got > 0) return {Kind::done, static_cast<std::size_t>(got), {}};
  if (got == 0) return {Kind::failed, 0, fail(asio::error::eof, "the peer closed the connection")};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Kind::want_read, 0, {}};
  return {Kind::failed, 0, system_error(errno)};
}

Connection::Attempt Connection::try_handshake() {
  begin();
  const int result = SSL_do_handshake(ssl.get());
  if (result != 1) return explain(result);
  return {Kind::done, 0, {}};
}

Connection::Attempt Connection::try_close_notify() {
  if (!ssl || !secured || broken) return {Kind::done, 0, {}};
  begin();
  const int result = SSL_shutdown(ssl.get());
  if (result < 0) return explain(result);
  return {Kind::done, 0, {}};
}

Connection::Attempt Connection::explain(int result) {
  const int reason = SSL_get_error(ssl.get(), result);
  if (reason == SSL_ERROR_WANT_READ) return {wire.paused ? Kind::want_turn : Kind::want_read, 0, {}};
  if (reason == SSL_ERROR_WANT_WRITE) return {Kind::want_write, 0, {}};
  if (reason != SSL_ERROR_ZERO_RETURN) broken = true;
  return {Kind::failed, 0, tls_error(reason)};
}

Error Connection::tls_error(int reason) {
  const std::string text = take_openssl_error();
  if (reason == SSL_ERROR_ZERO_RETURN) return fail(asio::error::eof, "the peer closed the connection");
  if (const char* why = wire.refused != nullptr ? wire.refused : refusal(ssl.get()); why != nullptr) {
    return fail(errc::protocol_error, why);
  }
  const int error = std::exchange(wire.error, 0);
  // an end comes first: OpenSSL may then have failed to write an alert
  if (!wire.ended && error != 0) return system_error(error);
  if (wire.ended) return fail(asio::ssl::error::stream_truncated, "the connection ended without TLS close_notify");
  return fail(errc::protocol_error, text);
}

void Connection::close() {
  if (!socket.is_open()) return;
  try_close_notify();
  error_code ignored;
  socket.close(ignored);
  timer_.cancel();
}

}  // namespace hoplock::net
