// SPDX-License-Identifier: Apache-2.0
// The last part of a configuration's check: are the certificates, keys and CA files that it names of any use? Loads them as the
// daemon would, and adds complaints with their place.
#pragma once
#include "config/reader.h"

namespace hoplock::daemon {

void check_parts(config::Loaded& loaded);

}  // namespace hoplock::daemon
