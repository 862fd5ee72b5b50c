// SPDX-License-Identifier: Apache-2.0
#include "disk/checkpoint.h"

#include <pthread.h>
#include <sqlite3.h>

#include <algorithm>

#include "disk/log_file.h"

namespace hoplock::disk {
namespace {

constexpr int rounds = 3;             // while one round copies, the log grows; each round leaves less
constexpr int small_remainder = 256;  // frames: about a megabyte

}  // namespace

Result<Copied> checkpoint(Database& db) {
  Copied result;
  const int rc =
      sqlite3_wal_checkpoint_v2(db.native(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &result.frames, &result.copied);
  if (rc == SQLITE_OK) return result;
  if (rc == SQLITE_BUSY)
    return Copied{std::max(frames_of(db), 1), 0};  // somebody else copies, and says nothing of how far
  const Error error = db.last_error(rc);
  return fail(error.code, "copying the log into the database: " + error.detail);
}

Checkpointer::Checkpointer(Database db, std::function<void()> done)
    : db_(std::move(db)), call_(std::move(done)), thread_([this] { work(); }) {}

Checkpointer::~Checkpointer() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Checkpointer::request() {
  std::lock_guard lock(mutex_);
  if (state_ != State::idle) return;
  state_ = State::requested;
  wake_.notify_one();
}

void Checkpointer::wait() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return state_ == State::idle || state_ == State::finished; });
}

std::optional<Result<>> Checkpointer::take_outcome() {
  std::lock_guard lock(mutex_);
  if (state_ != State::finished) return std::nullopt;
  state_ = State::idle;
  return outcome_;
}

Result<> Checkpointer::copy(Database& db) {
  for (int round = 0; round < rounds; ++round) {
    const auto copied = checkpoint(db);
    if (!copied) return copied.error();
    if (copied->frames - copied->copied < small_remainder) break;
  }
  return {};
}

void Checkpointer::leave_log() {
  wait();
  db_.leave_log();
}

void Checkpointer::work() {
  ::pthread_setname_np(::pthread_self(), "checkpoint");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || state_ == State::requested; });
    if (stop_) return;
    state_ = State::working;
    lock.unlock();
    auto outcome = copy(db_);
    lock.lock();
    outcome_ = std::move(outcome);
    state_ = State::finished;
    done_.notify_one();
    lock.unlock();
    call_();
    lock.lock();
  }
}

}  // namespace hoplock::disk
