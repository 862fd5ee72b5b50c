// SPDX-License-Identifier: Apache-2.0
#include "disk/migrations.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <map>

#include "disk/disk.h"
#include "disk/vfs.h"
#include "tests/support/temp_directory.h"

namespace disk_migrations_test {

using namespace hoplock;
using namespace hoplock::disk;

namespace {

const std::vector<Migration> first = {{"one", "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", {}},
                                      {"bodies", "CREATE TABLE body (id INTEGER PRIMARY KEY, data BLOB)", "body"}};
const std::vector<Migration> second = {first[0], first[1], {"two", "ALTER TABLE item ADD COLUMN note TEXT", {}}};

// Every file of a directory but the lock and the shared memory, which say nothing.
std::map<std::string, std::string> files_of(const std::filesystem::path& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const auto name = entry.path().filename().string();
    if (name == "lock" || name.ends_with("-shm")) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    auto octets = std::string{std::istreambuf_iterator<char>(file), {}};
    if (!octets.empty()) all[name] = std::move(octets);
  }
  return all;
}

Result<> open_and_close(const std::filesystem::path& directory, const std::vector<Migration>& migrations) {
  boost::asio::io_context loop;
  Options options;
  options.directory = directory;
  options.migrations = migrations;
  auto disk = Disk::open(loop.get_executor(), options);
  if (!disk) return disk.error();
  return {};
}

void fill(const std::filesystem::path& directory, int rows) {
  auto db = Database::open(directory / "queue.db", Access::read_write).value();
  db.execute("BEGIN");
  for (int i = 0; i < rows; ++i)
    db.prepare("INSERT INTO item (id, text) VALUES (?1, ?2)").bind(i, std::string(100, 'x')).run();
  for (int i = 0; i < rows; ++i)
    db.prepare("INSERT INTO body VALUES (?1, ?2)").bind(i, Blob{std::string(3000, 'y')}).run();
  db.execute("COMMIT");
}

void overwrite(const std::filesystem::path& path, std::streamoff at, std::size_t length) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << std::string(length, '\x5a');
}

}  // namespace

TEST_CASE(
    "progress: a migration counts while it works, though it reads and writes next to nothing, and a short start "
    "counts, too") {
  support::TempDirectory directory;
  const auto open_with = [&](const std::vector<Migration>& migrations) {
    boost::asio::io_context loop;
    Options options;
    options.directory = directory.path();
    options.migrations = migrations;
    const auto before = calls_done();
    const auto disk = Disk::open(loop.get_executor(), options);
    REQUIRE(disk);
    return static_cast<int>(calls_done() - before);
  };
  CHECK(open_with(first) >= 1);
  fill(directory.path(), 2000);
  const int short_start = open_with(first);
  const std::vector<Migration> longer = {first[0],
                                         first[1],
                                         {"two",
                                          "CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + "
                                          "1 FROM n WHERE i < 300000) SELECT count(*) AS i FROM n",
                                          "many"}};
  CHECK(open_with(longer) > short_start + 50);
}

TEST_CASE("migrate: an older file goes forward and keeps its rows") {
  support::TempDirectory dir;
  REQUIRE(open_and_close(dir.path(), first));
  fill(dir.path(), 10);
  CHECK(examine(dir / "queue.db", second).value() == Found::older);
  REQUIRE(open_and_close(dir.path(), second));
  CHECK(examine(dir / "queue.db", second).value() == Found::current);
  auto db = open_read_only(dir / "queue.db").value();
  CHECK(db.integer("SELECT count(*) FROM item WHERE note IS NULL") == 10);
}

TEST_CASE("open: newer, foreign and damaged databases are refused and left untouched") {
  struct Row {
    const char* why;
    std::function<void(const std::filesystem::path&)> make;
    errc::errc_t code;
    const char* says;
  };
  const auto ours = [](const std::filesystem::path& dir) {
    REQUIRE(open_and_close(dir, first));
    fill(dir, 400);
  };
  const Row rows[] = {
      {"newer", [](const auto& dir) { REQUIRE(open_and_close(dir, second)); }, errc::not_supported, "newer"},
      {"another program's SQLite file",
       [](const auto& dir) {
         Database::open(dir / "queue.db", Access::read_write).value().execute("CREATE TABLE t (x)");
       },
       errc::wrong_protocol_type, "not hoplock's"},
      {"not SQLite at all",
       [](const auto& dir) { std::ofstream(dir / "queue.db") << "From: someone\r\n"
                                                             << std::string(5000, 'x'); },
       errc::wrong_protocol_type, "no SQLite header"},
      {"header overwritten",
       [&](const auto& dir) {
         ours(dir);
         overwrite(dir / "queue.db", 0, 16);
       },
       errc::wrong_protocol_type, "damaged"},
      {"first page overwritten behind the magic",
       [&](const auto& dir) {
         ours(dir);
         overwrite(dir / "queue.db", 100, 3000);
       },
       errc::bad_message, "damaged"},
      {"a table missing",
       [&](const auto& dir) {
         ours(dir);
         Database::open(dir / "queue.db", Access::read_write).value().execute("DROP TABLE body");
       },
       errc::bad_message, "schema: table body"},
      {"a page of the table overwritten",
       [&](const auto& dir) {
         ours(dir);
         overwrite(dir / "queue.db", 6 * 4096, 4096);
       },
       errc::bad_message, "damaged"},
      {"cut short",
       [&](const auto& dir) {
         ours(dir);
         std::filesystem::resize_file(dir / "queue.db", 3 * 4096);
       },
       errc::bad_message, "damaged"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    support::TempDirectory dir;
    row.make(dir.path());
    const auto before = files_of(dir.path());
    const auto opened = open_and_close(dir.path(), first);
    REQUIRE(!opened);
    CHECK(opened.error().code == row.code);
    CHECK_MESSAGE(opened.error().detail.find(row.says) != std::string::npos, opened.error().detail);
    CHECK(opened.error().detail.find("queue.db") != std::string::npos);
    CHECK(files_of(dir.path()) == before);
  }
}

TEST_CASE("open: a database cut to nothing, or gone while its log is there, is damaged and nothing is removed") {
  for (const bool gone : {false, true}) {
    support::TempDirectory dir;
    REQUIRE(open_and_close(dir.path(), first));
    {
      std::ofstream log(dir / "queue.db-wal");
      log << std::string(4096, 'x');
    }
    if (gone)
      std::filesystem::remove(dir / "queue.db");
    else
      std::filesystem::resize_file(dir / "queue.db", 0);
    const auto before = files_of(dir.path());
    const auto opened = open_and_close(dir.path(), first);
    REQUIRE(!opened);
    CHECK(opened.error().code == errc::bad_message);
    CHECK(opened.error().detail.find("queue.db: the database is damaged: it is ") != std::string::npos);
    CHECK(files_of(dir.path()) == before);
  }
}

TEST_CASE("open: a log whose header is damaged is not taken for an empty one") {
  support::TempDirectory dir;
  REQUIRE(open_and_close(dir.path(), first));
  const auto log = dir / "queue.db-wal";
  {
    auto db = Database::open(dir / "queue.db", Access::read_write).value();
    db.execute("INSERT INTO item (id, text) VALUES (1, 'only in the log')");
    std::filesystem::copy(log, dir / "kept");
  }
  const struct {
    std::streamoff at;
    std::size_t length;
    bool good;
    const char* why;
  } rows[] = {{0, 0, true, "as SQLite left it"},
              {0, 4, false, "the magic number"},
              {4, 4, false, "the version"},
              {8, 4, false, "what the checksum covers"},
              {28, 4, false, "the checksum"}};
  for (const auto& row : rows) {
    CAPTURE(row.why);
    std::filesystem::copy(dir / "kept", log, std::filesystem::copy_options::overwrite_existing);
    overwrite(log, row.at, row.length);
    const auto found = examine(dir / "queue.db", first);
    CHECK(found.has_value() == row.good);
    if (!found) CHECK(found.error().code == errc::bad_message);
  }
  std::filesystem::resize_file(log, 0);
  std::filesystem::resize_file(log, 4096);  // zeros: a log that was made longer and never written
  CHECK(examine(dir / "queue.db", first).has_value());
}

TEST_CASE("open: a file that was made but never finished counts as nothing") {
  support::TempDirectory dir;
  CHECK(Database::open(dir / "queue.db", Access::read_write).has_value());
  CHECK(examine(dir / "queue.db", first).value() == Found::nothing);
  CHECK(open_and_close(dir.path(), first));
}

TEST_CASE("open: a directory that cannot be made is an error that names it") {
  support::TempDirectory dir;
  { std::ofstream file(dir / "file"); }
  const auto opened = open_and_close(dir / "file" / "data", first);
  REQUIRE(!opened);
  CHECK(opened.error().detail.find("file/data") != std::string::npos);
}

}  // namespace disk_migrations_test
