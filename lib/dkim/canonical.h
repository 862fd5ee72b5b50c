// SPDX-License-Identifier: Apache-2.0
// The relaxed canonicalisations of RFC 6376 section 3.4: what is hashed of a header field and of a body. Both are exact and
// bounded: the body comes in pieces of any size and nothing of it is kept. Lines end with CRLF; a lone CR or LF is an octet
// like any other.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dkim/sha256.h"

namespace hoplock::dkim {

inline constexpr std::string_view crlf = "\r\n";

// A whole field, folded or not, with or without its final CRLF, as "name:value\r\n" (section 3.4.2).
// REQUIRES: `field` has a colon.
std::string relaxed_field(std::string_view field);

// The hash of a body (section 3.4.4), the same in every split.
class BodyHash {
 public:
  void feed(std::string_view octets);
  // The 32 octets. REQUIRES: called once, after the last feed.
  std::string finish();

 private:
  void take(std::string_view text);
  void end_line();
  void put(std::string_view octets);
  void flush();

  Sha256 hash_;
  std::string buffer_;               // what is to be hashed next; at most `most_buffered`
  std::uint64_t waiting_lines_ = 0;  // line ends that count only if something follows
  bool waiting_blank_ = false;       // blanks that count, as one space, only if something follows in the line
  bool waiting_cr_ = false;          // the last octet was a CR
  bool begun_ = false;               // something was hashed
};

}  // namespace hoplock::dkim
