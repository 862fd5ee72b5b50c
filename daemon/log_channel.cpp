// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/endpoint.h"
#include "net/openssl_error.h"

namespace hoplock::daemon {

namespace {
using namespace std::chrono_literals;
constexpr auto to_open = 10s;
constexpr int tenth_ms = 100;
constexpr int tenths_at_end = 3;
constexpr int reads_at_end = 16;
constexpr int dead_after_ms = 60'000;  // octets that nobody acknowledges

bool is_ready(int socket, short events) {
  pollfd ready{socket, events, 0};
  return poll(&ready, 1, tenth_ms) > 0;
}

// Whether the certificate must carry this name or address.
bool expect_name(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
  if (Ip::parse(host)) return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(param, host.c_str(), 0) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}
}  // namespace

LogChannel::LogChannel(const Peer& peer)
    : peer_(peer), deadline_(std::chrono::steady_clock::now() + std::chrono::seconds(to_open)) {}

LogChannel::~LogChannel() { close(); }

LogChannel::Step LogChannel::late() const {
  if (std::chrono::steady_clock::now() < deadline_) return {};
  return {0, state_ == State::connecting ? "the connection was not answered in 10 s"
                                         : "the TLS handshake was not done in 10 s"};
}

LogChannel::Step LogChannel::connect() {
  const bool datagrams = peer_.server.transport == config::Syslog::Transport::udp;
  const int kind = (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const auto to = net::to_asio({peer_.ip, peer_.server.port});
  socket_ = ::socket(to.protocol().family(), kind, 0);
  if (socket_ < 0) return {0, std::strerror(errno)};
  if (!datagrams) setsockopt(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_after_ms, sizeof dead_after_ms);
  state_ = State::connecting;
  const int result = ::connect(socket_, to.data(), static_cast<socklen_t>(to.size()));
  if (result != 0 && errno != EINPROGRESS) return {0, std::strerror(errno)};
  return {};
}

LogChannel::Step LogChannel::connected() {
  if (!is_ready(socket_, POLLOUT)) return late();
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return {0, std::strerror(error)};
  if (peer_.server.transport == config::Syslog::Transport::tls) return begin_tls();
  state_ = State::open;
  return {};
}

LogChannel::Step LogChannel::begin_tls() {
  ERR_clear_error();
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!context_) return {0, net::take_openssl_error()};
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_file(context_.get(), peer_.ca_file.c_str()) != 1)
    return {0, "tls.ca_file '" + peer_.ca_file + "': " + net::take_openssl_error()};
  ssl_.reset(SSL_new(context_.get()));
  if (!ssl_ || !expect_name(ssl_.get(), peer_.server.host) || SSL_set_fd(ssl_.get(), socket_) != 1)
    return {0, net::take_openssl_error()};
  SSL_set_mode(ssl_.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  state_ = State::shaking;
  return {};
}

// What a call of OpenSSL that did not succeed waits for, or why it failed.
LogChannel::Step LogChannel::wait_tls(int result) {
  const int system = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      is_ready(socket_, POLLIN);
      return {};
    case SSL_ERROR_WANT_WRITE:
      is_ready(socket_, POLLOUT);
      return {};
    case SSL_ERROR_ZERO_RETURN:
      return {0, "the server closed the connection"};
    case SSL_ERROR_SYSCALL:
      if (ERR_peek_error() == 0) return {0, system != 0 ? std::strerror(system) : "the server closed the connection"};
      [[fallthrough]];
    default:
      break;
  }
  const long verdict = SSL_get_verify_result(ssl_.get());
  std::string why = net::take_openssl_error();
  if (verdict != X509_V_OK) why = std::string("its certificate: ") + X509_verify_cert_error_string(verdict);
  return {0, std::move(why)};
}

LogChannel::Step LogChannel::shake() {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_connect(ssl_.get());
  if (result == 1) {
    state_ = State::open;
    return {};
  }
  const Step step = wait_tls(result);
  return step.error.empty() ? late() : step;
}

LogChannel::Step LogChannel::open_some() {
  switch (state_) {
    case State::closed:
      return connect();
    case State::connecting:
      return connected();
    case State::shaking:
      return shake();
    case State::open:
      break;
  }
  return {};
}

std::string LogChannel::ended() {
  std::array<char, 4096> dropped{};
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int got = SSL_read(ssl_.get(), dropped.data(), static_cast<int>(dropped.size()));
    if (got > 0) return "";
    const int error = SSL_get_error(ssl_.get(), got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return "";
    return wait_tls(got).error;
  }
  const ssize_t got = ::recv(socket_, dropped.data(), dropped.size(), MSG_DONTWAIT);
  if (got > 0) return "";
  if (got < 0) return errno == EAGAIN || errno == EINTR ? "" : std::strerror(errno);
  return peer_.server.transport == config::Syslog::Transport::udp ? "" : "the server closed the connection";
}

LogChannel::Step LogChannel::send(std::string_view octets) {
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int taken = SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size()));
    return taken > 0 ? Step{static_cast<std::size_t>(taken), {}} : wait_tls(taken);
  }
  const ssize_t taken = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (taken >= 0) return {static_cast<std::size_t>(taken), {}};
  if (errno != EAGAIN && errno != EINTR) return {0, std::strerror(errno)};
  is_ready(socket_, POLLOUT);
  return {};
}

// What the server sent and nobody read would make the system throw away what it has not read yet of ours.
void LogChannel::close() {
  if (socket_ < 0) return;
  if (ssl_ && state_ == State::open) {
    std::array<char, 4096> dropped{};
    ERR_clear_error();
    for (int i = 0; i < reads_at_end && SSL_read(ssl_.get(), dropped.data(), static_cast<int>(dropped.size())) > 0;)
      ++i;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  if (state_ == State::open && peer_.server.transport != config::Syslog::Transport::udp) {
    shutdown(socket_, SHUT_WR);
    std::array<char, 4096> dropped{};
    for (int i = 0; i < tenths_at_end; ++i) {
      if (is_ready(socket_, POLLIN) && recv(socket_, dropped.data(), dropped.size(), MSG_DONTWAIT) <= 0) break;
    }
  }
  ssl_.reset();
  ::close(socket_);
  socket_ = -1;
}

}  // namespace hoplock::daemon
