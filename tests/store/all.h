// SPDX-License-Identifier: Apache-2.0
// All implementations there are of the interfaces in lib/store. Without Debian's postgresql-15 the tests of that one are left out, and
// tests/main.cpp says so.
#pragma once
#include "tests/store/postgres.h"
#include "tests/store/sqlite.h"

#define HOPLOCK_STORES hoplock::store::contract::Sqlite, hoplock::store::contract::Postgres
