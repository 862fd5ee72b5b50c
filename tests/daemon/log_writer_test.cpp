// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_writer.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/daemon/log_tools.h"

namespace daemon_log_writer_test {

using namespace hoplock;
using daemon::LogOptions;
using daemon::LogWriter;
using daemon::test::comes;

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

Result<> reopen(daemon::LogWriter& log, const daemon::LogOptions& options) {
  auto plan = log.prepare(options);
  if (!plan) return plan.error();
  log.take(std::move(*plan));
  return {};
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
  REQUIRE(reopen(**log, options));
  (*log)->write(Event(Level::info, "after"));
  LogOptions bad = options;
  bad.file = (dir.path / "no/such/dir").string();
  CHECK_FALSE(reopen(**log, bad));
  (*log)->write(Event(Level::info, "still"));
  (*log)->flush();
  CHECK(lines(dir.path / "log.1").size() == 1);
  CHECK(lines(options.file).size() == 2);
}

TEST_CASE("LogWriter: what is prepared and not taken changes neither file nor level") {
  const TempDir dir;
  LogOptions options;
  options.file = (dir.path / "log").string();
  auto log = LogWriter::open(options);
  REQUIRE(log);
  LogOptions other = options;
  other.file = (dir.path / "other").string();
  other.level = Level::debug;
  REQUIRE((*log)->prepare(other).has_value());
  (*log)->write(Event(Level::info, "still"));
  (*log)->write(Event(Level::debug, "hidden"));
  (*log)->flush();
  CHECK(lines(options.file).size() == 1);
  CHECK(lines(other.file).empty());
}

TEST_CASE(
    "LogWriter: a file that cannot be opened any more keeps no reload waiting; lines go on, and to it once it can") {
  const TempDir dir;
  const auto folder = dir.path / "disk";
  std::filesystem::create_directory(folder);
  LogOptions options;
  options.file = (folder / "log").string();
  auto log = LogWriter::open(options);
  REQUIRE(log);
  std::filesystem::rename(folder, dir.path / "gone");
  options.level = Level::debug;
  REQUIRE(reopen(**log, options));
  (*log)->write(Event(Level::debug, "meanwhile"));
  (*log)->flush();
  CHECK((*log)->state().problem.find("cannot be opened for writing") != std::string::npos);
  const auto old = lines(dir.path / "gone/log");
  REQUIRE(old.size() == 2);
  CHECK(old[0].find("level=error event=log-failed error=\"the log file") != std::string::npos);
  CHECK(old[1].find("event=meanwhile") != std::string::npos);
  std::filesystem::create_directory(folder);
  REQUIRE(reopen(**log, options));
  (*log)->write(Event(Level::info, "after"));
  (*log)->flush();
  CHECK((*log)->state().problem.empty());
  CHECK(lines(options.file).size() == 1);
}

TEST_CASE("LateLogFile: the file is tried again, and taken between two lines") {
  const TempDir dir;
  const std::string meanwhile = (dir.path / "meanwhile").string(), late = (dir.path / "later/log").string();
  int opened = 0;
  daemon::LateLogFile target(late, daemon::open_log_target(meanwhile).value(), [&] { ++opened; });
  CHECK(target.write_some("half a ").octets == 7);
  std::filesystem::create_directory(dir.path / "later");
  CHECK(target.write_some("line\n").octets == 5);
  CHECK(opened == 0);
  CHECK_FALSE(target.is_open());
  daemon::LateLogFile ready(late, daemon::open_log_target(meanwhile).value(), [&] { ++opened; });
  CHECK(ready.write_some("another\n").octets == 8);
  CHECK(ready.is_open());
  CHECK(opened == 1);
  CHECK(lines(late).size() == 1);
  CHECK(lines(meanwhile).size() == 1);
}

namespace {
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

daemon::LogPump::Limits quick() { return daemon::test::quick_limits(100ms); }

// A pipe in the file system with an open end that nobody reads.
struct StandingReader {
  explicit StandingReader(const std::filesystem::path& at) : path(at.string()) {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does before it opens its log
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(descriptor >= 0);
  }
  ~StandingReader() { ::close(descriptor); }
  StandingReader(const StandingReader&) = delete;
  StandingReader& operator=(const StandingReader&) = delete;
  std::string path;
  int descriptor = -1;
};

void write_many(LogWriter& log, int count) {
  const std::string padding(100, 'x');
  for (int i = 0; i < count; ++i) log.write(Event(Level::info, "many").add("text", padding));
}

// The sum of what the lines tell.
std::uint64_t dropped_in(const std::vector<std::string>& all) {
  constexpr std::string_view mark = "event=log-dropped lines=";
  std::uint64_t sum = 0;
  for (const auto& line : all) {
    const auto at = line.find(mark);
    if (at != std::string::npos) sum += std::stoull(line.substr(at + mark.size()));
  }
  return sum;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream whole(text.substr(0, text.rfind('\n') + 1));
  std::vector<std::string> found;
  for (std::string line; std::getline(whole, line);) found.push_back(line);
  return found;
}

std::string last_of(const std::vector<std::string>& all, const std::string& event) {
  for (auto line = all.rbegin(); line != all.rend(); ++line) {
    if (line->find("event=" + event) != std::string::npos) return *line;
  }
  return "";
}
}  // namespace

TEST_CASE("BND-04: a log reader that stands still stops no writer, no reload and no end; what was dropped is told") {
  const TempDir dir;
  const StandingReader reader(dir.path / "pipe");
  LogOptions options;
  options.file = reader.path;
  LogOptions other = options;
  other.file = (dir.path / "log").string();
  const auto start = Clock::now();
  {
    auto log = LogWriter::open(options, quick());
    REQUIRE(log);
    write_many(**log, 10'000);
    CHECK((*log)->state().dropped > 5000);
    CHECK(comes([&] { return (*log)->state().problem.find("has taken nothing") != std::string::npos; }));
    SUBCASE("another target is taken at once, and gets what comes from then on") {
      const auto asked = Clock::now();
      REQUIRE(reopen(**log, other));
      CHECK(Clock::now() - asked < 50ms);
      (*log)->write(Event(Level::info, "after"));
      CHECK(comes([&] { return !last_of(lines(other.file), "log-dropped").empty(); }));
      (*log)->flush();
      const auto told = dropped_in(lines(other.file));  // what fitted into the pipe before is told there
      CHECK(told > 5000);
      CHECK(told <= (*log)->state().dropped);
      CHECK(last_of(lines(other.file), "after") != "");
      CHECK(last_of(lines(other.file), "log-dropped").find("level=error event=log-dropped lines=") !=
            std::string::npos);
      CHECK((*log)->state().problem.empty());
    }
    SUBCASE("the same target, opened anew, stops nothing either") {
      REQUIRE(reopen(**log, options));
      write_many(**log, 100);
    }
    SUBCASE("last words are not waited for") { (*log)->flush(); }
  }
  CHECK(Clock::now() - start < 3s);
}

TEST_CASE("BND-04: a log reader that reads on after a pause gets whole lines, and is told how many it missed") {
  const TempDir dir;
  const StandingReader reader(dir.path / "pipe");
  LogOptions options;
  options.file = reader.path;
  auto log = LogWriter::open(options, quick());
  REQUIRE(log);
  write_many(**log, 10'000);
  const auto dropped = (*log)->state().dropped;
  std::string got;
  const auto told = [&] {
    std::array<char, 65536> room{};
    const ssize_t octets = ::read(reader.descriptor, room.data(), room.size());
    if (octets > 0) got.append(room.data(), static_cast<std::size_t>(octets));
    return dropped_in(split(got)) == dropped;
  };
  CHECK(comes(told));
  CHECK((*log)->state().problem.empty());
  for (const auto& line : split(got)) CHECK(line.compare(0, 5, "time=") == 0);
}

TEST_CASE("BND-04: a pipe that nobody has opened yet keeps no start waiting") {
  const TempDir dir;
  LogOptions options;
  options.file = (dir.path / "pipe").string();
  REQUIRE(mkfifo(options.file.c_str(), 0600) == 0);
  auto log = LogWriter::open(options, quick());
  REQUIRE(log);
  (*log)->write(Event(Level::info, "first"));
  (*log)->flush();
  CHECK((*log)->state().problem.empty());
}

TEST_CASE(
    "BND-04: a full disk loses no line while there is room in memory, is told while it lasts and when it is over") {
  const TempDir dir;
  LogOptions options;
  options.file = (dir.path / "log").string();
  auto log = LogWriter::open(options, quick());
  REQUIRE(log);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{1000, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &full) == 0);
  write_many(**log, 100);
  CHECK(comes([&] { return (*log)->state().problem == "the log cannot be written: File too large"; }));
  const auto start = Clock::now();
  (*log)->flush();
  CHECK(Clock::now() - start < 2s);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(comes([&] { return !last_of(lines(options.file), "log-works").empty(); }));
  (*log)->flush();
  const auto found = lines(options.file);
  CHECK(found.size() == 101);
  for (const auto& line : found) CHECK(line.compare(0, 5, "time=") == 0);
  CHECK((*log)->state().dropped == 0);
  CHECK((*log)->state().problem.empty());
}

TEST_CASE("LogWriter: a reload changes format and level while other threads write") {
  const TempDir dir;
  LogOptions options;
  options.file = (dir.path / "log").string();
  auto log = LogWriter::open(options);
  REQUIRE(log);
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) threads.emplace_back([&log] { write_many(**log, 2000); });
  for (int i = 0; i < 100; ++i) {
    options.format = i % 2 == 0 ? config::LogFormat::json : config::LogFormat::logfmt;
    REQUIRE(reopen(**log, options));
  }
  for (auto& thread : threads) thread.join();
  (*log)->flush();
  const auto found = lines(options.file);
  CHECK(found.size() == 4000);
  for (const auto& line : found) CHECK((line.compare(0, 5, "time=") == 0 || line.compare(0, 8, "{\"time\":") == 0));
}

}  // namespace daemon_log_writer_test
