// SPDX-License-Identifier: Apache-2.0
// What a database's errors are to users of a store.
#pragma once
#include "postgres/errors.h"

namespace hoplock::store_postgres {

// Away, in doubt, or not ours any more: ask again. The rest keeps its code.
inline Error store_error(const Error& error) {
  if (error.code == errc::owner_dead || error.code == errc::timed_out ||
      error.code == errc::resource_unavailable_try_again)
    return fail(errc::device_or_resource_busy, error.detail);
  return error;
}

}  // namespace hoplock::store_postgres
