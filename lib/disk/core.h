// The inside of Disk: the waiting jobs, the thread that takes them in batches, one transaction a batch. Only disk.cpp includes it.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "disk/checkpoint.h"
#include "disk/disk.h"
#include "disk/lock.h"

namespace hoplock::disk {

struct Disk::Core {
  using Jobs = std::vector<std::unique_ptr<Job>>;

  Core(asio::any_io_executor loop_, Options options_, Lock lock_, Database db_);
  ~Core();
  void start();
  void submit(std::unique_ptr<Job> job);
  std::filesystem::path path() const { return options.directory / "queue.db"; }
  Result<> health() const;
  Histogram commits() const;

  // Touched by the loop only.
  asio::any_io_executor loop;
  const Options options;
  std::uint64_t file_system_free = 0;
  std::chrono::steady_clock::time_point free_known{};

  std::atomic<std::uint64_t> database_free{0};
  std::function<void()> rolled_back;  // set before the first job, called on the disk thread

 private:
  struct Batch {
    Jobs reads;
    Jobs writes;
    Durability durability = Durability::relaxed;
  };

  // On the disk thread.
  void work();
  bool take(Batch& batch);
  void gather(std::unique_lock<std::mutex>& lock);
  void read(Jobs& jobs);
  void write(Batch& batch);
  Result<> commit_together(Jobs& jobs);
  Result<> commit_apart(Jobs& jobs);
  void roll_back();
  void set_durability(Durability durability);
  void begin();
  void commit();
  void note(const Result<>& outcome);
  Result<> recover();
  void copy_log();
  void deliver(Jobs jobs);

  Lock lock_;
  Database db_;
  Durability set_ = Durability::durable;
  int log_frames_ = 0;         // after the last commit
  int request_at_frames_ = 0;  // ask for a checkpoint from here on
  int page_bytes_ = 4096;
  std::size_t last_group_ = 0;  // jobs of the last transaction
  std::chrono::steady_clock::time_point committed_{};
  std::chrono::steady_clock::duration commit_took_{};
  std::chrono::steady_clock::duration synced_in_{};  // the COMMIT alone
  bool suspect_ = false;  // a write or sync failed: what the log holds must be copied before it is trusted again

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> waiting_;
  bool stop_ = false;
  Result<> health_;
  Histogram commits_{{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}};

  std::unique_ptr<Checkpointer> checkpointer_;
  std::thread thread_;
};

}  // namespace hoplock::disk
