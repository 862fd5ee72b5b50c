// SPDX-License-Identifier: Apache-2.0
#include "route/options.h"

namespace hoplock::route {

std::string to_text(const NextHop& hop) {
  const auto* name = std::get_if<dns::Name>(&hop.host);
  return (name != nullptr ? name->text() : std::get<Ip>(hop.host).literal()) + ":" + std::to_string(hop.port);
}

}  // namespace hoplock::route
