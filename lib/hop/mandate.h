// SPDX-License-Identifier: Apache-2.0
// The last part of `decide`: what a partner's mandate makes of a plan that DANE, MTA-STS and the operator's other rules made. It is the
// least that mail to the domain gets: a plan that proves as much stays as it is, another one is raised to it, and none is ever weakened.
// Where the mandate decides, the hop's word is `route`. For this module's own sources.
#pragma once
#include "hop/plan.h"

namespace hoplock::hop {

// A rule that is only watched proves nothing, so beside one `verify` asks for the certificate; what it watched is observed then. An
// address that has no name, and a route that forbids TLS, are refused.
Plan with_mandate(Plan plan, const Facts& facts, Mandate mandate);

}  // namespace hoplock::hop
