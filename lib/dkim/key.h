// SPDX-License-Identifier: Apache-2.0
// A signing key (RFC 6376 section 3.3.1, RFC 8301, RFC 8463): read from PEM, RSA of at least 2048 bits or Ed25519. It signs
// header hashes and says what the DNS has to publish. Refuses everything weaker, and never makes SHA-1 signatures.
#pragma once
#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::dkim {

enum class Algorithm : std::uint8_t { rsa_sha256, ed25519_sha256 };
std::string_view to_text(Algorithm algorithm);  // the a= tag: "rsa-sha256"

class Key {
 public:
  static constexpr int least_rsa_bits = 2048;

  // One private key without passphrase, PKCS #8 or traditional. The error says what is wrong with it, never what is in it.
  static Result<Key> parse(std::string_view pem);

  // A new one, as PKCS #8 in PEM: RSA of 2048 bits, which every verifier knows and every DNS server stores, or Ed25519 (RFC 8463).
  static Result<std::string> make(Algorithm algorithm);

  Algorithm algorithm() const { return algorithm_; }
  // The signature over a header hash. REQUIRES: `sha256` is 32 octets.
  Result<std::string> sign(std::string_view sha256) const;
  // The p= tag of the key record: base64 of SubjectPublicKeyInfo, or of the bare 32 octets of Ed25519 (RFC 8463 section 4).
  const std::string& public_key() const { return public_key_; }
  // The whole TXT record: "v=DKIM1; k=rsa; p=…".
  std::string record() const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  using Handle = std::unique_ptr<EVP_PKEY, Free>;
  Key(Handle key, Algorithm algorithm, std::string public_key);
  static Result<Key> from(Handle key);

  Handle key_;
  Algorithm algorithm_;
  std::string public_key_;
};

}  // namespace hoplock::dkim
