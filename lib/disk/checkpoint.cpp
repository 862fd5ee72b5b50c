#include "disk/checkpoint.h"

#include <sqlite3.h>

namespace hoplock::disk {
namespace {

constexpr int rounds = 3;             // while one round copies, the log grows; each round leaves less
constexpr int small_remainder = 256;  // frames: about a megabyte

}  // namespace

Result<Copied> checkpoint(Database& db) {
  Copied result;
  const int rc =
      sqlite3_wal_checkpoint_v2(db.native(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &result.frames, &result.copied);
  if (rc == SQLITE_OK || rc == SQLITE_BUSY) return result;
  return fail(errc::io_error, std::string("checkpoint: ") + sqlite3_errmsg(db.native()));
}

Checkpointer::Checkpointer(const std::filesystem::path& path) : thread_([this, path] { work(path); }) {}

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

bool Checkpointer::take_finished() {
  std::lock_guard lock(mutex_);
  if (state_ != State::finished) return false;
  state_ = State::idle;
  return true;
}

void Checkpointer::work(const std::filesystem::path& path) {
  std::optional<Database> db;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || state_ == State::requested; });
    if (stop_) return;
    state_ = State::working;
    lock.unlock();
    if (!db)
      if (auto opened = Database::open(path, Access::read_write)) db.emplace(std::move(*opened));
    for (int round = 0; db && round < rounds; ++round) {
      const auto copied = checkpoint(*db);
      if (!copied || copied->frames - copied->copied < small_remainder) break;
    }
    lock.lock();
    state_ = State::finished;
    done_.notify_one();
  }
}

}  // namespace hoplock::disk
