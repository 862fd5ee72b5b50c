// SPDX-License-Identifier: Apache-2.0
#include "tests/support/smtp_client.h"
#include "tests/support/must.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace hoplock::support {

namespace {
constexpr std::chrono::milliseconds patience{30000};

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error("smtp client: " + what); }

sockaddr_in endpoint(const std::string& address, std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  must(::inet_pton(AF_INET, address.c_str(), &at.sin_addr) == 1, "address " + address);
  return at;
}

bool readable(int fd, std::chrono::milliseconds time) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, static_cast<int>(time.count())) > 0;
}

// Behind the last line of the first reply in `text`, or npos.
std::size_t end_of_reply(const std::string& text) {
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find("\r\n", at);
    if (end == std::string::npos) return end;
    if (end - at < 4 || text[at + 3] != '-') return end + 2;
    at = end + 2;
  }
}
}  // namespace

std::string dot_stuffed(std::string_view content) {
  std::string out;
  out.reserve(content.size() + content.size() / 64);
  bool line_start = true;
  for (const char c : content) {
    if (line_start && c == '.') out += '.';
    out += c;
    line_start = c == '\n';
  }
  return out;
}

SmtpClient::SmtpClient(std::uint16_t port, const std::string& to, const std::string& from) {
  ::signal(SIGPIPE, SIG_IGN);  // blocking OpenSSL writes to the socket itself
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(fd_ >= 0, "socket");
  const sockaddr_in here = endpoint(from, 0);
  const sockaddr_in there = endpoint(to, port);
  must(::bind(fd_, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0, "bind");
  must(::connect(fd_, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0, "connect");
  const timeval limit{patience.count() / 1000, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

SmtpClient::~SmtpClient() {
  SSL_free(ssl_);
  if (fd_ >= 0) ::close(fd_);
}

void SmtpClient::send(std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t sent = ssl_ != nullptr ? SSL_write(ssl_, octets.data(), static_cast<int>(octets.size()))
                                         : ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
    must(sent > 0, "sending");
    octets.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::size_t SmtpClient::send_some(std::string_view octets) {
  const ssize_t sent = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

SmtpClient::Got SmtpClient::fill() {
  std::array<char, 65536> buffer;
  const auto size = static_cast<int>(buffer.size());
  if ((ssl_ == nullptr || SSL_pending(ssl_) == 0) && !readable(fd_, patience))
    give_up("waited in vain, got \"" + pending_ + "\"");
  ERR_clear_error();
  const ssize_t got = ssl_ != nullptr ? SSL_read(ssl_, buffer.data(), size) : ::recv(fd_, buffer.data(), 65536, 0);
  if (got > 0) {
    pending_.append(buffer.data(), static_cast<std::size_t>(got));
    received_.append(buffer.data(), static_cast<std::size_t>(got));
    return Got::octets;
  }
  if (ssl_ == nullptr) return got == 0 ? Got::end : Got::broken;
  return SSL_get_error(ssl_, static_cast<int>(got)) == SSL_ERROR_ZERO_RETURN ? Got::end : Got::broken;
}

std::string SmtpClient::take(std::size_t octets) {
  std::string text = pending_.substr(0, octets);
  pending_.erase(0, text.size());
  return text;
}

std::string SmtpClient::reply() {
  for (;;) {
    const std::size_t end = end_of_reply(pending_);
    if (end != std::string::npos) return take(end);
    if (fill() != Got::octets) give_up("the server left instead of a reply, got \"" + pending_ + "\"");
  }
}

std::vector<std::string> SmtpClient::replies(std::size_t count) {
  std::vector<std::string> all;
  while (all.size() < count) all.push_back(reply());
  return all;
}

std::string SmtpClient::command(std::string_view line) {
  send(std::string(line) + "\r\n");
  return reply();
}

void SmtpClient::greet(std::string_view name) {
  const std::string banner = reply();
  if (!banner.starts_with("220 ")) give_up("no banner but " + banner);
  const std::string hello = command("EHLO " + std::string(name));
  if (!hello.starts_with("250")) give_up("EHLO was refused: " + hello);
}

std::string SmtpClient::deliver(std::string_view content, const std::vector<std::string>& to, std::string_view from) {
  std::string last = command("MAIL FROM:<" + std::string(from) + ">");
  if (!last.starts_with("250")) return last;
  for (const auto& recipient : to) {
    last = command("RCPT TO:<" + recipient + ">");
    if (!last.starts_with("250")) return last;
  }
  last = command("DATA");
  if (!last.starts_with("354")) return last;
  send(dot_stuffed(content) + ".\r\n");
  return reply();
}

std::string SmtpClient::receive() {
  if (pending_.empty() && fill() != Got::octets) give_up("the server left");
  return take(pending_.size());
}

bool SmtpClient::is_silent(std::chrono::milliseconds time) {
  return pending_.empty() && (ssl_ == nullptr || SSL_pending(ssl_) == 0) && !readable(fd_, time);
}

bool SmtpClient::ended() { return pending_.empty() && fill() == Got::end; }

bool SmtpClient::handshake(const net::CertificateFiles& presented) {
  SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_client_cert_cb(ctx, [](SSL* ssl, X509**, EVP_PKEY**) {
    *static_cast<bool*>(SSL_get_app_data(ssl)) = true;
    return 0;
  });
  ssl_ = SSL_new(ctx);
  SSL_set_app_data(ssl_, &asked_);
  if (!presented.certificate.empty()) {
    SSL_use_certificate_chain_file(ssl_, presented.certificate.c_str());
    SSL_use_PrivateKey_file(ssl_, presented.key.c_str(), SSL_FILETYPE_PEM);
  }
  SSL_CTX_free(ctx);
  SSL_set_fd(ssl_, fd_);
  ERR_clear_error();
  const int done = SSL_connect(ssl_);
  ERR_clear_error();
  return done == 1;
}

void SmtpClient::start_tls(const net::CertificateFiles& presented) {
  const std::string answer = command("STARTTLS");
  if (!answer.starts_with("220 ")) give_up("STARTTLS was refused: " + answer);
  if (!handshake(presented)) give_up("the handshake failed");
}

int SmtpClient::asked_authorities() const {
  const auto* names = SSL_get0_peer_CA_list(ssl_);
  return names == nullptr ? 0 : sk_X509_NAME_num(names);
}

bool SmtpClient::was_asked_for_certificate() const { return asked_; }

std::string SmtpClient::certificate_serial() const {
  X509* shown = SSL_get1_peer_certificate(ssl_);
  const ASN1_INTEGER* serial = X509_get0_serialNumber(shown);
  std::string octets(reinterpret_cast<const char*>(serial->data), static_cast<std::size_t>(serial->length));
  X509_free(shown);
  return octets;
}

void SmtpClient::finish_sending() {
  if (ssl_ != nullptr) SSL_shutdown(ssl_);
  ::shutdown(fd_, SHUT_WR);
}

void SmtpClient::reset() {
  const linger hard{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::close(std::exchange(fd_, -1));
}

}  // namespace hoplock::support
