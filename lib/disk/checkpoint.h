// SPDX-License-Identifier: Apache-2.0
// Copies the write-ahead log into the database beside the disk thread, on a thread and a connection of its own, so that commits do
// not wait for it. It never blocks a writer; starting the log anew is left to the disk thread. What fails is told, never swallowed.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
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
  // `done` is called on its thread after each round. The connection is opened beforehand: later the name may stand for another file.
  Checkpointer(Database db, std::function<void()> done);
  ~Checkpointer();

  // On the disk thread. Starts a round unless one is under way, or its outcome was not taken.
  void request();
  // Its connection leaves the log alone when it is closed.
  void leave_log();
  // Waits for the round that is under way.
  void wait();
  // Once after a round. Good: what remains is little, the disk thread may finish it between two transactions.
  std::optional<Result<>> take_outcome();

 private:
  void work();
  static Result<> copy(Database& db);
  enum class State { idle, requested, working, finished };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  State state_ = State::idle;
  Result<> outcome_;
  bool stop_ = false;
  Database db_;
  std::function<void()> call_;
  std::thread thread_;
};

}  // namespace hoplock::disk
