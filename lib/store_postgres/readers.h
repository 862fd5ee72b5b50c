// SPDX-License-Identifier: Apache-2.0
// The readers of a database that several nodes share, each on a connection of its own.
#pragma once
#include "postgres/options.h"
#include "store/readers.h"

namespace hoplock::store_postgres {

// Error no_such_file_or_directory: no node has ever used that database.
store::ReadersPtr readers_of(postgres::Options options);

}  // namespace hoplock::store_postgres
