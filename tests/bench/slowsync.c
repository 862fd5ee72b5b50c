// SPDX-License-Identifier: Apache-2.0
// A disk that needs longer: preloaded into a program, every call that waits for stable storage takes SLOWSYNC_US
// microseconds more (2000 unless told), and every read at a place of a file SLOWREAD_US (none unless told: a cold cache is simulated
// by it). Both relays of the bench run under it in the slow-disk cases.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>

static void pause_for(long microseconds) {
  struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
  if (microseconds > 0) nanosleep(&pause, NULL);
}

static long told(const char* name, long otherwise) {
  const char* given = getenv(name);
  return given ? atol(given) : otherwise;
}

static void wait_longer(void) {
  static long microseconds = -1;
  if (microseconds < 0) microseconds = told("SLOWSYNC_US", 2000);
  pause_for(microseconds);
}

static void read_longer(void) {
  static long microseconds = -1;
  if (microseconds < 0) microseconds = told("SLOWREAD_US", 0);
  pause_for(microseconds);
}

#define SLOW(name, parameters, ...)                        \
  int name parameters {                                    \
    static int(*real) parameters;                          \
    if (!real) *(void**)(&real) = dlsym(RTLD_NEXT, #name); \
    wait_longer();                                         \
    return real(__VA_ARGS__);                              \
  }

int fsync(int fd);
int fdatasync(int fd);
int syncfs(int fd);
int sync_file_range(int fd, off64_t offset, off64_t count, unsigned int flags);
SLOW(fsync, (int fd), fd)
SLOW(fdatasync, (int fd), fd)
SLOW(syncfs, (int fd), fd)
SLOW(sync_file_range, (int fd, off64_t offset, off64_t count, unsigned int flags), fd, offset, count, flags)

#define SLOW_READ(name, offset)                                        \
  ssize_t name(int fd, void* to, size_t octets, offset at) {           \
    static ssize_t (*real)(int, void*, size_t, offset);                \
    if (!real) *(void**)(&real) = dlsym(RTLD_NEXT, #name);             \
    read_longer();                                                     \
    return real(fd, to, octets, at);                                   \
  }
SLOW_READ(pread, off_t)
SLOW_READ(pread64, off64_t)
