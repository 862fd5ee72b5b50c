// SPDX-License-Identifier: Apache-2.0
#include "tests/support/faulty_vfs.h"

#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstring>
#include <mutex>

namespace hoplock::support {
namespace {

FaultyVfs::Plan the_plan;
sqlite3_vfs* real = nullptr;
sqlite3_vfs shim;

struct File {
  sqlite3_file base;
  bool log;
  bool main;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File* file(sqlite3_file* f) { return reinterpret_cast<File*>(f); }
sqlite3_file* inner(sqlite3_file* f) { return file(f)->inner(); }

// Counts down; true when this call is to fail.
bool spent(std::atomic<int>& left) {
  const int now = left.load();
  if (now < 0) return false;
  if (now == 0) return true;
  left = now - 1;
  return false;
}

void perhaps_die() {
  if (the_plan.calls_until_kill >= 0 && the_plan.calls_until_kill-- == 0) ::raise(SIGKILL);
}

int close(sqlite3_file* f) { return inner(f)->pMethods ? inner(f)->pMethods->xClose(inner(f)) : SQLITE_OK; }
int read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  if (file(f)->log) ++the_plan.log_reads;
  if (file(f)->main) {
    if (spent(the_plan.reads_until_failure)) return SQLITE_IOERR_READ;
    ++the_plan.reads;
    if (the_plan.read_delay_us > 0) ::usleep(static_cast<useconds_t>(the_plan.read_delay_us));
  }
  return inner(f)->pMethods->xRead(inner(f), to, n, at);
}
int write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  perhaps_die();
  if (file(f)->log) ++the_plan.log_writes;
  if (spent(the_plan.writes_until_failure)) return the_plan.error;
  return inner(f)->pMethods->xWrite(inner(f), from, n, at);
}
int truncate(sqlite3_file* f, sqlite3_int64 size) {
  perhaps_die();
  return inner(f)->pMethods->xTruncate(inner(f), size);
}
int sync(sqlite3_file* f, int flags) {
  perhaps_die();
  if (spent(the_plan.syncs_until_failure)) return the_plan.error;
  if (file(f)->main && the_plan.database_syncs_fail) return the_plan.error;
  if (file(f)->log) ++the_plan.syncs;
  if (file(f)->main) ++the_plan.database_syncs;
  if (the_plan.hang) {
    ++the_plan.hanging;
    the_plan.hanging.notify_all();
    the_plan.hang.wait(true);
    --the_plan.hanging;
  }
  if (the_plan.sync_delay_us > 0) ::usleep(static_cast<useconds_t>(the_plan.sync_delay_us));
  return inner(f)->pMethods->xSync(inner(f), flags);
}
int size(sqlite3_file* f, sqlite3_int64* out) { return inner(f)->pMethods->xFileSize(inner(f), out); }
int lock(sqlite3_file* f, int how) { return inner(f)->pMethods->xLock(inner(f), how); }
int unlock(sqlite3_file* f, int how) { return inner(f)->pMethods->xUnlock(inner(f), how); }
int check_lock(sqlite3_file* f, int* out) { return inner(f)->pMethods->xCheckReservedLock(inner(f), out); }
int control(sqlite3_file* f, int op, void* arg) { return inner(f)->pMethods->xFileControl(inner(f), op, arg); }
int sector(sqlite3_file* f) { return inner(f)->pMethods->xSectorSize(inner(f)); }
int traits(sqlite3_file* f) { return inner(f)->pMethods->xDeviceCharacteristics(inner(f)); }
int shm_map(sqlite3_file* f, int page, int n, int extend, void volatile** out) {
  return inner(f)->pMethods->xShmMap(inner(f), page, n, extend, out);
}
int shm_lock(sqlite3_file* f, int at, int n, int flags) { return inner(f)->pMethods->xShmLock(inner(f), at, n, flags); }
void shm_barrier(sqlite3_file* f) { inner(f)->pMethods->xShmBarrier(inner(f)); }
int shm_unmap(sqlite3_file* f, int remove) { return inner(f)->pMethods->xShmUnmap(inner(f), remove); }

const sqlite3_io_methods unshared = {1,       close,   read,       write,   truncate, sync,   size,
                                     lock,    unlock,  check_lock, control, sector,   traits, nullptr,
                                     nullptr, nullptr, nullptr,    nullptr, nullptr};
const sqlite3_io_methods methods = {2,        close,       read,       write,   truncate, sync,   size,
                                    lock,     unlock,      check_lock, control, sector,   traits, shm_map,
                                    shm_lock, shm_barrier, shm_unmap,  nullptr, nullptr};

int open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out) {
  std::memset(f, 0, static_cast<std::size_t>(shim.szOsFile));
  file(f)->log = (flags & SQLITE_OPEN_WAL) != 0;
  file(f)->main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
  const int rc = real->xOpen(real, name, inner(f), flags, out);
  if (rc == SQLITE_OK) f->pMethods = the_plan.no_shared_memory ? &unshared : &methods;
  return rc;
}

}  // namespace

FaultyVfs::FaultyVfs() {
  sqlite3_initialize();
  if (!real) real = sqlite3_vfs_find(nullptr);
  shim = *real;
  shim.zName = "faulty";
  shim.pNext = nullptr;
  shim.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  shim.xOpen = open;
  heal();
  the_plan.syncs = 0;
  the_plan.log_reads = 0;
  the_plan.log_writes = 0;
  the_plan.database_syncs = 0;
  the_plan.reads = 0;
  the_plan.read_delay_us = 0;
  the_plan.sync_delay_us = 0;
  sqlite3_vfs_register(&shim, 1);
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&shim);
  sqlite3_vfs_register(real, 1);
}

FaultyVfs::Plan& FaultyVfs::plan() { return the_plan; }

void FaultyVfs::heal() {
  the_plan.reads_until_failure = -1;
  the_plan.calls_until_kill = -1;
  the_plan.writes_until_failure = -1;
  the_plan.syncs_until_failure = -1;
  the_plan.database_syncs_fail = false;
  the_plan.no_shared_memory = false;
}

FaultyVfs::Hang::Hang(FaultyVfs& vfs) : plan_(vfs.plan()) { plan_.hang = true; }

void FaultyVfs::Hang::wait() {
  for (int hanging = plan_.hanging; hanging == 0; hanging = plan_.hanging) plan_.hanging.wait(hanging);
}

void FaultyVfs::Hang::release() {
  plan_.hang = false;
  plan_.hang.notify_all();
}

}  // namespace hoplock::support
