// SPDX-License-Identifier: Apache-2.0
// The name of the site that a domain's hosts are. Domains with the same hosts are one site, whoever owns them: the receiver sees one sender
// (as KumoMTA's site name). Pure.
#pragma once
#include <string>

#include "route/router.h"

namespace hoplock::route {

// Names and ports, sorted, without hosts that an enforced policy rules out; long ones are cut, with a digest that tells them apart, so that
// nobody can make a set that passes for another's. Of a route with hosts or limits: the route's.
std::string site_of(const Hosts& hosts);

}  // namespace hoplock::route
