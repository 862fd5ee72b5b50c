// SPDX-License-Identifier: Apache-2.0
#include "disk/vfs.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string_view>
#include <vector>

namespace hoplock::disk {

class StoreFiles {
 public:
  void freeze(Error why) {
    const std::lock_guard lock(mutex_);
    if (is_frozen_) return;
    why_ = std::move(why);
    is_frozen_ = true;
  }
  bool is_frozen() const { return is_frozen_; }
  void note_failure() { has_failed_ = true; }
  bool has_failed() const { return has_failed_; }
  Error why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  Error why_;
  std::atomic<bool> is_frozen_{false};
  std::atomic<bool> has_failed_{false};
};

namespace {

thread_local std::optional<FailedCall> last_failed;
std::atomic<std::uint64_t> calls{0};

// Everything a file of ours needs beyond what SQLite allocates.
struct Opened {
  std::unique_ptr<char[]> memory;
  std::string path;
  std::shared_ptr<StoreFiles> store;  // of the database and its log only
  bool is_read_only = false;          // as its database was asked for
  bool is_log = false;
  std::vector<char> ahead;  // of a log, from there on; see ReadingAhead
  sqlite3_int64 ahead_at = 0;
  std::uint64_t ahead_in = 0;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(memory.get()); }
};
struct File {
  sqlite3_file base;
  Opened* opened;
};
Opened& opened(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->opened; }
sqlite3_file* inner(sqlite3_file* file) { return opened(file).inner(); }

// The one in use now: tests put one that fails in front of the system's.
sqlite3_vfs* beneath() { return sqlite3_vfs_find(nullptr); }

int noted(int rc, int number, std::string_view operation, const std::string& path) {
  FailedCall call;
  call.rc = rc;
  call.number = number;
  call.sync = operation == "sync";
  call.text = std::string(operation) + " " + path;
  // a short write sets no errno
  if ((rc == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE) && number == 0) number = ENOSPC;
  if (number != 0) call.text += std::string(": ") + strerror(number);
  last_failed = std::move(call);
  return rc;
}

// SQLite tries to open read-only, or without creating, what it could not open as asked; the errno of its first try is what people need.
thread_local int first_open_errno = 0;

int watched_open(const char* path, int flags, int mode) {
  const int descriptor = ::open(path, flags, mode);
  if (descriptor < 0 && first_open_errno == 0) first_open_errno = errno;
  return descriptor;
}

// The call's result; what failed is noted.
template <class Call>
int watched(sqlite3_file* file, std::string_view operation, Call call) {
  errno = 0;
  const int rc = call(inner(file));
  calls.fetch_add(1, std::memory_order_relaxed);
  if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ || (rc & 0xff) == SQLITE_BUSY) return rc;
  return noted(rc, errno, operation, opened(file).path);
}

// For calls that change the file.
template <class Call>
int changing(sqlite3_file* file, std::string_view operation, Call call) {
  const auto& store = opened(file).store;
  if (store && store->is_frozen()) {
    FailedCall refused;
    refused.rc = SQLITE_IOERR_WRITE;
    refused.sync = true;
    refused.text = store->why().detail;
    last_failed = std::move(refused);
    return SQLITE_IOERR_WRITE;
  }
  const int rc = watched(file, operation, call);
  if (store && rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) store->note_failure();
  return rc;
}

int close(sqlite3_file* file) {
  Opened* const one = &opened(file);
  const int rc = one->inner()->pMethods ? one->inner()->pMethods->xClose(one->inner()) : SQLITE_OK;
  delete one;
  return rc;
}
constexpr sqlite3_int64 octets_ahead = 1 << 20;
thread_local std::uint64_t reading_ahead = 0;  // 0: it does not
std::atomic<std::uint64_t> last_reading_ahead{0};

// False: it is to be read as asked.
bool read_ahead(sqlite3_file* file, void* to, int n, sqlite3_int64 at) {
  Opened& one = opened(file);
  if (reading_ahead == 0 && !one.ahead.empty()) one.ahead = std::vector<char>();
  if (reading_ahead == 0 || !one.is_log) return false;
  const auto is_there = [&] {
    return one.ahead_in == reading_ahead && at >= one.ahead_at &&
           at + n <= one.ahead_at + static_cast<sqlite3_int64>(one.ahead.size());
  };
  if (!is_there()) {
    sqlite3_int64 size = 0;
    one.ahead_in = 0;
    sqlite3_file* const f = one.inner();
    if (f->pMethods->xFileSize(f, &size) != SQLITE_OK || at + n > size) return false;
    one.ahead.resize(static_cast<std::size_t>(std::max<sqlite3_int64>(n, std::min(octets_ahead, size - at))));
    const int rc = f->pMethods->xRead(f, one.ahead.data(), static_cast<int>(one.ahead.size()), at);
    calls.fetch_add(1, std::memory_order_relaxed);
    if (rc != SQLITE_OK) return false;
    one.ahead_at = at;
    one.ahead_in = reading_ahead;
  }
  std::memcpy(to, one.ahead.data() + (at - one.ahead_at), static_cast<std::size_t>(n));
  return true;
}

int read(sqlite3_file* file, void* to, int n, sqlite3_int64 at) {
  if (read_ahead(file, to, n, at)) return SQLITE_OK;
  return watched(file, "read", [&](sqlite3_file* f) { return f->pMethods->xRead(f, to, n, at); });
}
// SQLite writes a log's frames one behind the other. One beyond the end of the file means that somebody cut it: what stood there is lost,
// and a hole in its place would look like a log as long as ever.
void look_at_end(Opened& log, sqlite3_int64 at) {
  sqlite3_int64 size = 0;
  if (!log.store || log.inner()->pMethods->xFileSize(log.inner(), &size) != SQLITE_OK || at <= size) return;
  log.store->freeze(
      fail(errc::bad_message, log.path + " was cut to " + std::to_string(size) + " octets while the daemon uses it"));
}

int write(sqlite3_file* file, const void* from, int n, sqlite3_int64 at) {
  opened(file).ahead_in = 0;
  if (opened(file).is_log) look_at_end(opened(file), at);
  return changing(file, "write", [&](sqlite3_file* f) { return f->pMethods->xWrite(f, from, n, at); });
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  opened(file).ahead_in = 0;
  return changing(file, "truncate", [&](sqlite3_file* f) { return f->pMethods->xTruncate(f, size); });
}
int sync(sqlite3_file* file, int flags) {
  const int rc = changing(file, "sync", [&](sqlite3_file* f) { return f->pMethods->xSync(f, flags); });
  if (rc != SQLITE_OK && opened(file).store) opened(file).store->freeze(fail(errc::io_error, last_failed->text));
  return rc;
}
int size(sqlite3_file* file, sqlite3_int64* out) {
  return watched(file, "stat", [&](sqlite3_file* f) { return f->pMethods->xFileSize(f, out); });
}
int lock(sqlite3_file* file, int how) {
  return watched(file, "lock", [&](sqlite3_file* f) { return f->pMethods->xLock(f, how); });
}
int unlock(sqlite3_file* file, int how) { return inner(file)->pMethods->xUnlock(inner(file), how); }
int check_lock(sqlite3_file* file, int* out) { return inner(file)->pMethods->xCheckReservedLock(inner(file), out); }
int control(sqlite3_file* file, int op, void* arg) { return inner(file)->pMethods->xFileControl(inner(file), op, arg); }
int sector(sqlite3_file* file) { return inner(file)->pMethods->xSectorSize(inner(file)); }
int traits(sqlite3_file* file) { return inner(file)->pMethods->xDeviceCharacteristics(inner(file)); }
int shm_map(sqlite3_file* file, int page, int n, int extend, void volatile** out) {
  errno = first_open_errno = 0;
  const int rc = inner(file)->pMethods->xShmMap(inner(file), page, n, extend, out);
  const int number = first_open_errno != 0 ? first_open_errno : errno;
  if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY || ((rc & 0xff) == SQLITE_READONLY && first_open_errno == 0))
    return rc;
  return noted(rc, number, "map", opened(file).path + "-shm");
}
int shm_lock(sqlite3_file* file, int at, int n, int flags) {
  if (reading_ahead != 0) reading_ahead = ++last_reading_ahead;  // others may have written since
  return inner(file)->pMethods->xShmLock(inner(file), at, n, flags);
}
void shm_barrier(sqlite3_file* file) { inner(file)->pMethods->xShmBarrier(inner(file)); }
int shm_unmap(sqlite3_file* file, int remove) { return inner(file)->pMethods->xShmUnmap(inner(file), remove); }

const sqlite3_io_methods methods = {2,        close,       read,       write,   truncate, sync,   size,
                                    lock,     unlock,      check_lock, control, sector,   traits, shm_map,
                                    shm_lock, shm_barrier, shm_unmap,  nullptr, nullptr};
// For a file system that shares no memory: SQLite then says that it can have no log.
const sqlite3_io_methods methods_without_log = {1,       close,   read,       write,   truncate, sync,   size,
                                                lock,    unlock,  check_lock, control, sector,   traits, nullptr,
                                                nullptr, nullptr, nullptr,    nullptr, nullptr};

// SQLite asks for the log as for a file to write, also where its database is only read.
bool only_reads(const char* name, int flags) {
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) return (flags & SQLITE_OPEN_READONLY) != 0;
  return name && (flags & SQLITE_OPEN_WAL) != 0 && opened(sqlite3_database_file_object(name)).is_read_only;
}

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  sqlite3_vfs* const vfs = beneath();
  auto one = std::make_unique<Opened>();
  one->memory = std::make_unique<char[]>(static_cast<std::size_t>(vfs->szOsFile));  // zeros
  one->path = name ? name : "(temporary)";
  file->pMethods = nullptr;
  errno = first_open_errno = 0;
  int opened_as = 0;
  int rc = vfs->xOpen(vfs, name, one->inner(), flags, &opened_as);
  const int number = first_open_errno != 0 ? first_open_errno : errno;
  if (out) *out = opened_as;
  one->is_read_only = only_reads(name, flags);
  one->is_log = (flags & SQLITE_OPEN_WAL) != 0;
  // SQLite tries again read-only, and the first write would then say so in place of what really failed
  if (rc == SQLITE_OK && !one->is_read_only && (flags & SQLITE_OPEN_READWRITE) != 0 &&
      (opened_as & SQLITE_OPEN_READONLY) != 0)
    rc = SQLITE_CANTOPEN;
  if (rc != SQLITE_OK) {
    if (one->inner()->pMethods) one->inner()->pMethods->xClose(one->inner());
    return noted(rc, number, "open", one->path);
  }
  if (name && (flags & SQLITE_OPEN_MAIN_DB) != 0) one->store = files_of(one->path);
  if (name && (flags & SQLITE_OPEN_WAL) != 0) one->store = files_of(one->path.substr(0, one->path.rfind("-wal")));
  file->pMethods = one->inner()->pMethods->iVersion < 2 ? &methods_without_log : &methods;
  reinterpret_cast<File*>(file)->opened = one.release();
  return SQLITE_OK;
}

int remove(sqlite3_vfs*, const char* name, int sync_directory) {
  sqlite3_vfs* const vfs = beneath();
  return vfs->xDelete(vfs, name, sync_directory);
}
int access(sqlite3_vfs*, const char* name, int flags, int* out) {
  sqlite3_vfs* const vfs = beneath();
  return vfs->xAccess(vfs, name, flags, out);
}

}  // namespace

const char* layer() {
  static sqlite3_vfs ours;
  static const bool registered = [] {
    sqlite3_initialize();
    ours = *beneath();
    if (sqlite3_vfs* const system = sqlite3_vfs_find("unix"); system && system->xSetSystemCall)
      system->xSetSystemCall(system, "open", reinterpret_cast<sqlite3_syscall_ptr>(watched_open));
    ours.zName = "hoplock";
    ours.pNext = nullptr;
    ours.szOsFile = static_cast<int>(sizeof(File));
    ours.xOpen = open;
    ours.xDelete = remove;
    ours.xAccess = access;
    return sqlite3_vfs_register(&ours, 0) == SQLITE_OK;
  }();
  return registered ? ours.zName : nullptr;
}

std::optional<FailedCall> take_failed_call() { return std::exchange(last_failed, std::nullopt); }

ReadingAhead::ReadingAhead() { reading_ahead = ++last_reading_ahead; }
ReadingAhead::~ReadingAhead() { reading_ahead = 0; }

std::uint64_t calls_done() { return calls.load(std::memory_order_relaxed); }
void note_call_done() { calls.fetch_add(1, std::memory_order_relaxed); }

std::shared_ptr<StoreFiles> files_of(const std::string& database) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<StoreFiles>> all;
  const std::lock_guard guard(mutex);
  for (auto one = all.begin(); one != all.end();) one = one->second.expired() ? all.erase(one) : std::next(one);
  auto& known = all[database];
  auto store = known.lock();
  if (!store) known = store = std::make_shared<StoreFiles>();
  return store;
}

bool has_failed(const StoreFiles& files) { return files.has_failed(); }

std::optional<Error> frozen(const StoreFiles& files) {
  if (!files.is_frozen()) return std::nullopt;
  return files.why();
}

}  // namespace hoplock::disk
