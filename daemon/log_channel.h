// SPDX-License-Identifier: Apache-2.0
// The connection to a log server: TLS with a verified certificate (RFC 5425 section 4.2), TCP, or UDP. Not Asio's: the log's thread
// has no loop, and must go on where the loop stands still. No call waits longer than a tenth of a second. The server says nothing that
// is listened to; what it says is read so that its end is noticed, and dropped.
#pragma once
#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "config/syslog.h"

namespace hoplock::daemon {

class LogChannel {
 public:
  struct Peer {
    Ip ip;
    config::Syslog server;
    std::string ca_file;
  };
  struct Step {
    std::size_t octets = 0;
    std::string error;  // the connection is of no use any more
  };

  explicit LogChannel(const Peer& peer);
  // Says its end to the server and lets it read what is under way, for some tenths of a second.
  ~LogChannel();
  LogChannel(const LogChannel&) = delete;
  LogChannel& operator=(const LogChannel&) = delete;

  // Goes on with connection and handshake; an error as well when they take more than ten seconds.
  Step open_some();
  bool is_open() const { return state_ == State::open; }
  // Why nothing can be sent any more, noticed without sending; "": it can. REQUIRES: is_open().
  std::string ended();
  // Sends some of `octets`; what was not taken must come again at the begin of the next call. REQUIRES: is_open().
  Step send(std::string_view octets);

 private:
  enum class State : std::uint8_t { closed, connecting, shaking, open };
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  Step connect();
  Step connected();
  Step begin_tls();
  Step shake();
  Step late() const;
  Step wait_tls(int result);
  void close();

  const Peer peer_;
  State state_ = State::closed;
  int socket_ = -1;
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace hoplock::daemon
