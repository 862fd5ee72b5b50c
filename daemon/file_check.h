// SPDX-License-Identifier: Apache-2.0
// The last part of a configuration's check: are the certificates, keys and CA files that it names of any use? Loads them as the
// daemon would, and adds complaints with their place. With Files::readable_ones it passes over what this user may not read.
#pragma once
#include "config/check.h"

namespace hoplock::daemon {

void check_file_contents(config::Loaded& loaded, config::Files files = config::Files::looked_at);

}  // namespace hoplock::daemon
