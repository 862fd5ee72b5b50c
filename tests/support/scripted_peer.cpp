// SPDX-License-Identifier: Apache-2.0
#include "tests/support/scripted_peer.h"
#include "tests/support/must.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace hoplock::support {

namespace {
constexpr int patience_ms = 5000;

sockaddr_in loopback(const std::string& address, std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  must(::inet_pton(AF_INET, address.c_str(), &at.sin_addr) == 1, "address " + address);
  return at;
}

// Nobody but the peer itself knows whether the modulus is prime.
EVP_PKEY* make_group(int bits) {
  BIGNUM* modulus = BN_new();
  BIGNUM* generator = BN_new();
  BN_rand(modulus, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
  BN_set_word(generator, 2);
  OSSL_PARAM_BLD* build = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_FFC_P, modulus);
  OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_FFC_G, generator);
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(build);
  EVP_PKEY_CTX* making = EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr);
  EVP_PKEY* group = nullptr;
  EVP_PKEY_fromdata_init(making);
  EVP_PKEY_fromdata(making, &group, EVP_PKEY_KEY_PARAMETERS, params);
  EVP_PKEY_CTX_free(making);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  BN_free(modulus);
  BN_free(generator);
  return group;
}

SSL_CTX* make_ctx(const PeerTls& tls, const SSL_METHOD* method) {
  SSL_CTX* ctx = SSL_CTX_new(method);
  SSL_CTX_set_security_level(ctx, 0);
  SSL_CTX_set_min_proto_version(ctx, tls.min_version);
  SSL_CTX_set_max_proto_version(ctx, tls.max_version);
  if (!tls.signatures.empty()) SSL_CTX_set1_sigalgs_list(ctx, tls.signatures.c_str());
  SSL_CTX_set_cipher_list(ctx, tls.ciphers.empty() ? "ALL:@SECLEVEL=0" : tls.ciphers.c_str());
  SSL_CTX_set_dh_auto(ctx, tls.dhe_bits == 0 ? 1 : 0);
  if (tls.dhe_bits != 0) must(SSL_CTX_set0_tmp_dh_pkey(ctx, make_group(tls.dhe_bits)) == 1, "the DHE group");
  if (!tls.groups.empty()) must(SSL_CTX_set1_groups_list(ctx, tls.groups.c_str()) == 1, tls.groups);
  SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
  if (!tls.files.certificate.empty()) {
    must(SSL_CTX_use_certificate_chain_file(ctx, tls.files.certificate.c_str()) == 1, tls.files.certificate);
    must(SSL_CTX_use_PrivateKey_file(ctx, tls.files.key.c_str(), SSL_FILETYPE_PEM) == 1, tls.files.key);
  }
  if (!tls.client_ca.empty()) {
    must(SSL_CTX_load_verify_locations(ctx, tls.client_ca.c_str(), nullptr) == 1, tls.client_ca);
    SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(tls.client_ca.c_str()));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return ctx;
}

std::string last_error() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}
}  // namespace

// Plays one script on one connected socket.
class ScriptedPlayer {
 public:
  ScriptedPlayer(int fd, int stop) : fd_(fd), stop_(stop) {}
  ~ScriptedPlayer() {
    SSL_free(ssl_);
    if (fd_ >= 0) ::close(fd_);
  }
  ScriptedPlayer(const ScriptedPlayer&) = delete;
  ScriptedPlayer& operator=(const ScriptedPlayer&) = delete;

  // What went wrong, or "".
  std::string play(const Script& script) {
    try {
      return play_steps(script);
    } catch (const std::exception& error) {
      return error.what();
    }
  }
  const std::string& received() const { return received_; }

 private:
  using Kind = Script::Kind;
  enum class Got { octets, end, broken, nothing };

  std::string play_steps(const Script& script) {
    for (std::size_t i = 0; i < script.steps_.size(); ++i) {
      const std::string problem = step(script.steps_[i]);
      if (!problem.empty()) return "step " + std::to_string(i + 1) + ": " + problem;
    }
    return "";
  }

  std::string step(const Script::Step& step) {
    switch (step.kind) {
      case Kind::send:
        return send(step.text, ssl_);
      case Kind::send_raw:
        return send(step.text, nullptr);
      case Kind::pause:
        return pause(std::stoi(step.text));
      case Kind::receive:
        return want([this] { return !pending_.empty(); }, [this] { return pending_.size(); }, "anything");
      case Kind::expect:
        return expect(step.text);
      case Kind::expect_line:
        return expect_line(step.text);
      case Kind::expect_until:
        return want([&] { return pending_.find(step.text) != std::string::npos; },
                    [&] { return pending_.find(step.text) + step.text.size(); }, "\"" + step.text + "\"");
      case Kind::start_tls:
        return handshake(step.tls, TLS_server_method());
      case Kind::connect_tls:
        return handshake(step.tls, TLS_client_method());
      case Kind::expect_end:
        return expect_end();
      case Kind::stall:
        while (fill() == Got::octets) pending_.clear();
        return "";
      case Kind::close:
        if (ssl_ != nullptr) SSL_shutdown(ssl_);
        return leave();
      case Kind::truncate:
        return leave();
      case Kind::reset:
        return reset();
    }
    return "unknown step";
  }

  // That long, or until the test gives up.
  std::string pause(int ms) {
    pollfd stop{stop_, POLLIN, 0};
    ::poll(&stop, stop_ >= 0 ? 1 : 0, ms);
    return "";
  }

  // Readable before patience ends and before the test gives up.
  bool readable() {
    std::array<pollfd, 2> fds{pollfd{fd_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
    return ::poll(fds.data(), stop_ >= 0 ? 2 : 1, patience_ms) > 0 && fds[0].revents != 0;
  }

  Got fill() {
    std::array<char, 65536> buffer;
    if ((ssl_ == nullptr || SSL_pending(ssl_) == 0) && !readable()) return Got::nothing;
    const auto size = static_cast<int>(buffer.size());
    ERR_clear_error();
    const ssize_t got =
        ssl_ != nullptr ? SSL_read(ssl_, buffer.data(), size) : ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got > 0) {
      pending_.append(buffer.data(), static_cast<std::size_t>(got));
      received_.append(buffer.data(), static_cast<std::size_t>(got));
      return Got::octets;
    }
    if (ssl_ == nullptr) return got == 0 ? Got::end : Got::broken;
    const int reason = SSL_get_error(ssl_, static_cast<int>(got));
    if (reason == SSL_ERROR_WANT_READ) return fill();
    return reason == SSL_ERROR_ZERO_RETURN ? Got::end : Got::broken;
  }

  template <class Done, class Size>
  std::string want(Done done, Size size, const std::string& what) {
    while (!done()) {
      const Got got = fill();
      if (got == Got::nothing) return "waited in vain for " + what + ", got \"" + pending_ + "\"";
      if (got != Got::octets) return "the other side left instead of " + what + ", got \"" + pending_ + "\"";
    }
    last_ = pending_.substr(0, size());
    pending_.erase(0, last_.size());
    return "";
  }

  std::string expect(const std::string& text) {
    const auto differs = [&] {
      const std::size_t head = std::min<std::size_t>({pending_.size(), text.size(), 65536});
      return pending_.compare(0, head, text, 0, head) != 0;
    };
    auto problem = want([&] { return pending_.size() >= text.size() || differs(); },
                        [&] { return std::min(pending_.size(), text.size()); }, "\"" + text.substr(0, 200) + "\"");
    if (problem.empty() && last_ != text) problem = "expected \"" + text + "\", got \"" + last_ + "\"";
    return problem;
  }

  std::string expect_line(const std::string& prefix) {
    auto problem = want([&] { return pending_.find("\r\n") != std::string::npos; },
                        [&] { return pending_.find("\r\n") + 2; }, "a line \"" + prefix + "…\"");
    if (problem.empty() && last_.compare(0, prefix.size(), prefix) != 0) {
      problem = "expected a line \"" + prefix + "…\", got \"" + last_ + "\"";
    }
    return problem;
  }

  std::string expect_end() {
    const Got got = pending_.empty() ? fill() : Got::octets;
    if (got == Got::octets) return "expected the end, got \"" + pending_ + "\"";
    if (got == Got::nothing) return "waited in vain for the end";
    return got == Got::end ? "" : "expected an orderly end, got a broken one";
  }

  std::string send(std::string_view text, SSL* ssl) {
    while (!text.empty()) {
      const ssize_t sent = ssl != nullptr ? SSL_write(ssl, text.data(), static_cast<int>(text.size()))
                                          : ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return "sending failed";
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return "";
  }

  std::string handshake(const PeerTls& tls, const SSL_METHOD* method) {
    SSL_CTX* ctx = make_ctx(tls, method);
    ssl_ = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_set_fd(ssl_, fd_);
    timeval patience{patience_ms / 1000, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ERR_clear_error();
    const int done = method == TLS_server_method() ? SSL_accept(ssl_) : SSL_connect(ssl_);
    return done == 1 ? "" : "TLS handshake: " + last_error();
  }

  std::string leave() {
    ::shutdown(fd_, SHUT_WR);
    ::close(std::exchange(fd_, -1));
    return "";
  }

  std::string reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(std::exchange(fd_, -1));
    return "";
  }

  int fd_;
  int stop_;
  SSL* ssl_ = nullptr;
  std::string pending_;
  std::string last_;
  std::string received_;
};

Script& Script::add(Kind kind, std::string text, PeerTls tls) {
  steps_.push_back({kind, std::move(text), std::move(tls)});
  return *this;
}

Script& Script::send(std::string octets) { return add(Kind::send, std::move(octets)); }
Script& Script::send_raw(std::string octets) { return add(Kind::send_raw, std::move(octets)); }
Script& Script::pause(std::chrono::milliseconds time) { return add(Kind::pause, std::to_string(time.count())); }
Script& Script::receive() { return add(Kind::receive); }
Script& Script::expect(std::string octets) { return add(Kind::expect, std::move(octets)); }
Script& Script::expect_line(std::string prefix) { return add(Kind::expect_line, std::move(prefix)); }
Script& Script::expect_until(std::string end) { return add(Kind::expect_until, std::move(end)); }
Script& Script::start_tls(PeerTls tls) { return add(Kind::start_tls, {}, std::move(tls)); }
Script& Script::connect_tls(PeerTls tls) { return add(Kind::connect_tls, {}, std::move(tls)); }
Script& Script::expect_end() { return add(Kind::expect_end); }
Script& Script::stall() { return add(Kind::stall); }
Script& Script::close() { return add(Kind::close); }
Script& Script::truncate() { return add(Kind::truncate); }
Script& Script::reset() { return add(Kind::reset); }

Script Script::cut(std::size_t steps, Cut how) const {
  Script cut;
  cut.steps_.assign(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(std::min(steps, steps_.size())));
  return how == Cut::orderly ? cut.close() : cut.reset();
}

ScriptedPeer::ScriptedPeer(Script script) : ScriptedPeer(std::vector<Script>{std::move(script)}) {}

ScriptedPeer::ScriptedPeer(std::vector<Script> scripts, std::string address, std::uint16_t port)
    : scripts_(std::move(scripts)) {
  ::signal(SIGPIPE, SIG_IGN);  // blocking OpenSSL writes to the socket itself
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(listener_ >= 0 && ::pipe2(stop_, O_CLOEXEC) == 0, "socket");
  sockaddr_in at = loopback(address, port);
  must(::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "bind");
  must(::listen(listener_, 16) == 0, "listen");
  socklen_t size = sizeof at;
  must(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) == 0, "getsockname");
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this] { serve(); });
}

ScriptedPeer::~ScriptedPeer() {
  finish();
  ::close(stop_[0]);
}

void ScriptedPeer::serve() {
  for (std::size_t i = 0; i < scripts_.size(); ++i) {
    std::array<pollfd, 2> fds{pollfd{listener_, POLLIN, 0}, pollfd{stop_[0], POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), patience_ms) <= 0 || fds[0].revents == 0) {
      problems_.push_back("connection " + std::to_string(i + 1) + ": nobody connected");
      break;
    }
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (i + 1 == scripts_.size()) ::close(std::exchange(listener_, -1));
    ScriptedPlayer player(fd, stop_[0]);
    const std::string problem = player.play(scripts_[i]);
    if (!problem.empty()) problems_.push_back("connection " + std::to_string(i + 1) + ", " + problem);
    received_.push_back(player.received());
  }
  if (listener_ >= 0) ::close(std::exchange(listener_, -1));
}

std::vector<std::string> ScriptedPeer::finish() {
  if (!thread_.joinable()) return problems_;
  ::close(stop_[1]);  // whoever still waits sees it
  thread_.join();
  return problems_;
}

ScriptedClient::ScriptedClient(std::uint16_t port, Script script) {
  ::signal(SIGPIPE, SIG_IGN);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  sockaddr_in to = loopback("127.0.0.1", port);
  must(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0, "connect");
  thread_ = std::thread([this, fd, plan = std::move(script)] {
    ScriptedPlayer player(fd, -1);
    const std::string problem = player.play(plan);
    if (!problem.empty()) problems_.push_back(problem);
    received_ = player.received();
  });
}

ScriptedClient::~ScriptedClient() { finish(); }

std::vector<std::string> ScriptedClient::finish() {
  if (thread_.joinable()) thread_.join();
  return problems_;
}

void cut_at_every_step(const Script& script, const std::function<void(const Script&, const std::string&)>& test) {
  for (const Cut how : {Cut::orderly, Cut::reset}) {
    for (std::size_t steps = 0; steps <= script.size(); ++steps) {
      const std::string where = "after step " + std::to_string(steps) + (how == Cut::orderly ? ", FIN" : ", RST");
      test(script.cut(steps, how), where);
    }
  }
}

}  // namespace hoplock::support
