// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/policy_reader.h"

#include "store_sqlite/mail_store.h"
#include "tests/route/sts_world.h"

namespace route_sts_reader_test {

using namespace hoplock;
using namespace hoplock::route;
using namespace hoplock::route::testing;

namespace {
std::vector<std::string> listed(SqlitePolicyReader& reader) {
  std::vector<std::string> domains;
  reader.list([&](const PolicyRow& row) { domains.push_back(row.domain.text()); }).value();
  return domains;
}
}  // namespace

TEST_CASE("PolicyReader: every row, by domain, beside a running daemon") {
  StsWorld world;
  std::vector<std::string> expected;
  auto fill = [](disk::Tx& tx) -> Result<> {
    for (int i = 0; i < 600; ++i) {
      PolicyRow row;
      row.domain = name("d" + std::to_string(1000 + i) + ".example");
      row.checked = row.due = now();
      put_policy(tx, row);
    }
    return {};
  };
  world.loop.run(world.disk->run(disk::Durability::durable, std::move(fill))).value();
  for (int i = 0; i < 600; ++i) expected.push_back("d" + std::to_string(1000 + i) + ".example");
  auto reader = SqlitePolicyReader::open(world.disk->path()).value();
  CHECK(listed(reader) == expected);
  world.publish("1", support::policy("enforce"));
  world.find();
  const auto row = reader.find(name("example.org")).value();
  REQUIRE(row.has_value());
  CHECK(row->text == support::policy("enforce"));
  CHECK_FALSE(reader.find(name("other.example")).value().has_value());
}

TEST_CASE("PolicyReader: a database of a version without policies has none, and no database is an error that says so") {
  const support::TempDirectory dir;
  support::Loop loop;
  CHECK(SqlitePolicyReader::open(dir.file("queue.db")).error().code == errc::no_such_file_or_directory);
  disk::Options options;
  options.directory = dir.path();
  options.migrations = store_sqlite::mail_migrations();
  const auto old = std::move(disk::Disk::open(loop.executor(), options).value());
  auto reader = SqlitePolicyReader::open(old->path()).value();
  CHECK(listed(reader).empty());
  CHECK_FALSE(reader.find(name("example.org")).value().has_value());
}

}  // namespace route_sts_reader_test
