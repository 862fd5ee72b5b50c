// SPDX-License-Identifier: Apache-2.0
// The layer through which this process opens every file of the store: SQLite's own VFS does the work, this one watches it. It
// remembers what failed (operation, file, errno), which SQLite's messages do not say, and it freezes a store when a sync failed.
//
// After a failed fsync Linux takes the dirty pages for clean and tells each descriptor only once: a later good sync proves
// nothing, and a checkpoint that was copied but not synced may have to be copied again from the log. So from then on nothing of
// that database or its log is written, synced or cut by this process; the next one recovers from the log, which is whole.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

namespace hoplock::disk {

// For sqlite3_open_v2(). Registers the layer at the first call.
const char* layer();

// The last call of this thread that failed; it is forgotten with that.
struct FailedCall {
  int rc = 0;      // SQLite's extended code
  int number = 0;  // errno, 0 where that is not known
  bool sync = false;
  std::string text;  // "write /var/lib/hoplock/queue.db-wal: No space left on device"
};
std::optional<FailedCall> take_failed_call();

// How many reads, writes and syncs of files of stores have come back, in this process, whatever they brought: while it grows, the disk
// lives. Any thread.
std::uint64_t calls_done();
// One more, of a call that did not go through the layer, or of a stretch of work without any.
void note_call_done();

// While one lives, this thread reads logs a block at a time: SQLite, which recovers one, asks for each frame by itself, and a slow disk
// answers each as slowly. What was read ahead is forgotten with each lock, behind which others may have written.
class ReadingAhead {
 public:
  ReadingAhead();
  ~ReadingAhead();
  ReadingAhead(const ReadingAhead&) = delete;
  ReadingAhead& operator=(const ReadingAhead&) = delete;
};

// What happened to one database and its log, as long as a file of it is open in this process.
class StoreFiles;
std::shared_ptr<StoreFiles> files_of(const std::string& database);
// Whether a call of this process that changes them failed, even once: what lies there may then be half of what was meant.
bool has_failed(const StoreFiles& files);
// Why nothing is written there any more.
std::optional<Error> frozen(const StoreFiles& files);

}  // namespace hoplock::disk
