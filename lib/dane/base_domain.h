// SPDX-License-Identifier: Apache-2.0
// Where TLSA records of an MX host may stand, and which names its certificate may carry: RFC 7672 sections 2.2.2, 2.2.3, 3.2.
// Pure choices over the answers that `route` gathered.
#pragma once
#include <vector>

#include "dns/answer.h"

namespace hoplock::dane {

// Address answers of one host, as RFC 7672 section 2.2.2 needs them.
struct AddressState {
  dns::Name host;                                     // as the MX record names it
  dns::Name expanded;                                 // where its aliases end; == host without aliases
  dns::Security addresses = dns::Security::insecure;  // of the address RRsets that will be used, aliases included
  bool first_cname_secure =
      false;  // answer of the CNAME query for `host`; asked only when aliased and insecure (DNS-11)
};

// The TLSA base domains to try, in order (DANE-23, 27, 28): secure: expanded, then host; insecure but the first CNAME secure:
// host only; otherwise none (DANE-03).
std::vector<dns::Name> base_candidates(const AddressState& state);

// What the reference names of a DANE-TA(2) check depend on.
struct NameState {
  dns::Name base;  // where TLSA was found
  dns::Name host;  // as the MX record (or the route) names it
  enum class From { secure_mx, insecure_mx, no_mx } from = From::insecure_mx;  // no_mx: implicit MX or configured host
  std::vector<dns::Name>
      next_hop;  // the next-hop domain and, if it is an alias, its expansion; empty for configured hosts
};

// DANE-05, 21, 22, 32, 33. The base domain is first. Secure MX: base + next-hop names; insecure MX: base only;
// no MX: base + host when the base is its expansion, + next-hop names (implicit MX: the same name).
std::vector<dns::Name> reference_names(const NameState& state);

}  // namespace hoplock::dane
