// SPDX-License-Identifier: Apache-2.0
#include "statistics/proof.h"

namespace hoplock::statistics {

std::string_view to_text(Proof proof) {
  static constexpr std::array<std::string_view, 5> words{"dane", "sts", "verified", "encrypted", "clear"};
  return words.at(static_cast<std::size_t>(proof));
}

Proof proof_of(std::string_view policy, std::string_view tls, std::string_view auth) {
  if (auth == "dane-ee" || auth == "dane-ta") return Proof::dane;
  if (auth == "pkix") return policy == "sts" ? Proof::sts : Proof::verified;
  return tls.empty() || tls == "none" ? Proof::clear : Proof::encrypted;
}

std::string_view cipher_class(std::string_view tls, std::string_view cipher) {
  if (tls.empty() || tls == "none") return "none";
  if (tls == "TLSv1.3") return "pfs-aead";  // it has no other suites
  if (cipher.empty()) return "unknown";
  if (cipher.starts_with("ADH-") || cipher.starts_with("AECDH-")) return "anonymous";
  if (!cipher.starts_with("ECDHE-") && !cipher.starts_with("DHE-")) return "no-pfs";
  for (const std::string_view aead : {"GCM", "CHACHA20", "CCM"})
    if (cipher.find(aead) != std::string_view::npos) return "pfs-aead";
  return "pfs-cbc";
}

}  // namespace hoplock::statistics
