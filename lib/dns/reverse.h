// SPDX-License-Identifier: Apache-2.0
// Addresses in the reverse tree (RFC 1035 section 3.5, RFC 3596 section 2.5), and whether an address that mail leaves from, its PTR record
// and the names said in EHLO from it agree: forward-confirmed reverse DNS (RFC 1912 section 2.1, RFC 5321 section 4.1.4). Receivers look at
// that before they look at the mail. Nothing is looked up here.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ip.h"
#include "dns/answer.h"

namespace hoplock::dns {

// "7.2.0.192.in-addr.arpa", or 32 nibbles below ip6.arpa. An IPv4-mapped address is the IPv4 address in it.
Name reverse_name(const Ip& ip);
// Of the records that lead to such an address: A or AAAA.
Type address_type(const Ip& ip);

// What the DNS says of one address.
struct ReverseFacts {
  Ip ip;
  std::vector<Name> said;  // in EHLO from it: a name, or one for each sender that has its own
  Answer pointer;          // PTR of reverse_name(ip)
  std::map<Name, Answer>
      addresses;  // of its family, of the names said and pointed to; one that is not here was not asked
};

struct Agreement {
  enum class State : std::uint8_t {
    agrees,
    unknown,    // something could not be asked
    differs,    // the PTR record leads to another name that leads back, and the names said lead to the address, too
    disagrees,  // receivers refuse or distrust such mail
  };
  State state = State::unknown;
  std::string why;     // what is not as it should be, or could not be asked; "" where all agrees
  std::string advice;  // what to do; "" where nothing is
};

Agreement agreement(const ReverseFacts& facts);

}  // namespace hoplock::dns
