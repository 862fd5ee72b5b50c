// SPDX-License-Identifier: Apache-2.0
// The inside of Disk: the waiting jobs, the thread that takes them in batches, one transaction a batch. For this
// module's own sources.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "disk/ballast.h"
#include "disk/checkpoint.h"
#include "disk/contents.h"
#include "disk/disk.h"
#include "disk/lock.h"
#include "disk/log_file.h"
#include "disk/presence.h"

namespace hoplock::disk {

inline constexpr int busy_timeout_ms = 5000;

struct Disk::Core {
  using Jobs = std::vector<std::unique_ptr<Job>>;

  // `copier`: the checkpointer's connection.
  struct Opened {
    Lock lock;
    Ballast ballast;
    Database db;
    Database copier;
  };
  Core(asio::any_io_executor loop_, Options options_, Opened opened);
  ~Core();
  void start();
  std::vector<News> close();
  void submit(std::unique_ptr<Job> job);
  void look();  // any thread: something happened beside the jobs
  std::filesystem::path path() const { return options.directory / "queue.db"; }
  Result<> health() const;
  Result<> writable() const;
  void on_news(std::function<void(const News&)> call);
  Histogram commits() const;
  std::uint64_t free_bytes();
  Sizes sizes() const { return {measured_.database, measured_.log}; }
  bool is_broken() const { return ended_; }

  asio::any_io_executor loop;
  const Options options;
  std::function<void()> rolled_back;  // set before the first job, called on the disk thread

 private:
  // What the loop has yet to hear; the calls on their way to it hold it, too.
  struct Untold {
    std::mutex mutex;
    std::vector<News> news;
    std::function<void(const News&)> call;  // belongs to the loop
    std::vector<News> take();
  };
  struct Batch {
    Jobs reads;
    Jobs writes;
    Durability durability = Durability::relaxed;
  };

  // On the disk thread.
  enum class Woken : std::uint8_t { work, idle, asked, stop };
  void work();
  Woken take(Batch& batch);
  void gather(std::unique_lock<std::mutex>& lock);
  void read(Jobs& jobs);
  void write(Batch& batch);
  Result<> attempt(Batch& batch);
  void keep_posted(Jobs& jobs, const Result<>& outcome);
  void try_posted_again();
  Result<> commit_together(Jobs& jobs);
  Result<> commit_apart(Jobs& jobs);
  Result<const Job*> commit_without(Jobs& jobs, const std::unordered_set<const Job*>& damaged);
  void roll_back();
  void set_durability(Durability durability);
  void begin();
  void commit();
  static int committed(void* core, sqlite3*, const char*, int frames);
  void note(const Result<>& outcome);
  Result<> recover();
  void deliver(Jobs jobs);

  // On the disk thread, beside the jobs (upkeep.cpp).
  void copy_log();
  void finish_log();
  void finish_copy();
  void note_copy(const Result<>& outcome);
  void look_around();
  void measure();
  Sizes file_sizes() const;
  bool restart_log();
  bool give_ballast();
  void tend_ballast();
  void note_ballast();
  void shrink();
  void look_at_readers();
  void note_pages();
  int request_step() const;  // frames between two copies
  std::uint64_t log_octets(int frames) const;
  Result<> room_in_log();
  Result<> acknowledge();
  Result<> present();
  void learn_least_pages();
  Result<> still_present();
  void break_down(Error why);
  void rescue(bool is_last = false);
  void tell(News::Gravity gravity, std::string text);
  void hand_over();

  Lock lock_;
  Ballast ballast_;  // taken up again when the database is closed
  Database db_;
  Durability set_ = Durability::durable;
  int log_frames_ = 0;         // after the last commit that wrote
  bool wrote_ = false;         // the last commit did
  int request_at_frames_ = 0;  // ask for a checkpoint from here on
  int page_bytes_ = 4096;
  std::size_t last_group_ = 0;  // jobs of the last transaction
  std::chrono::steady_clock::time_point committed_{};
  std::chrono::steady_clock::duration commit_took_{};
  std::chrono::steady_clock::duration synced_in_{};  // the COMMIT alone
  bool suspect_ = false;  // a write failed: what the log holds must be copied before it is trusted again
  int cap_frames_ = 0;
  Presence presence_;
  Contents contents_;
  SyncedMark mark_;
  std::int64_t least_pages_ = 0;  // that the database file has had since the start
  enum class Broken : std::uint8_t { no, files_lost, told } broken_ = Broken::no;
  Error why_broken_;
  std::atomic<bool> ended_{false};  // broken_ is not `no`
  std::chrono::steady_clock::time_point rescue_next_{};
  std::chrono::steady_clock::time_point looked_at_readers_{};
  std::chrono::steady_clock::time_point looked_around_{};
  std::optional<std::chrono::steady_clock::time_point> busy_since_;
  std::chrono::steady_clock::time_point tended_{};  // the ballast
  Jobs posted_again_;
  std::chrono::steady_clock::time_point posted_again_at_{};
  int copied_frames_ = 0;   // of the log as it is
  bool shrinking_ = false;  // the database has more to give back

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> waiting_;
  bool stop_ = false;
  bool look_ = false;   // the checkpointer has something to tell
  bool asked_ = false;  // somebody wants to know how much space there is now
  Result<> health_;     // of the last transaction, or why there will be none any more
  std::shared_ptr<Untold> untold_ = std::make_shared<Untold>();
  Result<> copying_;    // of the last checkpoint
  Result<> held_back_;  // the log is at its cap, and somebody reads it
  Result<> measuring_;  // whether the file system said how much space is free
  Histogram commits_{{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}};

  // What the file system says, as the disk thread last heard: it may hang, and the loop must not.
  struct Measured {
    std::atomic<std::uint64_t> free{0}, database{0}, log{0};
    std::atomic<std::chrono::steady_clock::time_point> at{std::chrono::steady_clock::time_point::min()};
  } measured_;
  std::atomic<std::uint64_t> database_free_{0};
  std::atomic<std::uint64_t> database_whole_{0};  // its size once the log is copied
  std::atomic<std::uint64_t> ballast_missing_{0};

  std::unique_ptr<Checkpointer> checkpointer_;
  std::thread thread_;
};

}  // namespace hoplock::disk
