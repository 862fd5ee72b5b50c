// SPDX-License-Identifier: Apache-2.0
#include "disk/core.h"

#include <pthread.h>
#include <sqlite3.h>

#include <boost/asio/post.hpp>
#include <limits>

namespace hoplock::disk {
namespace {

constexpr std::chrono::microseconds slow_commit{500};
constexpr int gather_share = 3;  // of a commit's time
constexpr std::chrono::milliseconds longest_gather{20};
constexpr std::size_t most_posted = 10'000;  // beyond them the sweep finds what was left
constexpr std::chrono::milliseconds idle_look{1000}, short_look{10};

int as_frames(std::size_t bytes, int page_bytes) {
  return static_cast<int>(
      std::min<std::size_t>(bytes / static_cast<std::size_t>(page_bytes), std::numeric_limits<int>::max()));
}

}  // namespace

Disk::Core::Core(asio::any_io_executor loop_, Options options_, Opened opened)
    : loop(std::move(loop_)),
      options(std::move(options_)),
      lock_(std::move(opened.lock)),
      ballast_(std::move(opened.ballast)),
      db_(std::move(opened.db)),
      presence_(path()),
      contents_(path(), db_),
      mark_(path()),
      checkpointer_(std::make_unique<Checkpointer>(std::move(opened.copier), [this] { look(); })) {
  page_bytes_ = static_cast<int>(db_.integer("PRAGMA page_size"));
  least_pages_ =
      std::min(db_.integer("PRAGMA page_count"), static_cast<std::int64_t>(file_sizes().database) / page_bytes_);
  note_pages();
  request_at_frames_ = request_step();
  cap_frames_ = as_frames(options.checkpoint_cap_bytes, page_bytes_);
  sqlite3_wal_hook(db_.native(), committed, this);
  db_.tend_log();
  measure();
  ballast_.take(measured_.free);
  note_ballast();
}

void Disk::Core::start() {
  if (frames_of(db_) > 0) checkpointer_->request();  // what a recovery found; contents_ can tell nothing before
  thread_ = std::thread([this] { work(); });
}

Disk::Core::~Core() { close(); }

std::vector<News> Disk::Core::close() {
  if (!checkpointer_) return {};  // it was
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  // what lies there now gets nothing of the log, unless it is the store
  if (broken_ == Broken::no) static_cast<void>(still_present());
  if (broken_ == Broken::files_lost) rescue(true);
  if (db_.frozen()) db_.leave_log();
  if (broken_ == Broken::no && !db_.frozen()) finish_log();
  checkpointer_.reset();  // before the connection: the last one to close copies and removes the log
  { const Database closing = std::move(db_); }
  return untold_->take();
}

void Disk::Core::look() {
  {
    std::lock_guard lock(mutex_);
    look_ = true;
  }
  wake_.notify_one();
}

void Disk::Core::submit(std::unique_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(job));
  }
  wake_.notify_one();
}

Result<> Disk::Core::health() const {
  std::lock_guard lock(mutex_);
  for (const auto* one : {&health_, &copying_, &held_back_, &measuring_})
    if (!*one) return *one;
  return {};
}

void Disk::Core::on_news(std::function<void(const News&)> call) {
  untold_->call = std::move(call);
  hand_over();  // what came since the start
}

Result<> Disk::Core::writable() const {
  std::lock_guard lock(mutex_);
  return held_back_ ? measuring_ : held_back_;
}

Histogram Disk::Core::commits() const {
  std::lock_guard lock(mutex_);
  return commits_;
}

void Disk::Core::work() {
  ::pthread_setname_np(::pthread_self(), "disk");
  Batch batch;
  for (Woken woken = take(batch); woken != Woken::stop; woken = take(batch)) {
    if (!batch.reads.empty()) {
      read(batch.reads);
      deliver(std::move(batch.reads));
    }
    if (!batch.writes.empty()) {
      const auto began = std::chrono::steady_clock::now();
      last_group_ = batch.writes.size();
      write(batch);
      committed_ = std::chrono::steady_clock::now();
      commit_took_ = committed_ - began;
      measure();
      deliver(std::move(batch.writes));
      copy_log();
    }
    measure();
    tend_ballast();
    try_posted_again();
    if (woken == Woken::idle) look_around();
    if (broken_ == Broken::files_lost) rescue();
    batch = Batch();
  }
}

Disk::Core::Woken Disk::Core::take(Batch& batch) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, shrinking_ ? short_look : idle_look,
                 [this] { return stop_ || look_ || asked_ || !waiting_.empty(); });
  const auto quiet_since = std::max(looked_around_, committed_);
  const bool only_asked = asked_ && !look_ && std::chrono::steady_clock::now() - quiet_since < idle_look;
  look_ = asked_ = false;
  if (waiting_.empty())  // stopping: what waits is still done
    return stop_ ? Woken::stop : only_asked ? Woken::asked : Woken::idle;
  gather(lock);
  std::size_t bytes = 0;
  for (std::size_t count = 0; count < options.batch_jobs && bytes < options.batch_bytes && !waiting_.empty(); ++count) {
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    bytes += job->bytes();
    if (job->durability() == Durability::durable) batch.durability = Durability::durable;
    (job->durability() == Durability::read ? batch.reads : batch.writes).push_back(std::move(job));
  }
  return Woken::work;
}

// Where a commit takes long, those whom the last one let go are back in a moment: with them it is one commit instead of two that
// each half of the sessions waits for in turn. A commit that stalled says nothing about the next.
void Disk::Core::gather(std::unique_lock<std::mutex>& lock) {
  if (commit_took_ < slow_commit || last_group_ < 2) return;
  const auto wait = std::min<std::chrono::steady_clock::duration>(commit_took_ / gather_share, longest_gather);
  wake_.wait_until(lock, committed_ + wait, [this] {
    return stop_ || waiting_.size() >= last_group_ || waiting_.front()->durability() != Durability::durable;
  });
}

// Reads come first and alone: they see what was committed before, never a change that is not yet durable.
void Disk::Core::read(Jobs& jobs) {
  Tx tx(db_);
  for (auto& job : jobs) job->execute(tx);
}

void Disk::Core::write(Batch& batch) {
  Result<> outcome = broken_ == Broken::no ? Result<>() : Result<>(why_broken_);
  if (outcome) outcome = room_in_log();
  if (outcome) outcome = attempt(batch);
  const auto lacks_room = [&outcome] { return !outcome && is_full(outcome.error()); };
  if (lacks_room() && restart_log()) outcome = attempt(batch);
  if (lacks_room() && give_ballast()) outcome = attempt(batch);
  if (!outcome)
    for (auto& job : batch.writes)
      if (!job->error()) job->fail(outcome.error());
  keep_posted(batch.writes, outcome);
  note(outcome);
}

Result<> Disk::Core::attempt(Batch& batch) {
  if (suspect_)
    if (auto recovered = recover(); !recovered) return recovered;
  if (auto here = still_present(); !here) return here;
  try {
    set_durability(batch.durability);
    const auto committed = commit_together(batch.writes);
    if (!committed) return committed;
    return batch.durability == Durability::durable ? acknowledge() : still_present();
  } catch (const Failure& failure) {
    roll_back();
    return failure.error();
  }
}

// Those that nobody waits for and that are not done.
void Disk::Core::keep_posted(Jobs& jobs, const Result<>& outcome) {
  const bool again = !outcome && broken_ == Broken::no && is_unavailable(outcome.error());
  for (auto& job : jobs) {
    if (!job->persists() || !(outcome ? job->has_more() : again) || posted_again_.size() >= most_posted) continue;
    posted_again_.push_back(std::move(job));
  }
  std::erase(jobs, nullptr);
  posted_again_at_ = std::chrono::steady_clock::now() + (outcome ? std::chrono::milliseconds(0) : idle_look);
}

void Disk::Core::try_posted_again() {
  if (posted_again_.empty() || std::chrono::steady_clock::now() < posted_again_at_) return;
  std::lock_guard lock(mutex_);
  for (auto& job : posted_again_) waiting_.push_back(std::move(job));
  posted_again_.clear();
}

// The usual way: no savepoints, which would cost a copy of every page that each job touches.
Result<> Disk::Core::commit_together(Jobs& jobs) {
  Tx tx(db_);
  begin();
  for (auto& job : jobs) {
    if (job->execute(tx) == Job::Outcome::good) continue;
    roll_back();
    if (auto error = job->error(); error && is_unavailable(*error)) return *error;
    return commit_apart(jobs);
  }
  commit();
  return {};
}

// One of them fails: each in a savepoint of its own, so that it spoils none of the others. Once one of them met a damaged page, SQLite
// lets nothing more be written in that transaction: the others begin anew without it.
Result<> Disk::Core::commit_apart(Jobs& jobs) {
  std::unordered_set<const Job*> damaged;
  for (;;) {
    const auto met_by = commit_without(jobs, damaged);
    if (!met_by) return met_by.error();
    if (*met_by == nullptr) return {};
    roll_back();
    damaged.insert(*met_by);
  }
}

// Whoever met damage, or nobody: then the others are committed.
Result<const Job*> Disk::Core::commit_without(Jobs& jobs, const std::unordered_set<const Job*>& damaged) {
  Tx tx(db_);
  begin();
  for (auto& job : jobs) {
    if (damaged.contains(job.get())) continue;
    db_.execute("SAVEPOINT job");
    const bool good = job->execute(tx) == Job::Outcome::good;
    if (!db_.in_transaction()) {  // SQLite gave up the whole transaction
      if (rolled_back) rolled_back();
      return job->error().value_or(fail(errc::io_error, "the transaction was rolled back"));
    }
    if (const auto error = job->error(); error && error->code == errc::bad_message) return job.get();
    if (!good) {
      db_.execute("ROLLBACK TO job");
      if (rolled_back) rolled_back();
    }
    db_.execute("RELEASE job");
  }
  commit();
  return nullptr;
}

// A commit that has the log begin anew makes another state of the store, which would count as ours whatever lies there. It does where
// the log is copied whole by now: then it can be told.
void Disk::Core::begin() {
  db_.prepare("BEGIN IMMEDIATE").run();
  if (auto here = still_present(); !here) throw Failure(here.error());
}

void Disk::Core::commit() {
  const auto pages = db_.integer("PRAGMA freelist_count");
  const auto all = db_.integer("PRAGMA page_count");
  least_pages_ = std::min(least_pages_, all);
  wrote_ = false;
  const auto began = std::chrono::steady_clock::now();
  db_.prepare("COMMIT").run();
  synced_in_ = std::chrono::steady_clock::now() - began;
  database_free_ = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes_);
  database_whole_ = static_cast<std::uint64_t>(all) * static_cast<std::uint64_t>(page_bytes_);
}

// Only where something changed.
int Disk::Core::committed(void* core, sqlite3*, const char*, int frames) {
  auto& self = *static_cast<Core*>(core);
  self.log_frames_ = frames;
  self.wrote_ = true;
  return SQLITE_OK;
}

void Disk::Core::roll_back() {
  try {
    if (db_.in_transaction()) db_.prepare("ROLLBACK").run();
  } catch (const Failure&) {
    suspect_ = true;  // the next begin() fails, and says why
  }
  if (rolled_back) rolled_back();
}

void Disk::Core::set_durability(Durability durability) {
  if (durability == set_) return;
  db_.execute(durability == Durability::durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  set_ = durability;
}

void Disk::Core::note(const Result<>& outcome) {
  if (!outcome && outcome.error().code == errc::io_error) suspect_ = true;
  if (const auto why = db_.frozen(); why && broken_ == Broken::no) break_down(*why);
  if (broken_ != Broken::no) return;
  std::lock_guard lock(mutex_);
  if (outcome && set_ == Durability::durable) commits_.add(std::chrono::duration<double>(synced_in_).count());
  if (!outcome && !is_unavailable(outcome.error()) && outcome.error().code != errc::bad_message) return;
  health_ = outcome;
}

// After a failed write all of the log is copied into the database and synced there, and the log starts anew, before anything is
// acknowledged again. (After a failed sync nothing is, see vfs.h.)
Result<> Disk::Core::recover() {
  try {
    if (db_.in_transaction()) db_.prepare("ROLLBACK").run();
  } catch (const Failure& failure) {
    return failure.error();
  }
  checkpointer_->wait();  // SQLite lets one copy at a time, and does not wait for it
  int frames = 0;
  int copied = 0;
  const int rc = sqlite3_wal_checkpoint_v2(db_.native(), nullptr, SQLITE_CHECKPOINT_RESTART, &frames, &copied);
  if (rc != SQLITE_OK) {
    const Error error = db_.last_error(rc);
    return fail(error.code, "copying the log into the database: " + error.detail);
  }
  suspect_ = false;
  return {};
}

void Disk::Core::deliver(Jobs jobs) {
  asio::post(loop, [done = std::move(jobs)]() {
    for (const auto& job : done) job->complete();
  });
}

}  // namespace hoplock::disk
