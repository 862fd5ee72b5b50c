#include "tests/support/faulty_disk.h"

#include <sqlite3.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>

namespace hoplock::support {

namespace {

// SQLite's interface is one of functions without a place for ours.
struct Switch {
  std::mutex mutex;
  std::condition_variable changed;
  FaultyDisk::Mode mode = FaultyDisk::Mode::good;
  std::size_t hanging = 0;
  std::uint64_t syncs = 0;
  sqlite3_vfs* below = nullptr;
  sqlite3_vfs vfs{};
};
Switch& the_switch() {
  static Switch one;
  return one;
}

struct File {
  sqlite3_file base;
  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* below(sqlite3_file* file) { return reinterpret_cast<File*>(file)->below(); }

int failure(FaultyDisk::Mode when, int code) {
  Switch& one = the_switch();
  const std::lock_guard lock(one.mutex);
  return one.mode == when ? code : SQLITE_OK;
}

int do_close(sqlite3_file* f) { return below(f)->pMethods->xClose(below(f)); }
int do_read(sqlite3_file* f, void* into, int n, sqlite3_int64 at) {
  return below(f)->pMethods->xRead(below(f), into, n, at);
}
int do_write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  if (const int code = failure(FaultyDisk::Mode::full, SQLITE_FULL)) return code;
  return below(f)->pMethods->xWrite(below(f), from, n, at);
}
int do_truncate(sqlite3_file* f, sqlite3_int64 size) { return below(f)->pMethods->xTruncate(below(f), size); }
int do_sync(sqlite3_file* f, int flags) {
  Switch& one = the_switch();
  {
    std::unique_lock lock(one.mutex);
    ++one.syncs;
    ++one.hanging;
    one.changed.notify_all();
    one.changed.wait(lock, [&] { return one.mode != FaultyDisk::Mode::stalled; });
    --one.hanging;
    if (one.mode == FaultyDisk::Mode::sync_fails) return SQLITE_IOERR_FSYNC;
  }
  return below(f)->pMethods->xSync(below(f), flags);
}
int do_size(sqlite3_file* f, sqlite3_int64* size) { return below(f)->pMethods->xFileSize(below(f), size); }
int do_lock(sqlite3_file* f, int kind) { return below(f)->pMethods->xLock(below(f), kind); }
int do_unlock(sqlite3_file* f, int kind) { return below(f)->pMethods->xUnlock(below(f), kind); }
int do_check(sqlite3_file* f, int* out) { return below(f)->pMethods->xCheckReservedLock(below(f), out); }
int do_control(sqlite3_file* f, int op, void* arg) { return below(f)->pMethods->xFileControl(below(f), op, arg); }
int do_sector(sqlite3_file* f) { return below(f)->pMethods->xSectorSize(below(f)); }
int do_traits(sqlite3_file* f) { return below(f)->pMethods->xDeviceCharacteristics(below(f)); }
int do_shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return below(f)->pMethods->xShmMap(below(f), page, size, extend, out);
}
int do_shm_lock(sqlite3_file* f, int at, int n, int flags) {
  return below(f)->pMethods->xShmLock(below(f), at, n, flags);
}
void do_shm_barrier(sqlite3_file* f) { below(f)->pMethods->xShmBarrier(below(f)); }
int do_shm_unmap(sqlite3_file* f, int remove) { return below(f)->pMethods->xShmUnmap(below(f), remove); }

const sqlite3_io_methods methods = {2,         do_close,   do_read,     do_write,       do_truncate,  do_sync,
                                    do_size,   do_lock,    do_unlock,   do_check,       do_control,   do_sector,
                                    do_traits, do_shm_map, do_shm_lock, do_shm_barrier, do_shm_unmap, nullptr,
                                    nullptr};

int do_open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  sqlite3_vfs* vfs = the_switch().below;
  f->pMethods = nullptr;
  const int code = vfs->xOpen(vfs, name, below(f), flags, out_flags);
  if (below(f)->pMethods != nullptr) f->pMethods = &methods;
  return code;
}

}  // namespace

FaultyDisk::FaultyDisk() {
  Switch& one = the_switch();
  one.below = sqlite3_vfs_find(nullptr);
  if (one.below == nullptr || one.below->zName == std::string_view("faulty")) throw std::runtime_error("one at a time");
  one.vfs = *one.below;
  one.vfs.zName = "faulty";
  one.vfs.pNext = nullptr;
  one.vfs.szOsFile = static_cast<int>(sizeof(File)) + one.below->szOsFile;
  one.vfs.xOpen = do_open;
  set(Mode::good);
  sqlite3_vfs_register(&one.vfs, 1);
}

FaultyDisk::~FaultyDisk() {
  Switch& one = the_switch();
  set(Mode::good);
  sqlite3_vfs_unregister(&one.vfs);
  sqlite3_vfs_register(one.below, 1);
}

void FaultyDisk::set(Mode mode) {
  Switch& one = the_switch();
  const std::lock_guard lock(one.mutex);
  one.mode = mode;
  one.changed.notify_all();
}

void FaultyDisk::wait_stalled() {
  Switch& one = the_switch();
  std::unique_lock lock(one.mutex);
  one.changed.wait(lock, [&] { return one.mode == Mode::stalled && one.hanging > 0; });
}

std::uint64_t FaultyDisk::syncs() const {
  Switch& one = the_switch();
  const std::lock_guard lock(one.mutex);
  return one.syncs;
}

}  // namespace hoplock::support
