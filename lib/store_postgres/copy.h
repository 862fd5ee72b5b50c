// SPDX-License-Identifier: Apache-2.0
// A shared database as what mail is copied into. Nodes may run on it meanwhile: a message is there as a whole, or not at all.
#pragma once
#include <memory>

#include "postgres/blocking.h"
#include "store/copied.h"

namespace hoplock::store_postgres {

// REQUIRES: the database has all its tables.
std::unique_ptr<store::CopyTarget> copy_target(postgres::BlockingConnection connection);

}  // namespace hoplock::store_postgres
