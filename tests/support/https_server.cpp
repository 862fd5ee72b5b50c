// SPDX-License-Identifier: Apache-2.0
#include "tests/support/https_server.h"
#include "tests/support/must.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace hoplock::support {

namespace {
constexpr int answer_patience_ms = 5000;

struct Free {
  void operator()(SSL_CTX* ctx) const { SSL_CTX_free(ctx); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// What the ALPN callback needs.
struct Choice {
  HttpsServer::Http http;
  std::string offered;
};

int choose(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned length, void* arg) {
  auto& choice = *static_cast<Choice*>(arg);
  const std::string_view wanted = choice.http == HttpsServer::Http::v1 ? "http/1.1" : "h2";
  int result = SSL_TLSEXT_ERR_ALERT_FATAL;
  for (unsigned at = 0; at < length; at += 1U + in[at]) {
    const std::string_view name(reinterpret_cast<const char*>(in) + at + 1, in[at]);
    choice.offered += (choice.offered.empty() ? "" : ",") + std::string(name);
    if (name != wanted) continue;
    *out = in + at + 1;
    *size = in[at];
    result = SSL_TLSEXT_ERR_OK;
  }
  return result;
}

std::unique_ptr<SSL_CTX, Free> make_ctx(const PeerTls& tls, Choice& choice) {
  std::unique_ptr<SSL_CTX, Free> ctx(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_security_level(ctx.get(), 0);
  SSL_CTX_set_min_proto_version(ctx.get(), tls.min_version);
  SSL_CTX_set_max_proto_version(ctx.get(), tls.max_version);
  SSL_CTX_set_cipher_list(ctx.get(), tls.ciphers.empty() ? "ALL:@SECLEVEL=0" : tls.ciphers.c_str());
  const auto& files = tls.files;
  must(SSL_CTX_use_certificate_chain_file(ctx.get(), files.certificate.c_str()) == 1, files.certificate);
  must(SSL_CTX_use_PrivateKey_file(ctx.get(), files.key.c_str(), SSL_FILETYPE_PEM) == 1, files.key);
  SSL_CTX_set_alpn_select_cb(ctx.get(), choose, &choice);
  return ctx;
}

// Serves one connected socket.
class Connection {
 public:
  Connection(int fd, int stop) : fd_(fd), stop_(stop) {
    const timeval patience{answer_patience_ms / 1000, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  HttpsSeen serve(const PeerTls& tls, HttpsServer::Http http, const HttpsServer::Answer& answer) {
    HttpsSeen seen;
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    ::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &size);
    seen.peer = ::inet_ntoa(peer.sin_addr);
    Choice choice{http, ""};
    const auto ctx = make_ctx(tls, choice);
    ssl_.reset(SSL_new(ctx.get()));
    SSL_set_fd(ssl_.get(), fd_);
    ERR_clear_error();
    const bool good = SSL_accept(ssl_.get()) == 1;
    const char* sni = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    seen.sni = sni != nullptr ? sni : "";
    seen.alpn = choice.offered;
    if (!good) return seen;
    seen.tls = SSL_get_version(ssl_.get());
    if (read_request(seen)) reply(answer(seen), seen);
    return seen;
  }

 private:
  // False: the client left.
  bool fill(std::string& text) {
    std::array<char, 16384> buffer;
    const int got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  bool read_request(HttpsSeen& seen) {
    std::size_t end = std::string::npos;
    while ((end = seen.header.find("\r\n\r\n")) == std::string::npos) {
      if (!fill(seen.header)) return false;
    }
    seen.body = seen.header.substr(end + 4);
    seen.header.resize(end + 4);
    const auto length = seen.header.find("Content-Length: ");
    const std::size_t whole = length == std::string::npos ? 0 : std::stoul(seen.header.substr(length + 16));
    while (seen.body.size() < whole) {
      if (!fill(seen.body)) return false;
    }
    return true;
  }

  bool send(std::string_view octets, HttpsSeen& seen) {
    if (octets.empty()) return true;
    if (SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size())) <= 0) return false;
    seen.sent += octets.size();
    return true;
  }

  // Also ends when the client leaves or the test gives up: then false.
  bool wait(int milliseconds) {
    std::array<pollfd, 2> fds{pollfd{fd_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
    return ::poll(fds.data(), fds.size(), milliseconds) == 0;
  }

  bool send_slowly(const HttpsReply& reply, HttpsSeen& seen) {
    for (const char& octet : reply.octets) {
      if (!send({&octet, 1}, seen) || !wait(static_cast<int>(reply.drip.count()))) return false;
    }
    return true;
  }

  void reply(const HttpsReply& reply, HttpsSeen& seen) {
    const bool sent = reply.drip.count() > 0 ? send_slowly(reply, seen) : send(reply.octets, seen);
    while (sent && !reply.endless.empty() && send(reply.endless, seen)) {
    }
    if (!sent || !reply.endless.empty()) return;
    end(reply.end);
  }

  void end(HttpsReply::End how) {
    const linger hard{1, 0};
    if (how == HttpsReply::End::hang) wait(answer_patience_ms);
    if (how == HttpsReply::End::close_notify) SSL_shutdown(ssl_.get());
    if (how == HttpsReply::End::reset) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (how == HttpsReply::End::close_notify || how == HttpsReply::End::truncate) ::shutdown(fd_, SHUT_WR);
  }

  int fd_;
  int stop_;
  std::unique_ptr<SSL, Free> ssl_;
};
}  // namespace

HttpsReply http_reply(int status, const std::vector<std::string>& fields, const std::string& body) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " Words\r\n";
  for (const auto& field : fields) text += field + "\r\n";
  return {.octets = text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
}

HttpsReply http_text(const std::string& body) { return http_reply(200, {"Content-Type: text/plain"}, body); }

HttpsServer::HttpsServer(PeerTls tls, Answer answer, Http http)
    : tls_(std::move(tls)), answer_(std::move(answer)), http_(http) {
  ::signal(SIGPIPE, SIG_IGN);  // blocking OpenSSL writes to the socket itself
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(listener_ >= 0 && ::pipe2(stop_, O_CLOEXEC) == 0, "socket");
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must(::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "bind");
  must(::listen(listener_, 64) == 0, "listen");
  socklen_t size = sizeof at;
  must(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) == 0, "getsockname");
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpsServer::~HttpsServer() {
  finish();
  ::close(stop_[0]);
  ::close(listener_);
}

void HttpsServer::serve() {
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{listener_, POLLIN, 0}, pollfd{stop_[0], POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0 || fds[0].revents == 0) return;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    HttpsSeen seen = Connection(fd, stop_[0]).serve(tls_, http_, answer_);
    const std::lock_guard lock(mutex_);
    seen_.push_back(std::move(seen));
  }
}

std::size_t HttpsServer::count() const {
  const std::lock_guard lock(mutex_);
  return seen_.size();
}

std::vector<HttpsSeen> HttpsServer::finish() {
  if (thread_.joinable()) {
    ::close(stop_[1]);  // what waits sees it
    thread_.join();
  }
  return seen_;
}

}  // namespace hoplock::support
