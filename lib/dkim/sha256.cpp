// SPDX-License-Identifier: Apache-2.0
#include "dkim/sha256.h"

#include <new>

namespace hoplock::dkim {

// What OpenSSL cannot do here but for want of memory is a broken invariant.
Sha256::Sha256() : ctx_(EVP_MD_CTX_new()) {
  if (!ctx_ || EVP_DigestInit_ex(ctx_.get(), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

void Sha256::update(std::string_view octets) {
  if (EVP_DigestUpdate(ctx_.get(), octets.data(), octets.size()) != 1) throw std::bad_alloc();
}

Sha256 Sha256::fork() const {
  Sha256 copy;
  if (EVP_MD_CTX_copy_ex(copy.ctx_.get(), ctx_.get()) != 1) throw std::bad_alloc();
  return copy;
}

std::string Sha256::finish() {
  std::string hash(32, '\0');
  unsigned length = 0;
  if (EVP_DigestFinal_ex(ctx_.get(), reinterpret_cast<unsigned char*>(hash.data()), &length) != 1)
    throw std::bad_alloc();
  return hash;
}

}  // namespace hoplock::dkim
