// SPDX-License-Identifier: Apache-2.0
// One batch of an operator's action in the tables. On the disk thread, inside jobs.
#pragma once
#include "disk/job.h"
#include "store/admin.h"
#include "store_sqlite/bodies.h"
#include "store_sqlite/places.h"

namespace hoplock::store_sqlite {

using namespace store;

AdminResult act(disk::Tx& tx, Places& places, const AdminBatch& batch, Bodies bodies);

}  // namespace hoplock::store_sqlite
