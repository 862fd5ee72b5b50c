// SPDX-License-Identifier: Apache-2.0
// A file system without room, for real (DUR-04): what must go on goes on, and what waited for room is done when there is some.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "disk/ballast.h"
#include "disk/disk.h"
#include "tests/disk/world.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/small_disk.h"

namespace disk_space_test {

using namespace hoplock;
using namespace hoplock::disk;
using namespace std::chrono_literals;

namespace {

struct Shop : test::World {
  explicit Shop(const std::filesystem::path& directory, std::uint64_t ballast = 0)
      : World(options_with(directory, ballast)) {}
  static Options options_with(const std::filesystem::path& directory, std::uint64_t ballast) {
    Options options;
    options.directory = directory;
    options.migrations = test::one_table;
    options.ballast_bytes = ballast;
    return options;
  }
  Result<int> take(int id) {
    auto job = [id](Tx& tx) -> Result<int> {
      tx.prepare("DELETE FROM item WHERE id = ?1").bind(id).run();
      return id;
    };
    return loop.run(disk->run(Durability::durable, std::move(job)));
  }
};

std::uint64_t octets_of(const std::filesystem::path& file) {
  struct stat found {};
  return ::stat(file.c_str(), &found) == 0 ? static_cast<std::uint64_t>(found.st_blocks) * 512 : 0;
}

constexpr std::uint64_t mebibyte = 1U << 20U;

int give_and_take(const std::filesystem::path& directory) {
  const auto file = directory / "ballast";
  {
    Ballast ballast(directory, 64 * mebibyte);
    if (ballast.octets() != 2 * mebibyte || ballast.missing() != 2 * mebibyte) return 1;  // a sixteenth of it
    if (ballast.take(3 * mebibyte) || octets_of(file) != 0) return 2;                     // too little would be left
    if (!ballast.take(4 * mebibyte) || octets_of(file) != 2 * mebibyte || ballast.missing() != 0) return 3;
    if (!ballast.give(Ballast::Part::most) || octets_of(file) != mebibyte / 4) return 4;
    if (ballast.give(Ballast::Part::most) || !ballast.give(Ballast::Part::all) || octets_of(file) != 0) return 5;
    support::fill_up(directory);
    if (ballast.take(4 * mebibyte) || octets_of(file) != 0) return 6;  // what was said to be free is not
    std::filesystem::resize_file(directory / "foreign", std::filesystem::file_size(directory / "foreign") - mebibyte);
  }
  if (octets_of(file) < mebibyte / 2) return 7;  // at the end it takes what there is
  Ballast again(directory, 64 * mebibyte);
  return again.missing() + octets_of(file) == again.octets() ? 0 : 8;
}

int somebody_fills(const std::filesystem::path& directory) {
  {
    Shop shop(directory, 16 * mebibyte);
    for (int id = 0; id < 20; ++id)
      if (!shop.insert(id, 50'000)) return 1;
    if (octets_of(directory / "ballast") != 4 * mebibyte) return 2;
    support::fill_up(directory);
    for (int id = 100; id < 700; ++id)
      if (!shop.insert(id, 1000)) return 3;
    if (!shop.until([&] { return shop.disk->free_bytes() == 0; })) return 4;
    for (int id = 0; id < 20; ++id)
      if (!shop.take(id)) return 5;
  }
  support::fill_up(directory);
  {
    Shop shop(directory, 16 * mebibyte);
    if (shop.count() != 600) return 6;
    for (int id = 100; id < 400; ++id)
      if (!shop.take(id)) return 7;
    std::filesystem::remove(directory / "foreign");
    if (!shop.until([&] { return shop.disk->free_bytes() > 40 * mebibyte; })) return 8;
    if (!shop.until([&] { return octets_of(directory / "ballast") == 4 * mebibyte; })) return 9;
  }
  return 0;
}

// Many times the pages of the log have yet to come to the database: they count as taken.
int copied_later(const std::filesystem::path& directory) {
  Shop shop(directory);
  const auto before = shop.disk->free_bytes();
  for (int id = 0; id < 12; ++id)
    if (!shop.insert(id, mebibyte)) return 1;
  if (!shop.until([&] { return shop.disk->free_bytes() < before - 23 * mebibyte; }, 1s)) return 2;
  return shop.disk->free_bytes() > before - 27 * mebibyte ? 0 : 3;
}

// A clean end, then somebody makes files until the file system has names for no more.
int no_names_left(const std::filesystem::path& directory) {
  constexpr std::uint64_t ballast = 2 * mebibyte;
  if (!Shop(directory, ballast).insert(1, 10)) return 9;
  const auto make = [&directory](const std::string& name) {
    const int fd = ::open((directory / name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  };
  for (int n = 0; make("file" + std::to_string(n)); ++n)
    if (n > 1000) return 1;
  for (int start = 0; start < 3; ++start) {
    Shop shop(directory, ballast);
    if (!shop.insert(10 + start, 100'000) || shop.count() != 2 + start) return 2;
    shop.until([] { return false; }, 1200ms);  // it looks after the ballast once a second
    if (!make("control.sock")) return 3;
    if (!shop.insert(20 + start, 10) || !shop.take(20 + start)) return 4;
    std::filesystem::remove(directory / "control.sock");
  }
  return 0;
}

// Somebody fills the disk and takes the store's files away in the last moment. What is told.
std::vector<News> taken_away_at_the_end(const std::filesystem::path& directory, std::uint64_t ballast) {
  Shop shop(directory, ballast);
  for (int id = 0; id < 20; ++id)
    if (!shop.insert(id, 10'000)) return {};
  support::fill_up(directory);
  for (const char* name : {"queue.db", "queue.db-wal"}) std::filesystem::remove(directory / name);
  support::fill_up(directory);
  return shop.disk->close();
}

int saved_into_ballast(const std::filesystem::path& directory) {
  const auto told = taken_away_at_the_end(directory, 16 * mebibyte);
  if (told.empty() || told.back().gravity != News::Gravity::fatal) return 1;
  if (told.back().text.find("all that it held is saved in") == std::string::npos) return 2;
  std::filesystem::remove(directory / "foreign");
  return Shop(directory).count() == 20 ? 0 : 3;
}

int cannot_be_saved(const std::filesystem::path& directory) {
  const auto told = taken_away_at_the_end(directory, 0);
  if (told.empty() || told.back().gravity != News::Gravity::fatal) return 1;
  return told.back().text.find("it is lost") == std::string::npos ? 2 : 0;
}

}  // namespace

TEST_CASE("DUR-03: files that are taken away at the end are saved into the ballast; where they cannot be, it is told") {
  CHECK(support::on_small_disk("64m", saved_into_ballast) == 0);
  CHECK(support::on_small_disk("64m", cannot_be_saved) == 0);
}

TEST_CASE("DUR-04: on a file system without inodes a start after a clean end has the names that it needs") {
  CHECK(support::on_small_disk("32m,nr_inodes=40", no_names_left) == 0);
}

TEST_CASE("DUR-04: the ballast is given back in two parts, taken where there is room, and at the end what fits") {
  CHECK(support::on_small_disk("32m", give_and_take) == 0);
}

TEST_CASE("DUR-04: on a disk that somebody else filled jobs go on, it opens again, and room is room at once") {
  CHECK(support::on_small_disk("64m", somebody_fills) == 0);
}

TEST_CASE("DUR-04: what the log has to copy into the database counts as taken") {
  CHECK(support::on_small_disk("64m", copied_later) == 0);
}

TEST_CASE("DUR-04: what was posted is tried again until the store takes it, and goes on for as long as it has more") {
  support::FaultyVfs vfs;
  support::TempDirectory dir;
  Shop shop(dir.path());
  vfs.plan().error = SQLITE_FULL;
  vfs.plan().writes_until_failure = 0;
  auto next = std::make_shared<int>(0);
  shop.disk->post(Durability::relaxed, [next](Tx& tx) -> Result<More> {
    auto row = tx.prepare("SELECT count(*) FROM item");
    row.step();
    const auto id = row.integer(0);
    tx.prepare("INSERT INTO item VALUES (?1, 'x')").bind(id).run();
    return id < 4 ? More::yes : More::no;
  });
  CHECK_FALSE(shop.insert(100, 10));
  CHECK(shop.count() == 0);
  vfs.heal();
  CHECK(shop.until([&] { return shop.count() == 5; }));
  shop.until([] { return false; }, 100ms);
  CHECK(shop.count() == 5);
}

TEST_CASE("a file system that shares no memory is no place for the store, and a first start leaves nothing") {
  support::FaultyVfs vfs;
  support::TempDirectory dir;
  vfs.plan().no_shared_memory = true;
  Options options;
  options.directory = dir.path();
  options.migrations = {{"test", "CREATE TABLE item (id INTEGER PRIMARY KEY)", {}}};
  support::Loop loop;
  for (const bool made_before : {false, true}) {
    CAPTURE(made_before);
    if (made_before) {
      vfs.heal();
      CHECK(Disk::open(loop.executor(), options));
      vfs.plan().no_shared_memory = true;
    }
    const auto opened = Disk::open(loop.executor(), options);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code != errc::bad_message);
    CHECK(opened.error().detail.find("queue.db") != std::string::npos);
    if (!made_before) CHECK(opened.error().detail.find("on a file system of this machine") != std::string::npos);
    CHECK(std::filesystem::exists(std::filesystem::path(dir.path()) / "queue.db") == made_before);
  }
}

}  // namespace disk_space_test
