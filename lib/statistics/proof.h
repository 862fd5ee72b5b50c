// SPDX-License-Identifier: Apache-2.0
// How strongly a delivery was protected, from the words of the contract ("The words for a hop's security"): one class that reports add up
// by, and what a cipher suite promises. Pure; decides nothing about mail.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace hoplock::statistics {

// On disk (statistics_series has a column for each, in this order).
enum class Proof : std::uint8_t {
  dane = 0,       // the peer's certificate matched a TLSA record that DNSSEC vouches for
  sts = 1,        // an MTA-STS policy governed, and the certificate passed
  verified = 2,   // a certificate of a public authority passed, under another rule
  encrypted = 3,  // TLS, and nobody knows with whom
  clear = 4,
};
inline constexpr std::array<Proof, 5> all_proofs{Proof::dane, Proof::sts, Proof::verified, Proof::encrypted,
                                                 Proof::clear};
std::string_view to_text(Proof proof);  // "dane" "sts" "verified" "encrypted" "clear"
Proof proof_of(std::string_view policy, std::string_view tls, std::string_view auth);

// "pfs-aead": forward secrecy and authenticated encryption; "pfs-cbc": forward secrecy alone; "no-pfs": the server's key opens what was
// recorded; "anonymous": no certificate at all; "none": no TLS; "unknown". `cipher`: OpenSSL's name.
std::string_view cipher_class(std::string_view tls, std::string_view cipher);

}  // namespace hoplock::statistics
