// SPDX-License-Identifier: Apache-2.0
#include "net/peer_chain.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace hoplock::net {

std::vector<std::string> peer_chain(const Stream& stream) {
  std::vector<std::string> chain;
  const SSL* ssl = stream.ssl();
  const STACK_OF(X509)* sent = ssl == nullptr ? nullptr : SSL_get_peer_cert_chain(ssl);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(sk_X509_value(sent, i), &der);
    if (size <= 0) continue;
    chain.emplace_back(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
  }
  return chain;
}

}  // namespace hoplock::net
