// SPDX-License-Identifier: Apache-2.0
// Certificates as facts for people and for TLSA: names, dates, digests; PEM files as what OpenSSL wants. For this module's own sources.
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dns/records.h"
#include "net/options.h"

namespace hoplock::net {

struct X509Free {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
  void operator()(STACK_OF(X509) * p) const { sk_X509_pop_free(p, X509_free); }
};
template <class T>
using Owned = std::unique_ptr<T, X509Free>;

// A key pair with what is sent after its certificate.
struct Identity {
  Owned<X509> certificate;
  Owned<EVP_PKEY> key;
  Owned<STACK_OF(X509)> chain;
};
// Errors name the file and what is wrong with it.
Result<Identity> load_identity(const CertificateFiles& files);

// SHA-256 of the SubjectPublicKeyInfo, lower-case hex.
std::string key_digest(X509* certificate);
// Whether the record's data are this certificate's (RFC 6698 section 2.1): the comparison alone, without any trust.
bool is_equal(const dns::Tlsa& record, X509* certificate);

// Foreign text for one line: printable ASCII, others as '?', at most 64 octets.
std::string printable(std::string_view text);
// "a.example, b.example and 7 more": DNS-IDs, or without them the common name, or "no host name".
std::string names_of(X509* certificate);
// The subject's common name or organization, in quotes; "" without.
std::string subject_of(X509* certificate);
// "2026-01-02"
std::string day_of(const ASN1_TIME* time);

}  // namespace hoplock::net
