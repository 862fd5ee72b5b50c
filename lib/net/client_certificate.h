// SPDX-License-Identifier: Apache-2.0
// The certificate that a client of ours presented: who it is, and whether an authority of `client_ca` vouches for it now.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "net/stream.h"

namespace hoplock::net {

struct PresentedCertificate {
  std::string key_digest;          // SHA-256 of its public key, lower-case hex
  std::string subject;             // RFC 4514, as one line
  std::vector<std::string> names;  // DNS names; whether they prove anything, `error` says
  std::string expires;             // RFC 3339
  std::string error;               // what is wrong with it; "" verified
};

// nullopt: in clear, or none was presented.
std::optional<PresentedCertificate> client_certificate(const Stream& stream);

}  // namespace hoplock::net
