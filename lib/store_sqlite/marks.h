// SPDX-License-Identifier: Apache-2.0
// Numbers that the queue keeps under a name: how far it came. On the disk thread, inside jobs.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "disk/job.h"

namespace hoplock::store_sqlite {

std::optional<std::int64_t> read_mark(disk::Tx& tx, std::string_view name);
void set_mark(disk::Tx& tx, std::string_view name, std::int64_t value);
void drop_mark(disk::Tx& tx, std::string_view name);

}  // namespace hoplock::store_sqlite
