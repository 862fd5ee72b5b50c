// SPDX-License-Identifier: Apache-2.0
// A throw-away self-signed certificate, for tests that need DER which really parses.
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace hoplock::testing {

struct Der {
  std::string certificate;
  std::string public_key;  // SubjectPublicKeyInfo
};

inline Der make_der() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 7);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
  X509_set_pubkey(x.get(), key.get());
  X509_sign(x.get(), key.get(), EVP_sha256());
  const auto take = [](unsigned char* octets, int length) {
    std::string text(reinterpret_cast<char*>(octets), static_cast<std::size_t>(length));
    OPENSSL_free(octets);
    return text;
  };
  Der der;
  unsigned char* octets = nullptr;
  int length = i2d_X509(x.get(), &octets);
  der.certificate = take(octets, length);
  octets = nullptr;
  length = i2d_PUBKEY(key.get(), &octets);
  der.public_key = take(octets, length);
  return der;
}

}  // namespace hoplock::testing
