// SPDX-License-Identifier: Apache-2.0
// Resource records as values, parsed from rdata in wire format: MX, A/AAAA, TLSA, CNAME, PTR, TXT. A malformed TLSA record
// is kept as data (RFC 7672 section 3.1 wants it unusable, not fatal); every other malformed record is an error of the
// whole answer.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "dns/name.h"

namespace hoplock::dns {

enum class Type : std::uint16_t { a = 1, soa = 6, cname = 5, ptr = 12, mx = 15, txt = 16, aaaa = 28, tlsa = 52 };
std::string_view to_text(Type type);

struct Mx {
  std::uint16_t preference = 0;
  Name exchange;  // the root: "." (RFC 7505)
  auto operator<=>(const Mx&) const = default;
};

// RFC 6698 section 2.1. `data` are the octets of the certificate association data.
struct Tlsa {
  std::uint8_t usage = 0;
  std::uint8_t selector = 0;
  std::uint8_t matching = 0;
  std::string data;
  auto operator<=>(const Tlsa&) const = default;
  std::string params() const;  // "3 1 1"
  std::string text() const;    // "3 1 1 0123abcd…", all of the data in lower-case hex
};

Result<Mx> parse_mx(std::string_view rdata);
Result<Ip> parse_a(std::string_view rdata);
Result<Ip> parse_aaaa(std::string_view rdata);
Result<Name> parse_cname(std::string_view rdata);
Result<Name> parse_ptr(std::string_view rdata);
// Never fails: rdata of fewer than 3 octets gives usage, selector and matching 255 and no data.
Tlsa parse_tlsa(std::string_view rdata);
// The character-strings of one record joined without separator (RFC 7208 section 3.3, RFC 8461 section 3.1).
Result<std::string> parse_txt(std::string_view rdata);

}  // namespace hoplock::dns
