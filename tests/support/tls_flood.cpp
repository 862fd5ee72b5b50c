// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tls_flood.h"

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
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
constexpr std::size_t flood_octets = std::size_t{512} * 1024;
constexpr int messages_between_data = 100;
constexpr const char* suite_of_tls12 = "ECDHE-ECDSA-AES128-GCM-SHA256";

void must(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

bool is_tls13(Flood flood) { return flood < Flood::empty_records; }

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

std::string number(std::uint64_t value, std::size_t octets) {
  std::string text(octets, '\0');
  for (std::size_t i = octets; i-- > 0; value >>= 8) text[i] = static_cast<char>(value & 0xff);
  return text;
}

// Records of TLS 1.2 under AES-128-GCM (RFC 5246, 5288), of one direction of a session whose handshake is over.
class Sealer {
 public:
  Sealer(SSL* ssl, bool is_server) {
    std::array<unsigned char, 48> master{};
    SSL_SESSION_get_master_key(SSL_get_session(ssl), master.data(), master.size());
    std::array<unsigned char, 64> seed{};
    SSL_get_server_random(ssl, seed.data(), 32);
    SSL_get_client_random(ssl, seed.data() + 32, 32);
    std::string label = "key expansion";
    label.append(reinterpret_cast<char*>(seed.data()), seed.size());
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
    EVP_KDF_CTX* ctx = EVP_KDF_CTX_new(kdf);
    std::string digest = "SHA256";
    const std::array<OSSL_PARAM, 4> params{
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master.data(), master.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label.data(), label.size()), OSSL_PARAM_construct_end()};
    std::array<unsigned char, 40> block{};  // two keys of 16, two salts of 4, the client's first
    must(EVP_KDF_derive(ctx, block.data(), block.size(), params.data()) == 1, "key expansion");
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    std::memcpy(key_.data(), block.data() + (is_server ? 16 : 0), key_.size());
    std::memcpy(salt_.data(), block.data() + (is_server ? 36 : 32), salt_.size());
  }

  std::string seal(char type, const std::string& text) {
    const std::string explicit_nonce = number(sequence_, 8);
    const std::string nonce = std::string(salt_.begin(), salt_.end()) + explicit_nonce;
    const std::string about = explicit_nonce + type + "\x03\x03" + number(text.size(), 2);
    std::string sealed(text.size() + 16, '\0');
    auto* out = reinterpret_cast<unsigned char*>(sealed.data());
    int size = 0;
    EVP_CIPHER_CTX* ctx = EVP_CIPHER_CTX_new();
    bool good = EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), nullptr, key_.data(), octets(nonce)) == 1;
    good = good && EVP_EncryptUpdate(ctx, nullptr, &size, octets(about), static_cast<int>(about.size())) == 1;
    good = good && EVP_EncryptUpdate(ctx, out, &size, octets(text), static_cast<int>(text.size())) == 1;
    good = good && EVP_EncryptFinal_ex(ctx, out + text.size(), &size) == 1;
    good = good && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, out + text.size()) == 1;
    EVP_CIPHER_CTX_free(ctx);
    must(good, "sealing");
    ++sequence_;
    return std::string(1, type) + "\x03\x03" + number(explicit_nonce.size() + sealed.size(), 2) + explicit_nonce +
           sealed;
  }

 private:
  static const unsigned char* octets(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  }
  std::array<unsigned char, 16> key_{};
  std::array<char, 4> salt_{};
  std::uint64_t sequence_ = 1;  // 0 was Finished
};

// A small but whole ClientHello: one suite, no extensions.
std::string client_hello() {
  const std::string body =
      "\x03\x03" + std::string(32, 'r') + number(0, 1) + number(2, 2) + "\xc0\x2b" + "\x01" + number(0, 1);
  return "\x01" + number(body.size(), 3) + body;
}

std::string flood_of_tls12(SSL* ssl, bool is_server, Flood flood) {
  Sealer sealer(ssl, is_server);
  constexpr char alert = 21;
  constexpr char handshake = 22;
  constexpr char data = 23;
  const bool with_data = flood >= Flood::warnings_among_data;
  std::string all;
  for (int i = 0; all.size() < flood_octets; ++i) {
    if (with_data && i % 3 == 2) all += sealer.seal(data, "x");  // so often that OpenSSL's own counters never fill
    if (flood == Flood::empty_records) all += sealer.seal(data, "");
    if (flood == Flood::warnings || flood == Flood::warnings_among_data) all += sealer.seal(alert, "\x01\x64");
    if (flood == Flood::hello_requests || flood == Flood::hello_requests_among_data)
      all += sealer.seal(handshake, number(0, 4));
    if (flood == Flood::client_hellos || flood == Flood::client_hellos_among_data)
      all += sealer.seal(handshake, client_hello());
  }
  return all;
}

std::string flood_of_tls13(SSL* ssl, Flood flood) {
  BIO* memory = BIO_new(BIO_s_mem());
  SSL_set0_wbio(ssl, memory);
  const bool with_data = flood == Flood::key_updates_among_data || flood == Flood::tickets_among_data;
  const bool tickets = flood == Flood::tickets || flood == Flood::tickets_among_data;
  const int asking = flood == Flood::asked_key_updates ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
  for (int i = 1; BIO_pending(memory) < static_cast<int>(flood_octets); ++i) {
    if (with_data && i % messages_between_data == 0) must(SSL_write(ssl, "x", 1) == 1, "SSL_write");
    must(tickets ? SSL_new_session_ticket(ssl) == 1 : SSL_key_update(ssl, asking) == 1, "making a message");
    must(SSL_do_handshake(ssl) == 1, "writing a message");
  }
  char* start = nullptr;
  const long size = BIO_get_mem_data(memory, &start);
  return {start, static_cast<std::size_t>(size)};
}

SSL_CTX* make_ctx(const net::CertificateFiles* files, Flood flood) {
  SSL_CTX* ctx = SSL_CTX_new(files != nullptr ? TLS_server_method() : TLS_client_method());
  const int version = is_tls13(flood) ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(ctx, version);
  SSL_CTX_set_max_proto_version(ctx, version);
  SSL_CTX_set_cipher_list(ctx, suite_of_tls12);
  if (files == nullptr) return ctx;
  must(SSL_CTX_use_certificate_chain_file(ctx, files->certificate.c_str()) == 1, files->certificate);
  must(SSL_CTX_use_PrivateKey_file(ctx, files->key.c_str(), SSL_FILETYPE_PEM) == 1, files->key);
  return ctx;
}

struct Peer {
  int fd = -1;
  SSL* ssl = nullptr;
  explicit Peer(int connected) : fd(connected) {
    const timeval longest_wait{5, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest_wait, sizeof longest_wait);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest_wait, sizeof longest_wait);
  }
  ~Peer() {
    SSL_free(ssl);
    ::close(fd);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
};

void send_all(int fd, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t sent = ::send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;  // the other side has had enough
    must(sent > 0, "the other side neither reads nor ends");
    octets.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void wait_for_end(int fd) {
  std::array<char, 4096> waste{};
  ssize_t got = 0;
  do {
    got = ::recv(fd, waste.data(), waste.size(), 0);
  } while (got > 0);
  must(got == 0 || errno == ECONNRESET, "the other side does not end the connection");
}

void play(int fd, const net::CertificateFiles* files, Flood flood) {
  Peer peer(fd);
  SSL_CTX* ctx = make_ctx(files, flood);
  peer.ssl = SSL_new(ctx);
  SSL_CTX_free(ctx);
  SSL_set_fd(peer.ssl, fd);
  must((files != nullptr ? SSL_accept(peer.ssl) : SSL_connect(peer.ssl)) == 1, "no handshake");
  const std::string octets =
      is_tls13(flood) ? flood_of_tls13(peer.ssl, flood) : flood_of_tls12(peer.ssl, files != nullptr, flood);
  send_all(fd, octets);
  wait_for_end(fd);
}
}  // namespace

const char* to_text(Flood flood) {
  static constexpr std::array texts{"key updates",
                                    "key updates that ask for one",
                                    "tickets",
                                    "key updates in data",
                                    "tickets in data",
                                    "empty records",
                                    "warnings",
                                    "hello requests",
                                    "client hellos",
                                    "warnings in data",
                                    "hello requests in data",
                                    "client hellos in data"};
  return texts.at(static_cast<std::size_t>(flood));
}

TlsFlooder::TlsFlooder(std::uint16_t port, Flood flood) : port_(port) {
  ::signal(SIGPIPE, SIG_IGN);
  thread_ = std::thread([this, flood] {
    try {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in to = loopback(port_);
      must(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
      play(fd, nullptr, flood);
    } catch (const std::exception& error) {
      problem_ = error.what();
    }
  });
}

TlsFlooder::TlsFlooder(const net::CertificateFiles& files, Flood flood) {
  ::signal(SIGPIPE, SIG_IGN);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at = loopback(0);
  must(::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 && ::listen(listener_, 1) == 0, "listen");
  socklen_t size = sizeof at;
  must(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) == 0, "getsockname");
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this, files, flood] {
    try {
      const int fd = ::accept(listener_, nullptr, nullptr);
      ::close(listener_);
      must(fd >= 0, "accept");
      play(fd, &files, flood);
    } catch (const std::exception& error) {
      problem_ = error.what();
    }
  });
}

std::string TlsFlooder::finish() {
  if (thread_.joinable()) thread_.join();
  return problem_;
}

}  // namespace hoplock::support
