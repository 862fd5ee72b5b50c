// SPDX-License-Identifier: Apache-2.0
// The server's own words as a refusal: its codes stand, in the class of a message that is kept. Pure.
#pragma once
#include "hop/outcome.h"
#include "smtp/reply.h"

namespace hoplock::smtpclient {

hop::Refusal refusal_of(const smtp::Reply& reply);

}  // namespace hoplock::smtpclient
