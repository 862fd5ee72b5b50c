// SPDX-License-Identifier: Apache-2.0
// The one Received field that a relay prepends (RFC 5321 section 4.4, RFC 3848; SUB-31). Whatever the client said is
// made harmless here: nothing it sends can end the field, open a comment or add a clause.
#pragma once
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/time.h"

namespace hoplock::message {

struct Received {
  std::string_view helo;         // as the client gave it; "" becomes "unknown"
  std::string_view client_name;  // only when its address maps back to it, else ""
  Ip client;
  std::string_view by;    // our host name
  std::string_view with;  // SMTP, ESMTP, ESMTPS
  std::string_view id;
  std::string_view tls_version;  // "TLSv1.3"; "" in clear
  std::string_view tls_cipher;
  std::string_view for_address;  // without brackets; only for a message with a single recipient, else ""
  Time date{};
};

// The whole field, folded, with its final CRLF.
std::string to_field(const Received& received);

}  // namespace hoplock::message
