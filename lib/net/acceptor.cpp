// SPDX-License-Identifier: Apache-2.0
#include "net/acceptor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <string>
#include <utility>

#include "net/endpoint.h"

namespace hoplock::net {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {
constexpr auto shortage_pause = std::chrono::milliseconds(100);  // nobody tells when a descriptor becomes free
constexpr int first_inherited = 3;                               // SD_LISTEN_FDS_START
constexpr int most_inherited = 64;

error_code bind_and_listen(tcp::acceptor& acceptor, const tcp::endpoint& at) {
  error_code code;
  acceptor.open(at.protocol(), code);
  if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
  if (!code && at.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(true), code);
  if (!code) acceptor.bind(at, code);
  if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
  return code;
}

// sd_listen_fds(3): descriptors from 3 on, if they are meant for this process.
int inherited_count() {
  const char* process = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (process == nullptr || count == nullptr || process != std::to_string(::getpid())) return 0;
  return std::clamp(std::atoi(count), 0, most_inherited);
}

// A descriptor of our own for the listening socket that the service manager opened there; -1: none.
int inherited(const tcp::endpoint& at) {
  for (int descriptor = first_inherited; descriptor < first_inherited + inherited_count(); ++descriptor) {
    tcp::endpoint bound;
    auto length = static_cast<socklen_t>(bound.capacity());
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    if (::getsockname(descriptor, bound.data(), &length) != 0 || length > bound.capacity()) continue;
    bound.resize(length);
    if (bound == at) return ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  }
  return -1;
}
}  // namespace

Acceptor::Acceptor(tcp::acceptor acceptor, Endpoint local) : acceptor_(std::move(acceptor)), local_(local) {}

Result<Acceptor> Acceptor::listen(const asio::any_io_executor& executor, Endpoint at) {
  tcp::acceptor acceptor(executor);
  error_code code;
  const tcp::endpoint wanted = to_asio(at);
  if (const int descriptor = inherited(wanted); descriptor >= 0) {
    acceptor.assign(wanted.protocol(), descriptor, code);
  } else {
    code = bind_and_listen(acceptor, wanted);
  }
  if (code) {
    const bool low = code == errc::permission_denied && at.port < 1024;
    return fail(code, "cannot listen on " + at.text() + ": " + code.message() +
                          (low ? "; for a port below 1024 let systemd open it: hoplockd.socket, see hoplockd(8)" : ""));
  }
  const tcp::endpoint bound = acceptor.local_endpoint(code);
  if (code) return fail(code, "cannot listen on " + at.text() + ": " + code.message());
  return Acceptor(std::move(acceptor), from_asio(bound));
}

asio::awaitable<Result<Stream>> Acceptor::accept() {
  for (;;) {
    auto [code, socket] = co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
    if (!code) co_return Stream(std::move(socket));
    if (!acceptor_.is_open()) co_return fail(errc::operation_canceled, "the listener was closed");
    if (code == errc::operation_canceled) co_return fail(code, code.message());
    if (code == errc::connection_aborted) continue;  // this one client left before it was ours
    asio::steady_timer pause(acceptor_.get_executor(), shortage_pause);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

void Acceptor::close() {
  error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace hoplock::net
