// SPDX-License-Identifier: Apache-2.0
// A store with one table in a directory, and what a test does to its files.
#pragma once
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "disk/disk.h"
#include "tests/support/loop.h"

namespace hoplock::disk::test {

inline const std::vector<Migration> one_table = {
    {"test", "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", {}}};

inline Options options_for(const std::filesystem::path& directory) {
  Options options;
  options.directory = directory;
  options.migrations = one_table;
  options.checkpoint_bytes = 1 << 20;
  options.checkpoint_cap_bytes = 8 << 20;
  return options;
}

struct World {
  explicit World(const std::filesystem::path& directory) : World(options_for(directory)) {}
  explicit World(Options options) {
    auto opened = Disk::open(loop.executor(), std::move(options));
    if (!opened) throw std::runtime_error(opened.error().detail);
    disk = std::move(*opened);
    disk->on_news([this](const News& one) { news.push_back(one); });
  }
  Result<int> insert(int id, std::size_t length = 10) {
    auto job = [id, length](Tx& tx) -> Result<int> {
      tx.prepare("INSERT INTO item VALUES (?1, ?2)").bind(id, std::string(length, 'x')).run();
      return id;
    };
    return loop.run(disk->run(Durability::durable, length, std::move(job)));
  }
  std::int64_t count() {
    auto job = [](Tx& tx) -> Result<std::int64_t> {
      auto row = tx.prepare("SELECT count(*) FROM item");
      row.step();
      return row.integer(0);
    };
    return loop.run(disk->run(Durability::read, std::move(job))).value();
  }
  // Of the files as they are now; what Disk::sizes() says is as old as its last look at the file system.
  Sizes sizes() const {
    const std::string path = disk->path().string();
    return {std::filesystem::file_size(path), std::filesystem::file_size(path + "-wal")};
  }
  bool until(const std::function<bool()>& done, std::chrono::milliseconds within = std::chrono::seconds(5)) {
    const auto end = std::chrono::steady_clock::now() + within;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop.io().restart();
      loop.io().run_for(std::chrono::milliseconds(10));
    }
    return true;
  }
  // The first news of that gravity, within seconds.
  std::string wait_for(News::Gravity gravity) {
    std::string text;
    const auto came = [&] {
      for (const auto& one : news)
        if (one.gravity == gravity) return text = one.text, true;
      return false;
    };
    until(came, std::chrono::seconds(10));
    return text;
  }
  support::Loop loop;
  std::vector<News> news;
  std::unique_ptr<Disk> disk;
};

inline int shell(const std::filesystem::path& database, const std::string& sql) {
  return std::system(("sqlite3 '" + database.string() + "' \"" + sql + "\" > /dev/null 2>&1").c_str());
}

inline std::string octets_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void flip(const std::filesystem::path& path, std::streamoff at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char was = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(was ^ 1));
}

// The store's files as a kill -9 leaves them.
inline void copy_store(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::create_directories(to);
  for (const char* name : {"queue.db", "queue.db-wal", "queue.db-synced"})
    if (std::filesystem::exists(from / name)) std::filesystem::copy_file(from / name, to / name);
}

inline constexpr std::streamoff frame_octets = 24 + 4096;

}  // namespace hoplock::disk::test
