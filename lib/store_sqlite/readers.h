// SPDX-License-Identifier: Apache-2.0
// The readers of a database file: straight from it, on connections that only read.
#pragma once
#include <filesystem>

#include "store/readers.h"

namespace hoplock::store_sqlite {

store::ReadersPtr readers_of(std::filesystem::path database);

}  // namespace hoplock::store_sqlite
