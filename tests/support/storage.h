// SPDX-License-Identifier: Apache-2.0
// A model of stable storage under one directory, and its faults. Linked into a program (tests_faults) or preloaded into one
// (scripts/torture --power), it stands before the C library's calls on files and so under SQLite as well as beside it.
//
// Stable storage is a second directory, the shadow. It gets a file's dirty pages when a sync of that file succeeds, as ext4 does:
// a sync that succeeds also makes earlier unlinks durable. A sync that fails marks the dirty pages clean without storing them, and
// every other descriptor of the file learns of it once (Linux, "errseq"). Whatever differs between the two directories after
// kill -9 is what a power cut may take, octet by octet of a sector; files named *-shm are in memory only.
//
// One fault may be armed: the n-th call of the given kinds on files of the directory fails, writes half, or hangs.
#ifndef HOPLOCK_TESTS_STORAGE_H
#define HOPLOCK_TESTS_STORAGE_H
#ifdef __cplusplus
extern "C" {
#endif

enum storage_kind {
  storage_open,
  storage_read,
  storage_write,
  storage_sync,
  storage_truncate,
  storage_unlink,
  storage_map,
  storage_lock,
  storage_statvfs,
  storage_rename,
  storage_kinds
};
extern const char* const storage_kind_names[storage_kinds];

enum storage_effect { storage_fails, storage_writes_half, storage_hangs };

struct storage_fault {
  enum storage_kind kind;
  long at;    // this call of that kind from now on, the first is 1
  int error;  // errno
  enum storage_effect effect;
  int persistent;  // all later calls of the kind fail too
};

// Watches `directory` (absolute, no links in it); without a shadow only faults are modelled. What is there is stable.
void storage_watch(const char* directory, const char* shadow);
void storage_arm(const struct storage_fault* fault);
void storage_heal(void);
// Calls of a kind since the last storage_arm or storage_watch.
long storage_calls(enum storage_kind kind);
// How often a fault struck, and the first: "write queue.db-wal"; empty until then.
int storage_struck(void);
const char* storage_where(void);
// 1 while a call hangs; 2 when it is on the thread that called storage_arm.
int storage_hanging(void);
void storage_release(void);

#ifdef __cplusplus
}
#endif
#endif
