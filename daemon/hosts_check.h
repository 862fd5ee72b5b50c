// SPDX-License-Identifier: Apache-2.0
// Whether the hosts that routes name can be found, as the daemon would look for them: names of an inner DNS are unknown to a resolver
// that asks the public one. Asks the network, for ten seconds at most; warns, for a name may come later.
#pragma once
#include "config/reader.h"

namespace hoplock::daemon {

void check_hosts(config::Loaded& loaded);

}  // namespace hoplock::daemon
