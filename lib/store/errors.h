// SPDX-License-Identifier: Apache-2.0
// Errors of a store that callers branch on.
#pragma once
#include "base/result.h"

namespace hoplock::store {

// The store has no room, or cannot be written or read now: ask again.
inline bool is_unavailable(const Error& error) {
  return error.code == errc::no_space_on_device || error.code == errc::io_error ||
         error.code == errc::read_only_file_system || error.code == errc::device_or_resource_busy;
}

}  // namespace hoplock::store
