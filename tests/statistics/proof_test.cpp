// SPDX-License-Identifier: Apache-2.0
#include "statistics/proof.h"

#include <doctest/doctest.h>

namespace statistics_proof_test {

using namespace hoplock::statistics;

TEST_CASE("a delivery's proof is what showed who took it, else whether it was encrypted") {
  CHECK(proof_of("dane", "TLSv1.3", "dane-ee") == Proof::dane);
  CHECK(proof_of("sts", "TLSv1.3", "dane-ta") == Proof::dane);
  CHECK(proof_of("sts", "TLSv1.2", "pkix") == Proof::sts);
  CHECK(proof_of("route", "TLSv1.3", "pkix") == Proof::verified);
  CHECK(proof_of("requiretls", "TLSv1.3", "pkix") == Proof::verified);
  CHECK(proof_of("dane", "TLSv1.3", "none") == Proof::encrypted);  // every record unusable
  CHECK(proof_of("opportunistic", "TLSv1.3", "none") == Proof::encrypted);
  CHECK(proof_of("opportunistic", "none", "none") == Proof::clear);
  CHECK(proof_of("", "", "") == Proof::clear);
  for (const Proof one : all_proofs) CHECK(!to_text(one).empty());
}

TEST_CASE("a cipher suite's class: forward secrecy first, then authenticated encryption") {
  CHECK(cipher_class("TLSv1.3", "TLS_AES_256_GCM_SHA384") == "pfs-aead");
  CHECK(cipher_class("TLSv1.3", "") == "pfs-aead");
  CHECK(cipher_class("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384") == "pfs-aead");
  CHECK(cipher_class("TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305") == "pfs-aead");
  CHECK(cipher_class("TLSv1.2", "DHE-RSA-AES128-CCM") == "pfs-aead");
  CHECK(cipher_class("TLSv1.2", "ECDHE-RSA-AES128-SHA256") == "pfs-cbc");
  CHECK(cipher_class("TLSv1.2", "AES128-GCM-SHA256") == "no-pfs");
  CHECK(cipher_class("TLSv1.2", "ECDH-RSA-AES128-SHA") == "no-pfs");
  CHECK(cipher_class("TLSv1.2", "AECDH-AES256-SHA") == "anonymous");
  CHECK(cipher_class("TLSv1.2", "") == "unknown");
  CHECK(cipher_class("none", "") == "none");
}

}  // namespace statistics_proof_test
