// Copies the write-ahead log into the database beside the disk thread, on a thread and a connection of its own, so that commits do
// not wait for it. It never blocks a writer; starting the log anew is left to the disk thread.
#pragma once
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "disk/db.h"

namespace hoplock::disk {

// Copies what no reader holds back, without waiting for anyone. How many frames the log has, and how many of them are copied.
struct Copied {
  int frames = 0;
  int copied = 0;
};
Result<Copied> checkpoint(Database& db);

class Checkpointer {
 public:
  explicit Checkpointer(const std::filesystem::path& path);
  ~Checkpointer();

  // On the disk thread. Starts a round unless one is under way.
  void request();
  // Waits for the round that is under way.
  void wait();
  // True once after a round: what remains is little, the disk thread may finish it between two transactions.
  bool take_finished();

 private:
  void work(const std::filesystem::path& path);
  enum class State { idle, requested, working, finished };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  State state_ = State::idle;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace hoplock::disk
