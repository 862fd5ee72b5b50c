// SPDX-License-Identifier: Apache-2.0
// A listening TCP socket.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "net/stream.h"

namespace hoplock::net {

class Acceptor {
 public:
  // Binds and listens; port 0 takes a free one. An IPv6 address takes IPv6 only. A socket that the service manager opened for this
  // address (sd_listen_fds(3)) is taken instead, again and again: so a service without privileges has ports below 1024.
  // The error names the address.
  static Result<Acceptor> listen(const boost::asio::any_io_executor& executor, Endpoint at);

  // Out of descriptors or memory: waits a moment and tries again, the client waits in the backlog. The
  // error is operation_canceled after close() or cancellation.
  boost::asio::awaitable<Result<Stream>> accept();
  void close();
  const Endpoint& local() const { return local_; }

 private:
  Acceptor(boost::asio::ip::tcp::acceptor acceptor, Endpoint local);
  boost::asio::ip::tcp::acceptor acceptor_;
  Endpoint local_;
};

}  // namespace hoplock::net
