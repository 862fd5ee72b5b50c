// SPDX-License-Identifier: Apache-2.0
#include "net/chain_limits.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "net/tls_limits.h"

namespace hoplock::net {

namespace {
constexpr int most_rsa_bits = 8192;
constexpr int most_exponent_bits = 64;  // 65537 has 17; one as long as the key costs as much as a signature
constexpr std::size_t most_comparisons = 65536;
constexpr std::size_t cost_of_other_name =
    64;  // RFC 9598 section 6: constraints are decoded anew for each e-mail address of this kind

std::string_view parameter(const EVP_PKEY* key, const char* name, std::array<char, 64>& room) {
  std::size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, name, room.data(), room.size(), &size) != 1) return {};
  return {room.data(), size};
}

const char* excess_of_rsa(const EVP_PKEY* key) {
  if (EVP_PKEY_get_bits(key) > most_rsa_bits) return "a certificate's RSA key has more than 8192 bits";
  BIGNUM* exponent = nullptr;
  const bool known = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1;
  const bool large = known && BN_num_bits(exponent) > most_exponent_bits;
  BN_free(exponent);
  return large ? "a certificate's RSA exponent has more than 64 bits" : nullptr;
}

const char* excess_of_curve(const EVP_PKEY* key) {
  std::array<char, 64> room{};
  if (parameter(key, OSSL_PKEY_PARAM_EC_FIELD_TYPE, room) != SN_X9_62_prime_field)
    return "a certificate's key is on a binary curve";
  if (parameter(key, OSSL_PKEY_PARAM_EC_ENCODING, room) != OSSL_PKEY_EC_ENCODING_GROUP)
    return "a certificate's key is on a curve of its own";  // RFC 5480 section 2.1.1: named ones only
  return nullptr;
}

const char* excess_of_key(X509* certificate) {
  const EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr) return nullptr;  // nothing can be done with it, and nothing is
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return excess_of_rsa(key);
    case EVP_PKEY_EC:
      return excess_of_curve(key);
    case EVP_PKEY_DSA:
    case EVP_PKEY_DH:
    case EVP_PKEY_DHX:
      return "a certificate's key is of a kind that is no longer used";
    default:
      return nullptr;
  }
}

std::size_t constraints_of(X509* certificate) {
  auto* found = static_cast<NAME_CONSTRAINTS*>(X509_get_ext_d2i(certificate, NID_name_constraints, nullptr, nullptr));
  if (found == nullptr) return 0;
  const int count = std::max(0, sk_GENERAL_SUBTREE_num(found->permittedSubtrees)) +
                    std::max(0, sk_GENERAL_SUBTREE_num(found->excludedSubtrees));
  NAME_CONSTRAINTS_free(found);
  return static_cast<std::size_t>(count);
}

std::size_t count_names(X509* certificate) {
  auto* found = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::size_t count = static_cast<std::size_t>(std::max(0, X509_NAME_entry_count(X509_get_subject_name(certificate))));
  for (int i = 0; i < sk_GENERAL_NAME_num(found); ++i)
    count += sk_GENERAL_NAME_value(found, i)->type == GEN_OTHERNAME ? cost_of_other_name : 1;
  GENERAL_NAMES_free(found);
  return count;
}
}  // namespace

const char* excess_of(const STACK_OF(X509) * chain) {
  std::size_t constraints = 0;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* const one = sk_X509_value(chain, i);
    if (const char* excess = excess_of_key(one); excess != nullptr) return excess;
    constraints += constraints_of(one);
  }
  if (constraints == 0) return nullptr;
  std::size_t names = 0;
  for (int i = 0; i < sk_X509_num(chain); ++i) names += count_names(sk_X509_value(chain, i));
  return constraints * names > most_comparisons ? "the certificates have too many names and name constraints" : nullptr;
}

int verify_within_limits(X509_STORE_CTX* ctx, void* /*nothing*/) {
  const char* excess = excess_of(X509_STORE_CTX_get0_untrusted(ctx));
  if (excess == nullptr) return X509_verify_cert(ctx);
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx()));
  refuse(ssl, excess);
  X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);  // else a client goes on
  return 0;
}

}  // namespace hoplock::net
