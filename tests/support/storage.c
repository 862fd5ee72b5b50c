// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "storage.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

const char* const storage_kind_names[storage_kinds] = {"open",   "read", "write", "sync",    "truncate",
                                                       "unlink", "map",  "lock",  "statvfs", "rename"};

enum { page = 4096, most_files = 64, most_descriptors = 4096, path_octets = 512 };

struct file {
  char name[128];  // below the directory
  int shadow;      // descriptor, -1: none
  unsigned char* dirty;
  size_t pages;
  int unlinked;  // not yet on stable storage
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char the_directory[path_octets];
static char the_shadow[path_octets];
static struct file files[most_files];
static short file_of[most_descriptors];      // index + 1 into files; -1: the directory itself
static int pending_error[most_descriptors];  // what the next sync of this descriptor reports
static struct storage_fault armed;
static long calls[storage_kinds];
static int struck;
static int half_written;
static char where[256];
static int hanging;
static int released;
static pthread_t armed_by;

#define REAL(name) (__typeof__(&name))real(#name)
static void* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

// --- which file --------------------------------------------------------------------------------------------------------

static const char* below(const char* path) {
  const size_t length = strlen(the_directory);
  if (length == 0 || !path || strncmp(path, the_directory, length) != 0) return NULL;
  if (path[length] == '\0') return "";
  return path[length] == '/' ? path + length + 1 : NULL;
}

static int in_memory_only(const char* name) {
  const size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, "-shm") == 0;
}

static void shadow_path(char* out, const char* name) {
  if (snprintf(out, path_octets + 128, "%s/%s", the_shadow, name) >= path_octets + 128) abort();
}

static void copy_all(int from, int to) {
  char block[1 << 16];
  off64_t at = 0;
  for (ssize_t n; (n = (REAL(pread64))(from, block, sizeof block, at)) > 0; at += n)
    if ((REAL(pwrite64))(to, block, (size_t)n, at) != n) abort();
}

// What is beside the directory for this file. The copy gets its name when it is whole: a program that is killed over it leaves none,
// and what it had not written yet is stable as it is.
static int make_shadow(const char* name, int created) {
  char path[path_octets + 128];
  shadow_path(path, name);
  int shadow = (REAL(open64))(path, O_RDWR | O_CLOEXEC, 0);
  struct stat64 is;
  if (shadow >= 0 && (created || (fstat64(shadow, &is) == 0 && is.st_size > 0))) return shadow;
  if (shadow >= 0) (REAL(close))(shadow);
  char unfinished[path_octets + 144];
  snprintf(unfinished, sizeof unfinished, "%s.unfinished", path);
  shadow = (REAL(open64))(unfinished, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (shadow < 0) return -1;
  char own[path_octets + 128];
  snprintf(own, sizeof own, "%s/%s", the_directory, name);
  const int from = created ? -1 : (REAL(open64))(own, O_RDONLY | O_CLOEXEC);
  if (from >= 0) {
    copy_all(from, shadow);
    (REAL(close))(from);
  }
  if ((REAL(rename))(unfinished, path) != 0) abort();
  return shadow;
}

// The slot of a name, made when it is new. What an unknown file holds when it is first opened is stable.
static int slot(const char* name, int created) {
  int free_slot = -1;
  for (int i = 0; i < most_files; ++i) {
    if (strcmp(files[i].name, name) == 0) {
      if (created && files[i].unlinked) {
        files[i].unlinked = 0;
        if (files[i].shadow >= 0 && (REAL(ftruncate64))(files[i].shadow, 0) != 0) abort();
      }
      return i;
    }
    if (!files[i].name[0] && free_slot < 0) free_slot = i;
  }
  if (free_slot < 0) abort();
  struct file* f = &files[free_slot];
  snprintf(f->name, sizeof f->name, "%s", name);
  f->shadow = -1;
  if (the_shadow[0] && !in_memory_only(name)) {
    f->shadow = make_shadow(name, created);
  }
  return free_slot;
}

static void opened(const char* path, int fd, int created) {
  if (fd < 0 || fd >= most_descriptors) return;
  const char* name = below(path);
  pthread_mutex_lock(&mutex);
  file_of[fd] = 0;
  pending_error[fd] = 0;
  if (name && !name[0]) file_of[fd] = -1;
  if (name && name[0]) file_of[fd] = (short)(slot(name, created) + 1);
  pthread_mutex_unlock(&mutex);
}

static int watched(int fd) { return fd >= 0 && fd < most_descriptors && file_of[fd] != 0; }
static const char* name_of(int fd) { return file_of[fd] > 0 ? files[file_of[fd] - 1].name : "the directory"; }

// --- stable storage ----------------------------------------------------------------------------------------------------

static void soil(int fd, off64_t at, size_t octets) {
  if (!watched(fd) || file_of[fd] < 0 || octets == 0) return;
  pthread_mutex_lock(&mutex);
  struct file* f = &files[file_of[fd] - 1];
  const size_t last = (size_t)(at + (off64_t)octets - 1) / page;
  if (last >= f->pages) {
    const size_t more = 2 * last + 64;
    f->dirty = (unsigned char*)realloc(f->dirty, more);
    if (!f->dirty) abort();
    memset(f->dirty + f->pages, 0, more - f->pages);
    f->pages = more;
  }
  for (size_t p = (size_t)at / page; p <= last; ++p) f->dirty[p] = 1;
  pthread_mutex_unlock(&mutex);
}

static void forget_unlinked(void) {
  for (int i = 0; i < most_files; ++i) {
    if (!files[i].unlinked) continue;
    char path[path_octets + 128];
    shadow_path(path, files[i].name);
    (REAL(unlink))(path);
    if (files[i].shadow >= 0) (REAL(close))(files[i].shadow);
    free(files[i].dirty);
    memset(&files[i], 0, sizeof files[i]);
    for (int fd = 0; fd < most_descriptors; ++fd)
      if (file_of[fd] == i + 1) file_of[fd] = 0;
  }
}

// The result of a sync that the kernel took; `error`: it failed, and what was dirty never gets there.
static int settle_sync(int fd, int error) {
  pthread_mutex_lock(&mutex);
  int result = error;
  if (file_of[fd] > 0) {
    struct file* f = &files[file_of[fd] - 1];
    char block[page];
    struct stat64 is;
    const int stores = !error && f->shadow >= 0 && fstat64(fd, &is) == 0;
    if (stores && (REAL(ftruncate64))(f->shadow, is.st_size) != 0) abort();
    for (size_t p = 0; p < f->pages; ++p) {
      if (f->dirty[p] && stores) {
        const ssize_t n = (REAL(pread64))(fd, block, page, (off64_t)p * page);
        if (n > 0 && (REAL(pwrite64))(f->shadow, block, (size_t)n, (off64_t)p * page) != n) abort();
      }
      f->dirty[p] = 0;
    }
    for (int other = 0; error && other < most_descriptors; ++other)
      if (other != fd && file_of[other] == file_of[fd]) pending_error[other] = error;
    if (!error && pending_error[fd]) result = pending_error[fd];
    pending_error[fd] = 0;
  }
  if (!error) forget_unlinked();
  pthread_mutex_unlock(&mutex);
  return result;
}

// --- faults ------------------------------------------------------------------------------------------------------------

static void hang(void) {
  hanging = pthread_equal(pthread_self(), armed_by) ? 2 : 1;
  pthread_cond_broadcast(&changed);
  while (!released) pthread_cond_wait(&changed, &mutex);
  hanging = 0;
}

static int is_there(const char* path) {
  const int fd = (REAL(open64))(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) (REAL(close))(fd);
  return fd >= 0;
}

// Until the file is gone.
static void hang_beside(const char* control) {
  while (is_there(control)) {
    pthread_mutex_unlock(&mutex);
    const struct timespec moment = {0, 10 * 1000 * 1000};
    nanosleep(&moment, NULL);
    pthread_mutex_lock(&mutex);
  }
}

// A file in which the preloaded library is told of one fault: "sync queue.db-wal 5", or "sync queue.db-wal hang" (while it is there).
static int told(enum storage_kind kind, const char* name) {
  const char* control = getenv("STORAGE_CONTROL");
  if (!control || kind != storage_sync) return 0;
  const int fd = (REAL(open64))(control, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[256] = {0};
  char wanted[128] = {0};
  int error = 0;
  char how[16] = {0};
  if ((REAL(read))(fd, text, sizeof text - 1) <= 0 || sscanf(text, "sync %127s %15s", wanted, how) != 2) how[0] = '\0';
  (REAL(close))(fd);
  if (strcmp(how, "hang") == 0 && strcmp(wanted, name) == 0) hang_beside(control);
  error = atoi(how);
  if (error == 0 || strcmp(wanted, name) != 0) return 0;
  (REAL(unlink))(control);
  return error;
}

// What becomes of this call: 0 goes on, -1 writes half of it, else the errno with which it fails.
static int fate(enum storage_kind kind, const char* name) {
  pthread_mutex_lock(&mutex);
  const long n = ++calls[kind];
  int error = told(kind, name);
  if (!error && armed.at > 0 && armed.kind == kind &&
      (n == armed.at || (n > armed.at && (armed.persistent || half_written)))) {
    if (struck++ == 0) snprintf(where, sizeof where, "%s %s", storage_kind_names[kind], name);
    if (armed.effect == storage_hangs) {
      hang();
    } else if (armed.effect == storage_writes_half && n == armed.at) {
      half_written = 1;
      error = -1;
    } else {
      half_written = 0;
      error = armed.error;
    }
  }
  pthread_mutex_unlock(&mutex);
  return error;
}

void storage_arm(const struct storage_fault* fault) {
  pthread_mutex_lock(&mutex);
  armed = *fault;
  memset(calls, 0, sizeof calls);
  struck = half_written = hanging = released = 0;
  where[0] = '\0';
  armed_by = pthread_self();
  pthread_mutex_unlock(&mutex);
}

void storage_heal(void) {
  const struct storage_fault none = {storage_open, 0, 0, storage_fails, 0};
  pthread_mutex_lock(&mutex);
  armed = none;
  half_written = 0;
  pthread_mutex_unlock(&mutex);
}

long storage_calls(enum storage_kind kind) { return calls[kind]; }
int storage_struck(void) { return struck; }
const char* storage_where(void) { return where; }

int storage_hanging(void) {
  pthread_mutex_lock(&mutex);
  const int now = hanging;
  pthread_mutex_unlock(&mutex);
  return now;
}

void storage_release(void) {
  pthread_mutex_lock(&mutex);
  released = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

void storage_watch(const char* directory, const char* shadow) {
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < most_files; ++i) {
    if (files[i].name[0] && files[i].shadow >= 0) (REAL(close))(files[i].shadow);
    free(files[i].dirty);
  }
  memset(files, 0, sizeof files);
  memset(file_of, 0, sizeof file_of);
  memset(calls, 0, sizeof calls);
  snprintf(the_directory, sizeof the_directory, "%s", directory);
  snprintf(the_shadow, sizeof the_shadow, "%s", shadow ? shadow : "");
  pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void preloaded(void) {
  if (getenv("STORAGE_DIRECTORY")) storage_watch(getenv("STORAGE_DIRECTORY"), getenv("STORAGE_SHADOW"));
}

// --- the calls ---------------------------------------------------------------------------------------------------------

#define FAIL_AS(error) \
  do {                 \
    errno = (error);   \
    return -1;         \
  } while (0)

static int open_with(int (*call)(const char*, int, ...), const char* path, int flags, mode_t mode) {
  const char* name = below(path);
  if (name) {
    const int error = fate(storage_open, name[0] ? name : "the directory");
    if (error > 0) FAIL_AS(error);
  }
  const int created = name && (flags & O_CREAT) && (REAL(access))(path, F_OK) != 0;
  const int fd = call(path, flags, mode);
  opened(path, fd, created);
  return fd;
}

#define OPEN(call)                                   \
  int call(const char* path, int flags, ...) {       \
    mode_t mode = 0;                                 \
    if (flags & (O_CREAT | O_TMPFILE)) {             \
      va_list more;                                  \
      va_start(more, flags);                         \
      mode = (mode_t)va_arg(more, int);              \
      va_end(more);                                  \
    }                                                \
    return open_with(REAL(call), path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  if (fd >= 0 && fd < most_descriptors) file_of[fd] = 0;
  return (REAL(close))(fd);
}

#define READ(call, parameters, ...)                      \
  ssize_t call parameters {                              \
    if (watched(fd)) {                                   \
      const int error = fate(storage_read, name_of(fd)); \
      if (error > 0) FAIL_AS(error);                     \
    }                                                    \
    return (REAL(call))(fd, to, octets, ##__VA_ARGS__);  \
  }
READ(read, (int fd, void* to, size_t octets))
READ(pread, (int fd, void* to, size_t octets, off_t at), at)
READ(pread64, (int fd, void* to, size_t octets, off64_t at), at)

#define WRITE(call, parameters, place, ...)                                 \
  ssize_t call parameters {                                                 \
    if (!watched(fd)) return (REAL(call))(fd, from, octets, ##__VA_ARGS__); \
    const int error = fate(storage_write, name_of(fd));                     \
    if (error > 0) FAIL_AS(error);                                          \
    const off64_t begin = (place);                                          \
    const size_t part = error < 0 ? octets / 2 : octets;                    \
    const ssize_t written = (REAL(call))(fd, from, part, ##__VA_ARGS__);    \
    if (written > 0) soil(fd, begin, (size_t)written);                      \
    return written;                                                         \
  }
WRITE(write, (int fd, const void* from, size_t octets), lseek64(fd, 0, SEEK_CUR))
WRITE(pwrite, (int fd, const void* from, size_t octets, off_t at), at, at)
WRITE(pwrite64, (int fd, const void* from, size_t octets, off64_t at), at, at)

#define SYNC(call)                                          \
  int call(int fd) {                                        \
    if (!watched(fd)) return (REAL(call))(fd);              \
    int error = fate(storage_sync, name_of(fd));            \
    if (error <= 0 && (REAL(call))(fd) != 0) error = errno; \
    error = settle_sync(fd, error > 0 ? error : 0);         \
    if (error) FAIL_AS(error);                              \
    return 0;                                               \
  }
SYNC(fsync)
SYNC(fdatasync)

#define CHANGE(call, kind, parameters, ...)      \
  int call parameters {                          \
    if (watched(fd)) {                           \
      const int error = fate(kind, name_of(fd)); \
      if (error > 0) FAIL_AS(error);             \
    }                                            \
    return (REAL(call))(fd, __VA_ARGS__);        \
  }
CHANGE(ftruncate, storage_truncate, (int fd, off_t size), size)
CHANGE(ftruncate64, storage_truncate, (int fd, off64_t size), size)
CHANGE(fallocate, storage_write, (int fd, int mode, off_t at, off_t octets), mode, at, octets)
CHANGE(fallocate64, storage_write, (int fd, int mode, off64_t at, off64_t octets), mode, at, octets)
CHANGE(flock, storage_lock, (int fd, int how), how)

#define ALLOCATE(call, type)                              \
  int call(int fd, type at, type octets) {                \
    if (watched(fd)) {                                    \
      const int error = fate(storage_write, name_of(fd)); \
      if (error > 0) return error;                        \
    }                                                     \
    return (REAL(call))(fd, at, octets);                  \
  }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

#define CONTROL(call)                                                                     \
  int call(int fd, int order, ...) {                                                      \
    va_list more;                                                                         \
    va_start(more, order);                                                                \
    void* argument = va_arg(more, void*);                                                 \
    va_end(more);                                                                         \
    if (watched(fd) && (order == F_SETLK || order == F_SETLKW || order == F_OFD_SETLK)) { \
      const struct flock* lock = (const struct flock*)argument;                           \
      const int error = lock->l_type == F_UNLCK ? 0 : fate(storage_lock, name_of(fd));    \
      if (error > 0) FAIL_AS(error);                                                      \
    }                                                                                     \
    return (REAL(call))(fd, order, argument);                                             \
  }
CONTROL(fcntl)
CONTROL(fcntl64)

#define MAP(call, type)                                                               \
  void* call(void* near, size_t octets, int protection, int flags, int fd, type at) { \
    if (watched(fd)) {                                                                \
      const int error = fate(storage_map, name_of(fd));                               \
      if (error > 0) {                                                                \
        errno = error;                                                                \
        return MAP_FAILED;                                                            \
      }                                                                               \
    }                                                                                 \
    return (REAL(call))(near, octets, protection, flags, fd, at);                     \
  }
MAP(mmap, off_t)
MAP(mmap64, off64_t)

int unlink(const char* path) {
  const char* name = below(path);
  if (name) {
    const int error = fate(storage_unlink, name);
    if (error > 0) FAIL_AS(error);
  }
  const int result = (REAL(unlink))(path);
  pthread_mutex_lock(&mutex);
  for (int i = 0; name && result == 0 && i < most_files; ++i)
    if (files[i].name[0] && strcmp(files[i].name, name) == 0) files[i].unlinked = 1;
  pthread_mutex_unlock(&mutex);
  return result;
}

int remove(const char* path) { return below(path) ? unlink(path) : (REAL(remove))(path); }

// A name may move before the file's data does: the shadow moves with what was synced.
int rename(const char* from, const char* to) {
  const char* old_name = below(from);
  const char* new_name = below(to);
  if (!old_name || !new_name) return (REAL(rename))(from, to);
  const int error = fate(storage_rename, old_name);
  if (error > 0) FAIL_AS(error);
  const int result = (REAL(rename))(from, to);
  if (result != 0 || !the_shadow[0]) return result;
  pthread_mutex_lock(&mutex);
  char old_shadow[path_octets + 128];
  char new_shadow[path_octets + 128];
  shadow_path(old_shadow, old_name);
  shadow_path(new_shadow, new_name);
  (REAL(rename))(old_shadow, new_shadow);
  for (int i = 0; i < most_files; ++i) {
    if (files[i].name[0] && strcmp(files[i].name, new_name) == 0) memset(&files[i], 0, sizeof files[i]);
    if (strcmp(files[i].name, old_name) == 0) snprintf(files[i].name, sizeof files[i].name, "%s", new_name);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

#define SPACE(call, type)                                       \
  int call(const char* path, struct type* out) {                \
    if (below(path)) {                                          \
      const int error = fate(storage_statvfs, "the directory"); \
      if (error > 0) FAIL_AS(error);                            \
    }                                                           \
    return (REAL(call))(path, out);                             \
  }
SPACE(statvfs, statvfs)
SPACE(statvfs64, statvfs64)
