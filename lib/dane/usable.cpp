// SPDX-License-Identifier: Apache-2.0
#include "dane/usable.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

namespace hoplock::dane {

namespace {
enum Usage : std::uint8_t { dane_ta = 2, dane_ee = 3 };
enum Selector : std::uint8_t { certificate = 0, public_key = 1 };
enum Matching : std::uint8_t { full = 0, sha2_256 = 1, sha2_512 = 2 };

struct Free {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// What the parsers below leave in OpenSSL's error queue must not be found by whoever reads it next.
class QuietErrors {
 public:
  QuietErrors() { ERR_set_mark(); }
  ~QuietErrors() { ERR_pop_to_mark(); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

// All of `der` is one certificate, and its key is one that can be used.
bool is_certificate(const std::string& der) {
  const QuietErrors quiet;
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const auto* at = begin;
  const std::unique_ptr<X509, Free> parsed(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  return parsed && at == begin + der.size() && X509_get0_pubkey(parsed.get()) != nullptr;
}

// All of `der` is one SubjectPublicKeyInfo.
bool is_public_key(const std::string& der) {
  const QuietErrors quiet;
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const auto* at = begin;
  const std::unique_ptr<EVP_PKEY, Free> parsed(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  return parsed && at == begin + der.size();
}

// Whether the record counts beside `others`: Full(0) always, a digest only if none is stronger (RFC 7671 section 9).
bool has_strongest_digest(const dns::Tlsa& record, const std::vector<dns::Tlsa>& others) {
  if (record.matching == full) return true;
  return std::none_of(others.begin(), others.end(), [&](const dns::Tlsa& other) {
    return other.usage == record.usage && other.selector == record.selector && other.matching > record.matching;
  });
}
}  // namespace

bool is_usable(const dns::Tlsa& record) {
  if (record.usage != dane_ta && record.usage != dane_ee)
    return false;  // RFC 7672 section 3.1.3: never PKIX-TA, PKIX-EE
  if (record.selector != certificate && record.selector != public_key) return false;
  switch (record.matching) {
    case full:
      return record.selector == certificate ? is_certificate(record.data) : is_public_key(record.data);
    case sha2_256:
      return record.data.size() == 32;
    case sha2_512:
      return record.data.size() == 64;
    default:
      return false;
  }
}

std::vector<dns::Tlsa> usable(const std::vector<dns::Tlsa>& records) {
  std::vector<dns::Tlsa>
      known;  // unusable records first drop out, so that a broken strong digest shadows no weaker one
  std::copy_if(records.begin(), records.end(), std::back_inserter(known), is_usable);
  std::vector<dns::Tlsa> chosen;
  for (const auto& record : known) {
    const bool seen = std::find(chosen.begin(), chosen.end(), record) != chosen.end();
    if (!seen && has_strongest_digest(record, known)) chosen.push_back(record);
  }
  return chosen;
}

}  // namespace hoplock::dane
