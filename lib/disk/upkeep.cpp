// SPDX-License-Identifier: Apache-2.0
// What the disk thread does for its files beside the jobs: it has the log copied and both files shrink, looks whether they are still
// there, and saves what they hold when they are not.
#include <sqlite3.h>
#include <sys/statvfs.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "disk/backup.h"
#include "disk/core.h"

namespace hoplock::disk {
namespace {

constexpr std::chrono::milliseconds free_age{5};  // a fast client fills a small disk in a fraction of a second
constexpr std::chrono::seconds rescue_every{10};
constexpr std::chrono::milliseconds readers_every{200}, long_read{500};
constexpr int slow_down_ms = 50;
constexpr std::int64_t shrink_pages = 256;       // in one transaction
constexpr std::int64_t spare_pages = 16 * 1024;  // free ones that are left alone

}  // namespace

std::vector<News> Disk::Core::Untold::take() {
  std::lock_guard lock(mutex);
  return std::exchange(news, {});
}

void Disk::Core::tell(News::Gravity gravity, std::string text) {
  {
    std::lock_guard lock(untold_->mutex);
    untold_->news.push_back(News{gravity, std::move(text)});
  }
  hand_over();
}

void Disk::Core::hand_over() {
  asio::post(loop, [untold = untold_] {
    if (!untold->call) return;  // on_news() does it
    for (const News& one : untold->take()) untold->call(one);
  });
}

// --- the log is copied ---------------------------------------------------------------------------------------------------

void Disk::Core::copy_log() {
  if (broken_ != Broken::no) return;
  const int threshold = request_step();
  const bool too_long = log_frames_ > cap_frames_;
  if (too_long) checkpointer_->wait();  // now commits do wait: the log must not grow without end
  const auto outcome = checkpointer_->take_outcome();
  if (outcome) note_copy(*outcome);
  if (broken_ != Broken::no) return;
  if ((outcome && *outcome) || too_long) {
    finish_copy();
    request_at_frames_ = log_frames_ + threshold;
    return;
  }
  if (log_frames_ < threshold) request_at_frames_ = threshold;  // started anew
  if (log_frames_ >= request_at_frames_) checkpointer_->request();
}

// What remains is little; when it is copied and nobody reads the log, the next transaction starts it anew.
void Disk::Core::finish_copy() {
  const auto copied = checkpoint(db_);
  note_copy(copied ? Result<>() : Result<>(copied.error()));
  const bool whole = copied && copied->copied >= copied->frames;
  if (copied && !whole) log_frames_ = copied->frames;
  copied_frames_ = copied ? copied->copied : 0;
  // else what comes there before the next look would count as copied
  if (broken_ != Broken::no || !still_present()) return;
  if (whole) mark_.release();
  if (log_frames_ > cap_frames_) look_at_readers();
}

// The end: SQLite is about to remove the log.
void Disk::Core::finish_log() {
  checkpointer_->wait();
  const auto copied = checkpoint(db_);
  if (const auto why = db_.frozen()) return break_down(*why);
  if (!copied) tell(News::Gravity::error, copied.error().detail + "; the next start copies it");
  if (copied && copied->copied >= copied->frames && mark_.clear()) return;
  mark_.renew(db_);  // a part was copied
  // somebody else copied the rest meanwhile, and may remove the log
  if (const auto now = copying_of(db_); now && static_cast<int>(now->copied) >= frames_of(db_)) mark_.release();
  db_.leave_log();
}

void Disk::Core::note_copy(const Result<>& outcome) {
  if (const auto why = db_.frozen()) return break_down(*why);
  if (!outcome && is_full(outcome.error()) && give_ballast()) return;  // and it is copied again
  bool is_new = false;
  {
    std::lock_guard lock(mutex_);
    is_new = copying_.has_value() != outcome.has_value();
    copying_ = outcome;
  }
  if (outcome) return mark_.renew(db_);
  if (outcome.error().code == errc::io_error) suspect_ = true;
  if (is_new) tell(News::Gravity::error, outcome.error().detail);
}

// The log is beyond its cap: either it can start anew now, or somebody keeps it from that. Then mail waits outside.
void Disk::Core::look_at_readers() {
  const auto now = std::chrono::steady_clock::now();
  bool held = false;
  {
    std::lock_guard lock(mutex_);
    held = !held_back_;
  }
  if (held && now - looked_at_readers_ < readers_every) return;
  looked_at_readers_ = now;
  const auto copied = checkpoint(db_);
  if (!still_present()) return;  // what came there cannot be told once the log is gone
  if (copied && copied->copied >= copied->frames && !mark_.clear())
    return;  // or a log that is rightly empty would be taken for one that was emptied
  sqlite3_busy_timeout(db_.native(), held ? 0 : slow_down_ms);  // intake slows before it stops
  const int rc = sqlite3_wal_checkpoint_v2(db_.native(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(db_.native(), busy_timeout_ms);
  if (rc == SQLITE_OK) {
    log_frames_ = copied_frames_ = 0;
    static_cast<void>(
        mark_.clear());  // where the copy before was not whole; an old mark says of a log that is gone that it was lost
  }
  if (const auto why = db_.frozen()) return break_down(*why);
  if (rc != SQLITE_BUSY) busy_since_.reset();
  if (rc == SQLITE_BUSY && !busy_since_) busy_since_ = now;
  Result<> state;
  if (busy_since_ && now - *busy_since_ >= long_read)
    state =
        fail(errc::device_or_resource_busy,
             "the write-ahead log " + path().string() + "-wal has " + std::to_string(log_octets(log_frames_) >> 20) +
                 " MiB and cannot start anew: " + holders(path(), Holds::reading) +
                 " reads it in one long transaction; no new mail is taken until that ends");
  {
    std::lock_guard lock(mutex_);
    held_back_ = state;
  }
  if (held != state.has_value()) return;
  if (state)
    tell(News::Gravity::information, "the write-ahead log has started anew; new mail is taken");
  else
    tell(News::Gravity::warning, state.error().detail);
}

// Deliveries have this much above the cap, where new mail is refused already.
Result<> Disk::Core::room_in_log() {
  if (log_frames_ < 2 * cap_frames_) return {};
  look_at_readers();
  std::lock_guard lock(mutex_);
  return held_back_;
}

int Disk::Core::request_step() const {
  std::size_t octets = options.checkpoint_bytes;
  // on a small disk it must not take up much of it, on a full one hardly anything
  if (ballast_.octets() > 0)
    octets = std::min<std::size_t>(octets, ballast_.missing() > 0 ? ballast_.octets() / 4 : 2 * ballast_.octets());
  return static_cast<int>(std::clamp<std::size_t>(octets / static_cast<std::size_t>(page_bytes_), 16, 1 << 30));
}

std::uint64_t Disk::Core::log_octets(int frames) const {
  return log_header_octets +
         static_cast<std::uint64_t>(frames) * (frame_header_octets + static_cast<std::uint64_t>(page_bytes_));
}

// --- how much space there is ---------------------------------------------------------------------------------------------

// Any thread. What is known, and the disk thread is asked where that is old; while it hangs, mail waits for it at its commit.
std::uint64_t Disk::Core::free_bytes() {
  if (measured_.at.load() <= std::chrono::steady_clock::now() - free_age) {
    {
      std::lock_guard lock(mutex_);
      asked_ = true;
    }
    wake_.notify_one();
  }
  const std::uint64_t whole = database_whole_;
  const std::uint64_t here = measured_.database;
  const std::uint64_t spoken_for = (whole > here ? whole - here : 0) + ballast_missing_;
  const std::uint64_t free = measured_.free;
  const std::uint64_t beyond = free > spoken_for ? free - spoken_for : 0;
  return beyond + std::min<std::uint64_t>(database_free_, measured_.log + beyond);
}

void Disk::Core::measure() {
  const auto now = std::chrono::steady_clock::now();
  if (measured_.at.load() > now - free_age) return;
  struct statvfs system {};
  Result<> said;
  if (::statvfs(options.directory.c_str(), &system) == 0) {
    measured_.free = static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
  } else {
    const error_code why(errno, boost::system::generic_category());
    said = fail(errc::io_error, "statvfs " + options.directory.string() + ": " + why.message() +
                                    "; how much space is free is not known, and no new mail is taken");
  }
  const Sizes sizes = file_sizes();
  measured_.database = sizes.database;
  measured_.log = sizes.log;
  measured_.at = std::chrono::steady_clock::now();
  bool changed = false;
  {
    std::lock_guard lock(mutex_);
    changed = measuring_.has_value() != said.has_value();
    measuring_ = said;
  }
  if (!changed) return;
  if (said)
    tell(News::Gravity::information, "the file system says again how much space is free; new mail is taken");
  else
    tell(News::Gravity::error, said.error().detail);
}

// On a full disk the log cannot grow, but where all of it is copied it begins anew. True: it does, with the next transaction.
bool Disk::Core::restart_log() {
  checkpointer_->wait();
  const auto copied = checkpoint(db_);
  if (!copied || copied->frames == 0 || copied->copied < copied->frames) return false;
  copied_frames_ = copied->copied;
  return true;
}

bool Disk::Core::give_ballast() {
  if (!ballast_.give(Ballast::Part::most)) return false;
  note_ballast();
  tell(News::Gravity::warning, "the file system of " + options.directory.string() +
                                   " is full: " + std::to_string(ballast_.missing() >> 10) +
                                   " KiB that were kept aside are given back, so that deliveries and orders go on; "
                                   "new mail waits until there is room");
  return true;
}

// Looks once a second while it is not whole.
void Disk::Core::tend_ballast() {
  const auto now = std::chrono::steady_clock::now();
  if (ballast_.missing() == 0 || now - tended_ < std::chrono::seconds(1)) return;
  tended_ = now;
  if (!ballast_.take(measured_.free)) return;
  note_ballast();
  tell(News::Gravity::information,
       "there is room again: " + std::to_string(ballast_.octets() >> 10) + " KiB are kept aside as before");
}

void Disk::Core::note_ballast() {
  ballast_missing_ = ballast_.missing();
  measured_.at = std::chrono::steady_clock::time_point::min();
  measure();
  request_at_frames_ = std::min(request_at_frames_, request_step());
}

Sizes Disk::Core::file_sizes() const {
  const auto size_of = [](const std::string& file) -> std::uint64_t {
    std::error_code ec;
    const auto size = std::filesystem::file_size(file, ec);
    return ec ? 0 : size;
  };
  return {size_of(path().string()), size_of(path().string() + "-wal")};
}

// --- once a second, while nothing waits ----------------------------------------------------------------------------------

void Disk::Core::look_around() {
  looked_around_ = std::chrono::steady_clock::now();
  if (broken_ != Broken::no) return;
  if (!still_present()) return;
  copy_log();
  if (broken_ == Broken::no) shrink();
}

// After a peak: the log when nobody needs it, then the database, a little at a time.
void Disk::Core::shrink() {
  if (log_frames_ > cap_frames_ ||
      (file_sizes().log > Database::Settings().log_bytes && log_frames_ - copied_frames_ < request_step()))
    look_at_readers();
  if (broken_ != Broken::no) return;
  shrinking_ = false;
  const auto free = static_cast<std::int64_t>(database_free_.load(std::memory_order_relaxed)) / page_bytes_;
  const auto spare = ballast_.missing() > 0 ? shrink_pages : spare_pages;  // it has nowhere else to come from
  try {
    if (log_frames_ < cap_frames_ / 2 && free > spare && free > db_.integer("PRAGMA page_count") / 4 &&
        db_.integer("PRAGMA auto_vacuum") == 2) {
      set_durability(Durability::relaxed);
      db_.execute("PRAGMA incremental_vacuum(" + std::to_string(shrink_pages) + ")");
      note_pages();
      shrinking_ = true;
    }
  } catch (const Failure& failure) {
    note(failure.error());
  }
}

void Disk::Core::note_pages() {
  const auto octets = [this](std::int64_t pages) {
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes_);
  };
  const auto all = db_.integer("PRAGMA page_count");
  database_free_ = octets(db_.integer("PRAGMA freelist_count"));
  database_whole_ = octets(all);
  least_pages_ = std::min(least_pages_, all);
}

// --- the files are not what they were ------------------------------------------------------------------------------------

// After a durable commit: is what it went into still the store?
Result<> Disk::Core::acknowledge() {
  if (auto here = still_present(); !here) return here;
  // A commit that changed nothing synced nothing: frames may lie there unsynced, or the log may be another than when they were counted.
  if (!wrote_) return {};
  if (frames_of(db_) < log_frames_) return {};
  auto log = log_of(db_);
  if (!log && frames_of(db_) < log_frames_) return {};  // another program had it start anew, as it may
  if (!log) {
    if (log.error().code == errc::bad_message) break_down(log.error());
    return log.error();
  }
  log->frames = static_cast<std::uint64_t>(log_frames_);
  mark_.set(*log, db_);
  return {};
}

Result<> Disk::Core::still_present() {
  const auto here = present();
  if (here) return {};
  break_down(here.error());
  return why_broken_;
}

// Another program may have made the database shorter. SQLite says so to each who reads it; of a file that was cut it does not.
void Disk::Core::learn_least_pages() {
  try {
    const auto all = db_.integer("PRAGMA page_count");
    if (all > 0) least_pages_ = std::min(least_pages_, all);
  } catch (const Failure&) {
    return;  // as it is of a file that was cut
  }
}

Result<> Disk::Core::present() {
  const auto look = [&] {
    return presence_.lost(log_frames_ > 0 ? log_octets(log_frames_) : 0,
                          static_cast<std::uint64_t>(least_pages_) * static_cast<std::uint64_t>(page_bytes_));
  };
  auto lost = look();
  if (lost && lost->how == Presence::Loss::How::cut) {  // or another program had the log start anew, as it may
    log_frames_ = std::min(log_frames_, frames_of(db_));
    if (log_frames_ == 0) static_cast<void>(mark_.clear());
    learn_least_pages();
    lost = look();
  }
  if (!lost && !contents_.are_ours(db_)) {
    if (!db_.has_failed()) mark_.tell_overwritten();  // else it may be half of our own copy, and the log has it whole
    return fail(errc::bad_message, path().string() + " was overwritten while the daemon uses it");
  }
  if (!lost) return {};
  const bool cut = lost->how == Presence::Loss::How::cut;
  return fail(cut ? errc::bad_message : errc::io_error, lost->text + " while the daemon uses it");
}

// From now on nothing is acknowledged. A failed sync: the log is whole, the next start recovers from it. Files that are not there any
// more: this process has them open, and what they hold is saved first.
void Disk::Core::break_down(Error why) {
  const bool frozen = db_.frozen().has_value();
  const bool cut = why.code == errc::bad_message;
  why_broken_ = fail(errc::io_error, std::move(why.detail));
  broken_ = frozen || cut ? Broken::told : Broken::files_lost;  // files_lost: rescue() comes next
  ended_ = true;
  db_.leave_log();  // closing would remove a log by its name, which may be somebody else's
  checkpointer_->leave_log();
  {
    std::lock_guard lock(mutex_);
    health_ = why_broken_;
  }
  if (frozen && !cut)
    tell(News::Gravity::fatal, why_broken_.detail +
                                   "; nothing of this database is written any more, the next start "
                                   "recovers from its log");
  if (cut) tell(News::Gravity::fatal, why_broken_.detail + "; nothing of this database is written any more");
}

void Disk::Core::rescue(bool is_last) {
  if (!is_last && std::chrono::steady_clock::now() < rescue_next_) return;
  rescue_next_ = std::chrono::steady_clock::now() + rescue_every;
  const auto directory = lock_.directory();
  if (!directory.empty() && directory != path().parent_path() && presence_.are_in(directory)) {
    broken_ = Broken::told;
    return tell(News::Gravity::fatal, why_broken_.detail + "; all of it is in " + directory.string() + " now");
  }
  const auto place = (directory.empty() ? path().parent_path() : directory) / rescue_name;
  auto saved = copy_to(db_, place, {});
  while (!saved && is_full(saved.error()) && ballast_.give(Ballast::Part::all)) saved = copy_to(db_, place, {});
  if (!saved) {
    const std::string what = why_broken_.detail + "; nothing new is taken, and what it holds cannot be saved: ";
    if (is_last)
      return tell(News::Gravity::fatal, what + saved.error().detail + "; with the end of this process it is lost");
    return tell(News::Gravity::error,
                what + saved.error().detail + "; tried again every 10 s: make room, and do not stop the daemon before");
  }
  broken_ = Broken::told;
  tell(News::Gravity::fatal,
       why_broken_.detail + "; all that it held is saved in " + place.string() + ", which the next start takes up");
}

}  // namespace hoplock::disk
