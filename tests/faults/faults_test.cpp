// SPDX-License-Identifier: Apache-2.0
// DUR-02, DUR-04: every call of the store on its files fails once, in each way a disk knows, at each place of a life. Anchor: SQLite's own
// ioerr tests (its test/ioerr.test), with what is around it: our lock file, statvfs, the renaming of a new database, the answers that
// were given, and the power that goes a moment later.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/faults/life.h"
#include "tests/support/temp_directory.h"

using namespace hoplock::faults;
using hoplock::support::TempDirectory;

namespace {

const std::filesystem::path& prepared(Ledger& ledger) {
  static TempDirectory directory;
  static Ledger first;
  if (first.messages.empty()) {
    prepare(directory.path(), first);
    REQUIRE(first.messages.size() == 6);
  }
  ledger.messages = first.messages;
  return directory.path();
}

#ifdef HOPLOCK_SANITIZED
constexpr long thinning = 9;  // the release build tries every call, a sanitizer looks at some
#else
constexpr long thinning = 1;
#endif

enum class Store { used, absent };

struct Counts {
  int injected = 0, recovered = 0, ended = 0, stopped = 0, untold = 0;
};

struct Round {
  Store store = Store::used;
  Plan plan;
  unsigned seed = 0;
};

void copy_store(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::create_directory(to);
  for (const auto& entry : std::filesystem::directory_iterator(from))
    if (entry.path().extension() != ".db-shm") std::filesystem::copy(entry.path(), to / entry.path().filename());
}

std::string said(const Ledger& ledger) {
  std::string all = "at " + ledger.where + "; said:";
  for (const auto& text : ledger.errors) all += "\n    " + text;
  return all;
}

bool mentions(const Ledger& ledger, const char* words) {
  for (const auto& text : ledger.errors)
    if (text.find(words) != std::string::npos) return true;
  return false;
}

void hold_to(const Ledger& ledger, const std::filesystem::path& directory, const char* how) {
  for (const auto& wrong : verify(directory, ledger)) FAIL_CHECK(std::string(how) << ": " << wrong);
}

// One life, and the two stores that it may leave behind: as it is after kill -9, and as it is after a power cut.
Ledger live_through(const Round& round) {
  Ledger ledger;
  TempDirectory base;
  const auto store = base.path() / "store";
  const auto shadow = base.path() / "shadow";
  std::filesystem::create_directory(shadow);
  if (round.store == Store::used)
    copy_store(prepared(ledger), store);
  else
    std::filesystem::create_directory(store);
  live(store, shadow, round.plan, ledger);
  const std::string about = said(ledger);
  INFO(about);
  CHECK_MESSAGE(ledger.end != Ledger::End::crashed, "it crashed");
  CHECK_MESSAGE(ledger.end != Ledger::End::hung, "it hung");
  CHECK_MESSAGE(!ledger.loop_hung, "the loop waited for the disk");
  if (ledger.end == Ledger::End::ended) CHECK_MESSAGE(!ledger.errors.empty(), "it ended without a reason");
  const auto left = base.path() / "left";
  const auto survival = round.seed % 3 != 0 ? Survival::nothing_unsynced : Survival::sectors_at_random;
  cut_power(store, shadow, left, survival, round.seed);
  hold_to(ledger, left, survival == Survival::nothing_unsynced ? "after a power cut" : "after a power cut that tore");
  if (round.seed % 4 == 0) hold_to(ledger, store, "after kill -9");
  return ledger;
}

struct Way {
  const char* name;
  int error;
  storage_effect effect = storage_fails;
  int persistent = 0;
  long step = 1;               // 1: every call
  const char* also = nullptr;  // words that SQLite has for it where it keeps no errno
};

bool tells(const Ledger& ledger, const Way& way) {
  return mentions(ledger, std::strerror(way.error)) || (way.also != nullptr && mentions(ledger, way.also));
}

Counts try_every(storage_kind kind, const Way& way, Store store) {
  Round round;
  round.store = store;
  const auto calls = live_through(round).calls;
  REQUIRE(calls.size() == storage_kinds);
  const long most = calls[kind] + (way.persistent ? 0 : 2);
  Counts counts;
  for (long n = 1; n <= most; n += way.step * thinning) {
    round.plan.fault = {kind, n, way.error, way.effect, way.persistent};
    round.plan.acknowledged_after = n % 4 == 0 ? 0 : static_cast<int>(n % 4);
    round.seed = static_cast<unsigned>(n);
    const std::string what = storage_kind_names[kind] + (" " + std::to_string(n)) + " of " + std::to_string(most) +
                             ": " + way.name + (way.persistent ? " from then on" : " once");
    INFO(what);
    const Ledger ledger = live_through(round);
    if (!ledger.struck) break;  // this life made fewer calls
    ++counts.injected;
    counts.ended += ledger.end == Ledger::End::ended;
    counts.stopped += ledger.end == Ledger::End::stopped;
    counts.recovered += ledger.end == Ledger::End::finished;
    if (way.effect == storage_hangs) continue;
    if (!tells(ledger, way)) ++counts.untold;
    if (ledger.end == Ledger::End::ended) {
      const std::string about = said(ledger);
      INFO(about);
      CHECK_MESSAGE(tells(ledger, way), "the reason does not name the error of the system");
    }
  }
  std::printf(
      "faults: %-8s %-28s %-10s%4d injected: %4d lived on, %4d stopped by the power cut, %4d ended; %4d without a "
      "word\n",
      storage_kind_names[kind], way.name, way.persistent ? "for good" : "once", counts.injected, counts.recovered,
      counts.stopped, counts.ended, counts.untold);
  std::fflush(stdout);
  return counts;
}

void try_every(storage_kind kind, const std::vector<Way>& ways, Store store = Store::used) {
  for (const auto& way : ways) CHECK(try_every(kind, way, store).injected > 0);
}

}  // namespace

TEST_CASE("DUR-02: the n-th open of the store's files fails, for every n, and nothing acknowledged is lost") {
  try_every(storage_open, {{"EIO", EIO}, {"EACCES", EACCES, storage_fails, 1}, {"hangs", 0, storage_hangs}});
}

TEST_CASE("DUR-02: the n-th read fails, for every n, and nothing is called damaged that is not") {
  try_every(storage_read, {{"EIO", EIO}, {"EIO", EIO, storage_fails, 1}, {"hangs", 0, storage_hangs, 0, 5}});
}

TEST_CASE("DUR-02: the n-th write fails with EIO, for every n, and nothing acknowledged is lost or torn") {
  try_every(storage_write, {{"EIO", EIO}, {"EIO", EIO, storage_fails, 1, 5}});
}

TEST_CASE("DUR-02, DUR-04: the n-th write meets a full disk, for every n, and nothing acknowledged is lost or torn") {
  try_every(storage_write, {{"ENOSPC", ENOSPC},
                            {"ENOSPC", ENOSPC, storage_fails, 1, 5},
                            {"half, then ENOSPC", ENOSPC, storage_writes_half, 0, 3}});
}

TEST_CASE("DUR-02: writes hang, and the loop goes on") {
  try_every(storage_write, {{"hangs", 0, storage_hangs, 0, 7}});
}

TEST_CASE("DUR-02: the n-th sync fails, for every n: nothing is acknowledged that a power cut then takes") {
  try_every(storage_sync, {{"EIO", EIO},
                           {"EIO", EIO, storage_fails, 1},
                           {"ENOSPC", ENOSPC},
                           {"ENOSPC", ENOSPC, storage_fails, 1},
                           {"hangs", 0, storage_hangs}});
}

TEST_CASE(
    "DUR-02: the n-th truncation, removal, mapping or lock of a file fails, for every n, and nothing acknowledged is "
    "lost") {
  try_every(storage_truncate, {{"EIO", EIO}, {"ENOSPC", ENOSPC, storage_fails, 1}});
  // Nothing of the store is removed while it is used, nor at a clean end: a start needs the names where none are left.
  CHECK(try_every(storage_unlink, {"EIO", EIO}, Store::used).injected == 0);
  try_every(storage_map, {{"ENOMEM", ENOMEM}, {"ENOMEM", ENOMEM, storage_fails, 1}});
  // SQLite asks 100 times within 10 s for the locks of its log, then says SQLITE_PROTOCOL; the errno is gone by then.
  // Locks that fail for good are therefore tried at the start alone: later, each operation of the life takes its 10 s.
  const char* locks = "locking protocol";
  try_every(storage_lock, {{"EIO", EIO, storage_fails, 0, 1, locks},
                           {"EIO", EIO, storage_fails, 1, 1000, locks},
                           {"hangs", 0, storage_hangs, 0, 5}});
}

TEST_CASE("DUR-02, DUR-04: the n-th statvfs fails or hangs, for every n, and the loop goes on") {
  try_every(storage_statvfs, {{"EIO", EIO}, {"EIO", EIO, storage_fails, 1}, {"hangs", 0, storage_hangs}});
}

TEST_CASE(
    "DUR-02, DUR-04: a first start that is cut short at any call leaves nothing, or what the next start completes") {
  try_every(storage_open, {{"EIO", EIO}}, Store::absent);
  try_every(storage_write, {{"ENOSPC", ENOSPC, storage_fails, 1}}, Store::absent);
  try_every(storage_sync, {{"EIO", EIO}}, Store::absent);
  try_every(storage_rename, {{"EIO", EIO}, {"ENOSPC", ENOSPC, storage_fails, 1}}, Store::absent);
}
