// SPDX-License-Identifier: Apache-2.0
// Prints a configuration that hoplockd accepts as it is: every key, every value in its notation, defaults included.
#pragma once
#include <string>

#include "config/config.h"

namespace hoplock::config {

std::string to_yaml(const Config& config);
// The same as one JSON object.
std::string to_json(const Config& config);

}  // namespace hoplock::config
