// SPDX-License-Identifier: Apache-2.0
// How a key of one entry of a list is called wherever it is complained of: "routes[2].client_key".
#pragma once
#include <cstddef>
#include <string>

namespace hoplock::config {

inline std::string item(const char* list, std::size_t index, const char* key) {
  return std::string(list) + "[" + std::to_string(index) + "]." + key;
}

}  // namespace hoplock::config
