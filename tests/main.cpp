// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

// What needs a PostgreSQL server is told apart by its name: of a test of every store, that on PostgreSQL.
int main(int count, char** arguments) {
  doctest::Context context(count, arguments);
  if (access("/usr/lib/postgresql/15/bin/postgres", X_OK) != 0 && std::getenv("CI") == nullptr) {
    std::cout << "postgresql-15 is not installed: the tests of stores on it are left out\n";
    context.addFilter("test-case-exclude", "*contract::Postgres>*");
  }
  return context.run();
}
