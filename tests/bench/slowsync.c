// A disk that needs longer: preloaded into a program, every call that waits for stable storage takes SLOWSYNC_US
// microseconds more (2000 unless told). Both relays of the bench run under it in the slow-disk cases.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>

static void wait_longer(void) {
  static long microseconds = -1;
  if (microseconds < 0) {
    const char* given = getenv("SLOWSYNC_US");
    microseconds = given ? atol(given) : 2000;
  }
  struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
  nanosleep(&pause, NULL);
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
