// SPDX-License-Identifier: Apache-2.0
// One connection that we own, TCP or a Unix socket, in clear or inside TLS (either role), with one deadline. OpenSSL works directly on
// the socket: no buffers of ours in between, and none of OpenSSL's while the session is idle. SMTP is not known here.
//
// One operation at a time. Errors that callers branch on, in Error::code:
//   asio::error::eof                     the peer ended the stream in order (in TLS: with close_notify)
//   asio::ssl::error::stream_truncated   in TLS: the connection ended without close_notify
//   errc::timed_out                      the deadline passed; the stream can still be used under a later deadline
//   errc::operation_canceled             the task was cancelled, or close() was called meanwhile
//   errc::protocol_error                 TLS broke; `detail` says how
//   errc::connection_reset, broken_pipe  and whatever else the system says
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"
#include "net/condition.h"
#include "net/options.h"

struct ssl_st;

namespace hoplock::net {

// What was negotiated.
struct TlsInfo {
  std::string version;  // "TLSv1.3"
  std::string cipher;   // "TLS_AES_256_GCM_SHA384"
  int bits = 0;
};

struct SslFree {
  void operator()(ssl_st* ssl) const;
};
using SslHandle = std::unique_ptr<ssl_st, SslFree>;

struct Connection;  // connection.h, of this module's own

class Stream {
 public:
  // REQUIRES: a connected socket. Sets TCP_NODELAY and non-blocking mode.
  explicit Stream(boost::asio::generic::stream_protocol::socket socket);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();  // closes

  // For all that follows, until set again; a new stream has none. Cheap: only a store when the deadline moves away.
  // Also takes effect on an operation that waits now.
  void expires_at(SteadyTime deadline);
  // Whatever else is set, not later than that.
  void no_later_than(SteadyTime limit);
  void expires_after(std::chrono::steady_clock::duration duration);

  // At least one octet. REQUIRES: `into` is not empty and outlives the operation.
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> into);
  // What has arrived by now, inside TLS too; 0: nothing. Never waits. An error: the peer is gone, or TLS broke.
  Result<std::size_t> read_now(std::span<char> into);
  // All of the pieces, in order, in as few packets and TLS records as they need. REQUIRES: they outlive the operation.
  boost::asio::awaitable<Result<>> write(std::string_view first, std::string_view second = {},
                                         std::string_view third = {});

  // Octets that arrived and were not read. Before a TLS handshake they are an injection: a server looks before it sends
  // its 220 (SUB-10), ClientTls::handshake looks by itself (TLS-09); the caller looks into its own buffer.
  bool has_unread_input() const;
  // The handshake, in the role that `ssl` was made for (tls_server.h, tls_client.h). After an error only close() is of
  // use. REQUIRES: not in TLS yet.
  boost::asio::awaitable<Result<>> start_tls(SslHandle ssl);

  // Orderly end: close_notify and end of stream are sent, what still arrives is thrown away until the peer ends too, or
  // the deadline, or 1 MiB; so that our last reply is not lost to a reset. Then as close().
  boost::asio::awaitable<void> shutdown();
  // At once; in TLS a close_notify is tried. Also from another coroutine: the waiting operation ends with
  // operation_canceled.
  void close();
  bool is_open() const;

  // As they were when the stream was made; IPv4-mapped addresses as IPv4. Nothing of a Unix socket.
  const Endpoint& local() const;
  const Endpoint& peer() const;
  std::optional<TlsInfo> tls() const;
  // The TLS session for adapters of this module that look at certificates; null in clear.
  ssl_st* ssl() const;

 private:
  std::shared_ptr<Connection> connection_;
};

// The peer is gone, in order or not.
bool is_end_of_stream(const Error& error);

}  // namespace hoplock::net
