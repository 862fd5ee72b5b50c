#include "daemon/log_writer.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace hoplock;
using daemon::LogOptions;
using daemon::LogWriter;

namespace {
struct TempDir {
  std::filesystem::path path = [] {
    std::string name = (std::filesystem::temp_directory_path() / "hoplock-log-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    return std::filesystem::path(name);
  }();
  ~TempDir() { std::filesystem::remove_all(path); }
};

std::vector<std::string> lines(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> found;
  for (std::string line; std::getline(in, line);) found.push_back(line);
  return found;
}
}  // namespace

TEST_CASE("LogWriter: lines of several threads arrive whole, below the level none does") {
  const TempDir dir;
  LogOptions options;
  options.file = (dir.path / "log").string();
  auto log = LogWriter::open(options);
  REQUIRE(log);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 500; ++i) {
        (*log)->write(Event(Level::info, "test").add("thread", std::int64_t{t}));
        (*log)->write(Event(Level::debug, "hidden"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  (*log)->flush();
  const auto found = lines(options.file);
  CHECK(found.size() == 2000);
  for (const auto& line : found) CHECK(line.find("level=info event=test thread=") != std::string::npos);
}

TEST_CASE("LogWriter: reopen goes on in the file anew after a rotation, and an error keeps the old one") {
  const TempDir dir;
  LogOptions options;
  options.file = (dir.path / "log").string();
  auto log = LogWriter::open(options);
  REQUIRE(log);
  (*log)->write(Event(Level::info, "before"));
  (*log)->flush();
  std::filesystem::rename(options.file, dir.path / "log.1");
  REQUIRE((*log)->reopen(options));
  (*log)->write(Event(Level::info, "after"));
  LogOptions bad = options;
  bad.file = (dir.path / "no/such/dir").string();
  CHECK_FALSE((*log)->reopen(bad));
  (*log)->write(Event(Level::info, "still"));
  (*log)->flush();
  CHECK(lines(dir.path / "log.1").size() == 1);
  CHECK(lines(options.file).size() == 2);
}
