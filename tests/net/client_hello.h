// SPDX-License-Identifier: Apache-2.0
// A ClientHello as it stood on the wire, taken apart octet by octet.
#pragma once
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hoplock::tests {

struct ClientHello {
  std::vector<int> versions;  // of supported_versions
  std::vector<int> suites;
  std::vector<int> compressions;
  std::vector<int> extensions;
  std::string sni;
  bool has(int extension) const {
    return std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
  }
};

// Takes numbers and blocks from the front; throws at the end.
class Octets {
 public:
  explicit Octets(std::string_view octets) : rest_(octets) {}
  bool empty() const { return rest_.empty(); }
  int number(int size) {
    int value = 0;
    for (const char c : take(static_cast<std::size_t>(size))) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  // A block behind its length.
  Octets block(int length_size) { return Octets(take(static_cast<std::size_t>(number(length_size)))); }
  std::string_view take(std::size_t size) {
    if (rest_.size() < size) throw std::runtime_error("the ClientHello is too short");
    const std::string_view front = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return front;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

inline void parse_extension(int kind, Octets body, ClientHello& hello) {
  hello.extensions.push_back(kind);
  if (kind == TLSEXT_TYPE_server_name) {
    Octets list = body.block(2);
    list.number(1);
    hello.sni = list.block(2).rest();
  }
  if (kind == TLSEXT_TYPE_supported_versions) {
    for (Octets list = body.block(1); !list.empty();) hello.versions.push_back(list.number(2));
  }
}

// `wire`: one handshake record in clear.
inline ClientHello parse_client_hello(std::string_view wire) {
  ClientHello hello;
  Octets record(wire);
  if (record.number(1) != 22) throw std::runtime_error("no handshake record");
  record.number(2);
  Octets message = record.block(2);
  if (message.number(1) != 1) throw std::runtime_error("no ClientHello");
  Octets body = message.block(3);
  const int legacy_version = body.number(2);
  body.take(32);
  body.block(1);
  for (Octets suites = body.block(2); !suites.empty();) {
    const int suite = suites.number(2);
    if (suite != 0x00ff) hello.suites.push_back(suite);  // the renegotiation signal is no suite
  }
  for (Octets methods = body.block(1); !methods.empty();) hello.compressions.push_back(methods.number(1));
  for (Octets all = body.block(2); !all.empty();) {
    const int kind = all.number(2);
    parse_extension(kind, all.block(2), hello);
  }
  if (hello.versions.empty()) hello.versions.push_back(legacy_version);
  return hello;
}

// As `openssl ciphers -v` tells: "ECDHE-… TLSv1.2 Kx=ECDH Au=ECDSA Enc=AESGCM(256) Mac=AEAD".
inline std::string describe_suite(int suite) {
  SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(ctx);
  const std::array<unsigned char, 2> id{static_cast<unsigned char>(suite >> 8),
                                        static_cast<unsigned char>(suite & 255)};
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, id.data());
  std::array<char, 256> text{};
  if (cipher != nullptr) SSL_CIPHER_description(cipher, text.data(), static_cast<int>(text.size()));
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  return cipher != nullptr ? text.data() : "unknown to OpenSSL: Enc=None";
}

}  // namespace hoplock::tests
