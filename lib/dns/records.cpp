// SPDX-License-Identifier: Apache-2.0
#include "dns/records.h"

#include "base/ascii.h"

namespace hoplock::dns {

namespace {
std::uint8_t octet(std::string_view rdata, std::size_t at) { return static_cast<std::uint8_t>(rdata[at]); }
}  // namespace

std::string_view to_text(Type type) {
  switch (type) {
    case Type::a:
      return "A";
    case Type::soa:
      return "SOA";
    case Type::cname:
      return "CNAME";
    case Type::ptr:
      return "PTR";
    case Type::mx:
      return "MX";
    case Type::txt:
      return "TXT";
    case Type::aaaa:
      return "AAAA";
    case Type::tlsa:
      return "TLSA";
  }
  return "?";
}

std::string Tlsa::params() const {
  return std::to_string(usage) + " " + std::to_string(selector) + " " + std::to_string(matching);
}
std::string Tlsa::text() const { return params() + " " + to_hex(data); }

Result<Mx> parse_mx(std::string_view rdata) {
  if (rdata.size() < 3) return bad_input("MX record cut short");
  auto exchange = Name::from_wire(rdata.substr(2));
  if (!exchange) return bad_input("MX record: " + exchange.error().detail);
  Mx mx;
  mx.preference = static_cast<std::uint16_t>((octet(rdata, 0) << 8U) | octet(rdata, 1));
  mx.exchange = std::move(*exchange);
  return mx;
}

Result<Ip> parse_a(std::string_view rdata) {
  if (rdata.size() != 4) return bad_input("A record of " + std::to_string(rdata.size()) + " octets");
  return Ip::from_octets(rdata);
}

Result<Ip> parse_aaaa(std::string_view rdata) {
  if (rdata.size() != 16) return bad_input("AAAA record of " + std::to_string(rdata.size()) + " octets");
  return Ip::from_octets(rdata);
}

Result<Name> parse_cname(std::string_view rdata) { return Name::from_wire(rdata); }
Result<Name> parse_ptr(std::string_view rdata) { return Name::from_wire(rdata); }

Tlsa parse_tlsa(std::string_view rdata) {
  if (rdata.size() < 3) return Tlsa{255, 255, 255, {}};
  return Tlsa{octet(rdata, 0), octet(rdata, 1), octet(rdata, 2), std::string(rdata.substr(3))};
}

Result<std::string> parse_txt(std::string_view rdata) {
  std::string text;
  if (rdata.empty()) return bad_input("empty TXT record");
  while (!rdata.empty()) {
    const std::size_t length = octet(rdata, 0);
    if (length + 1 > rdata.size()) return bad_input("TXT record cut short");
    text += rdata.substr(1, length);
    rdata.remove_prefix(length + 1);
  }
  return text;
}

}  // namespace hoplock::dns
