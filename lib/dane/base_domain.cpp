// SPDX-License-Identifier: Apache-2.0
#include "dane/base_domain.h"

#include <algorithm>

namespace hoplock::dane {

namespace {
void add_once(std::vector<dns::Name>& names, const dns::Name& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}
}  // namespace

std::vector<dns::Name> base_candidates(const AddressState& state) {
  const bool aliased = state.expanded != state.host;
  switch (state.addresses) {
    case dns::Security::secure:
      if (aliased) return {state.expanded, state.host};
      return {state.host};
    case dns::Security::insecure:
      // RFC 7672 section 2.2.2: what follows the first alias is not to be trusted, the name before it is.
      if (aliased && state.first_cname_secure) return {state.host};
      return {};
    case dns::Security::bogus:
      return {};
  }
  return {};
}

std::vector<dns::Name> reference_names(const NameState& state) {
  std::vector<dns::Name> names{state.base};
  if (state.from == NameState::From::insecure_mx) return names;
  // RFC 7672 section 3.2.2: the unexpanded name of an MX host is no reference name, that of a host without MX is.
  if (state.from == NameState::From::no_mx) add_once(names, state.host);
  for (const auto& name : state.next_hop) add_once(names, name);
  return names;
}

}  // namespace hoplock::dane
