// SPDX-License-Identifier: Apache-2.0
// What a server offers in its answer to EHLO (RFC 5321 section 4.1.1.1). Keywords in any case; unknown ones are
// ignored.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/reply.h"

namespace hoplock::smtp {

struct Capabilities {
  bool extended = false;  // EHLO was accepted; false: only HELO was
  bool size = false;
  std::optional<std::uint64_t> size_limit;  // SIZE with a number above 0
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool binary_mime = false;
  bool starttls = false;
  bool enhanced_status_codes = false;
  bool chunking = false;
  bool dsn = false;
  bool smtputf8 = false;
  bool require_tls = false;
  std::vector<std::string> auth;  // mechanisms, upper case

  static Capabilities parse(const Reply& ehlo);
  // False: the server said that it takes no message of this size (RFC 1870 section 6.1).
  bool takes(std::uint64_t octets) const { return !size_limit || octets <= *size_limit; }
  bool offers_auth(std::string_view mechanism) const;
};

}  // namespace hoplock::smtp
