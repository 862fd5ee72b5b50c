// SPDX-License-Identifier: Apache-2.0
// SHA-256 in steps.
#pragma once
#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace hoplock::dkim {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view octets);
  // What was hashed up to here, as a hash of its own to go on with.
  Sha256 fork() const;
  // The 32 octets. REQUIRES: called once; nothing is updated afterwards.
  std::string finish();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> ctx_;
};

}  // namespace hoplock::dkim
