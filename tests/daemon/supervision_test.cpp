// SPDX-License-Identifier: Apache-2.0
// The watchdog: a disk that is slow feeds it, one that hangs does not. The end-to-end test has real processes (test_watchdog).
#include "daemon/supervision.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "disk/disk.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"

namespace daemon_supervision_test {

using namespace hoplock;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 400ms;

// The service manager's end: it listens all the time, for few datagrams have room in its socket.
class Manager {
 public:
  explicit Manager(const std::filesystem::path& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.native().copy(at.sun_path, sizeof at.sun_path - 1);
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    const timeval pause{0, 20'000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "400000", 1);
    listener_ = std::jthread([this](const std::stop_token& ended) {
      std::string text(4096, '\0');
      while (!ended.stop_requested()) {
        const ssize_t n = ::recv(fd_, text.data(), text.size(), 0);
        if (n > 0) fed_ += text.substr(0, static_cast<std::size_t>(n)).find("WATCHDOG=1") != std::string::npos;
      }
    });
  }
  ~Manager() {
    listener_.request_stop();
    listener_.join();
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::close(fd_);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  // How often it was fed since it was asked last.
  int fed() { return fed_.exchange(0); }

 private:
  int fd_;
  std::atomic<int> fed_{0};
  std::jthread listener_;
};

// Holds the disk's thread until it is told to let go.
class Hold {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return released_; });
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      released_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;
};

daemon::Supervision::Ask answer_of(disk::Disk& disk) {
  return [&disk]() -> boost::asio::awaitable<void> {
    const auto read = [](disk::Disk& from) -> boost::asio::awaitable<void> {
      auto nothing = [](disk::Tx&) -> Result<> { return {}; };
      co_await from.run(disk::Durability::read, std::move(nothing));
    };
    return read(disk);
  };
}

}  // namespace

TEST_CASE("watchdog: a disk's thread that is busy starves it, but not while the disk gives answers to somebody") {
  support::TempDirectory dir;
  Manager manager(dir / "notify");
  support::MemoryLog log;
  support::Loop loop;
  disk::Options options;
  options.directory = dir / "data";
  options.migrations = {{"test", "CREATE TABLE item (id INTEGER PRIMARY KEY)", {}}};
  auto disk = disk::Disk::open(loop.executor(), options).value();
  net::TaskGroup tasks(loop.executor(), log);
  daemon::Supervision supervision;
  supervision.ready();
  tasks.spawn("watchdog", supervision.feed(answer_of(*disk), tasks));
  const auto run = [&](std::chrono::milliseconds time) {
    loop.io().restart();
    loop.io().run_for(time);
  };
  run(3 * patience);
  CHECK(manager.fed() >= 6);

  Hold hold;
  auto busy = [&hold](disk::Tx&) -> Result<disk::More> {
    hold.wait();
    return disk::More::no;
  };
  disk->post(disk::Durability::relaxed, busy);
  run(patience);  // what was on its way
  manager.fed();
  run(2 * patience);
  CHECK(manager.fed() == 0);

  std::jthread reader([&dir](const std::stop_token& ended) {
    auto db = disk::open_read_only(dir / "data" / "queue.db").value();
    while (!ended.stop_requested()) {
      db.integer("SELECT count(*) FROM item");
      db.execute("PRAGMA shrink_memory");  // so that the next one reads
      std::this_thread::sleep_for(5ms);
    }
  });
  run(patience / 2);
  manager.fed();
  run(2 * patience);
  CHECK(manager.fed() >= 4);
  reader.request_stop();
  hold.release();
  run(patience);
  CHECK(manager.fed() >= 1);
  tasks.stop();
  run(50ms);
}

}  // namespace daemon_supervision_test
