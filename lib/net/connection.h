// SPDX-License-Identifier: Apache-2.0
// What a Stream owns: socket, deadline timer, TLS session. For stream.cpp only.
#pragma once
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "net/stream.h"
#include "net/wire.h"

namespace hoplock::net {

// Up to three pieces of one write, and how much of them is still to go.
class Pieces {
 public:
  Pieces(std::string_view first, std::string_view second, std::string_view third) : pieces_{first, second, third} {}
  bool empty() const { return pieces_[0].empty() && pieces_[1].empty() && pieces_[2].empty(); }
  const std::array<std::string_view, 3>& all() const { return pieces_; }
  void consume(std::size_t octets);
  // The first octets as one text: in place where one piece is enough to fill `room` or is all that is left, else copied there.
  std::string_view front(std::span<char> room) const;

 private:
  std::array<std::string_view, 3> pieces_;
};

struct Connection : std::enable_shared_from_this<Connection> {
  // One try of an operation, without waiting.
  struct Attempt {
    enum class Kind : std::uint8_t { done, want_read, want_write, want_turn, failed };  // want_turn: others first
    Kind kind = Kind::done;
    std::size_t octets = 0;
    Error error;  // for failed
  };

  explicit Connection(boost::asio::generic::stream_protocol::socket connected);

  Attempt try_read_tls(std::span<char> into);
  Attempt try_read_plain(std::span<char> into);
  Attempt try_write(Pieces& pieces) { return ssl ? try_write_tls(pieces) : try_write_plain(pieces); }
  Attempt try_handshake();
  Attempt try_close_notify();

  // The deadline has passed or the stream was closed: no operation starts.
  Result<> check() const;
  // Gives OpenSSL our socket and counts what comes that is not data. REQUIRES: `session` is not null, no TLS yet.
  Result<> attach(SslHandle session);
  // Waits until the attempt can be repeated.
  boost::asio::awaitable<Result<>> wait_for(Attempt::Kind want);
  // Reads in clear.
  boost::asio::awaitable<Result<std::size_t>> read_plain(std::span<char> into);
  // Lets other coroutines run now and then while a peer sends as fast as we read.
  bool is_greedy();

  void set_deadline(SteadyTime time);
  SteadyTime deadline() const { return deadline_; }
  // No deadline is later.
  void set_limit(SteadyTime limit) { limit_ = limit; }
  void close();

  boost::asio::generic::stream_protocol::socket socket;
  Endpoint local;
  Endpoint peer;
  Wire wire;
  SslHandle ssl;         // after wire: it refers to it
  bool secured = false;  // the handshake is complete
  bool broken = false;   // no close_notify any more

 private:
  class Waiting;
  Attempt try_write_plain(Pieces& pieces);
  Attempt try_write_tls(Pieces& pieces);
  void begin();
  Attempt explain(int result);
  static void count_message(int written, int version, int type, const void* octets, std::size_t size, ssl_st* ssl,
                            void* connection);
  Error tls_error(int reason);
  Error wait_error(const error_code& code) const;
  void arm();
  void on_timer();

  boost::asio::steady_timer timer_;
  SteadyTime deadline_ = SteadyTime::max();
  SteadyTime limit_ = SteadyTime::max();
  SteadyTime armed_ = SteadyTime::max();  // when the timer fires; max: it does not
  bool waiting_ = false;
  bool expired_ = false;  // the deadline ended the wait
  std::uint8_t immediate_reads_ = 0;
  std::uint64_t data_ = 0;      // octets that were read inside TLS
  std::uint64_t messages_ = 0;  // handshake messages and alerts that came after the handshake
};

}  // namespace hoplock::net
