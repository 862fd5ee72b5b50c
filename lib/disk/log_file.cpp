// SPDX-License-Identifier: Apache-2.0
#include "disk/log_file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "disk/files.h"
#include "disk/vfs.h"

namespace hoplock::disk {
namespace {

constexpr std::size_t walked_octets = 1 << 20;
constexpr std::uint32_t most_logs_behind = 4096;  // another number is likelier to be chance
constexpr int copied_octets = 64 << 10;           // SQLite's VFS writes less than 128 KiB at once

struct Sum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  friend bool operator==(const Sum&, const Sum&) = default;
};
Sum sum_at(const char* octets) { return {big(octets), big(octets + 4)}; }

Sum add(Sum sum, const char* octets, std::size_t length, std::endian order) {
  for (std::size_t at = 0; at < length; at += 8) {
    sum.first += word_at(octets + at, order) + sum.second;
    sum.second += word_at(octets + at + 4, order) + sum.first;
  }
  return sum;
}

struct Header {
  std::endian order = std::endian::little;
  std::size_t page = 0;
  Sum sum;
  Synced log;
};
std::optional<Header> parse_header(const std::array<char, log_header_octets>& head) {
  const std::uint32_t magic = big(head.data());
  if ((magic & ~1U) != 0x377f0682U || big(head.data() + 4) != 3007000) return std::nullopt;
  Header header;
  header.order = (magic & 1U) != 0 ? std::endian::big : std::endian::little;
  header.page = big(head.data() + 8);
  header.sum = add({}, head.data(), 24, header.order);
  header.log = {big(head.data() + 16), big(head.data() + 20), 0};
  if (header.sum != sum_at(head.data() + 24)) return std::nullopt;
  if (header.page < 512 || header.page > 65536 || (header.page & (header.page - 1)) != 0) return std::nullopt;
  return header;
}

// What lies in the file, frames counted from 1.
struct Walk {
  std::uint64_t first_bad = 0;  // one behind the last, where all fit
  std::uint64_t whole_behind = 0;
  bool later_transaction = false;      // a whole commit lies behind it, and something whole behind that
  std::vector<std::uint32_t> sectors;  // of the frames before it that hold page 1, the first of each
};
Result<Walk> walk(int fd, const Header& header) {
  Walk found;
  const std::size_t frame_octets = frame_header_octets + header.page;
  const std::uint64_t at_once = std::max<std::size_t>(walked_octets / frame_octets, 1);
  std::vector<char> block(at_once * frame_octets);  // a slow disk is asked once for many
  Sum sum = header.sum;
  std::size_t here = 0;
  bool commit_behind = false;
  for (std::uint64_t n = 1;; ++n) {
    const auto in_block = (n - 1) % at_once;
    if (in_block == 0) {
      const auto got = read_at(fd, block.data(), block.size(), log_header_octets + (n - 1) * frame_octets);
      if (!got) return got.error();
      here = *got / frame_octets;
    }
    const char* const frame = block.data() + in_block * frame_octets;
    const bool all_there = in_block < here;
    const bool ours =
        all_there && big(frame) != 0 && big(frame + 8) == header.log.salt_1 && big(frame + 12) == header.log.salt_2;
    if (all_there) sum = add(add(sum, frame, 8, header.order), frame + frame_header_octets, header.page, header.order);
    const bool whole = ours && sum == sum_at(frame + 16);
    if (!whole && found.first_bad == 0) found.first_bad = n;
    if (found.first_bad == 0 && big(frame) == 1) found.sectors.push_back(sum_of_sector(frame + frame_header_octets));
    if (!all_there) return found;
    if (whole && found.first_bad != 0) {
      ++found.whole_behind;
      if (commit_behind) found.later_transaction = true;
      if (big(frame + 4) != 0) commit_behind = true;
    }
    sum = sum_at(frame + 16);
  }
}

// Once: the daemon may be started again and again.
std::string keep_copy(const std::string& log) {
  const std::string copy = log + ".damaged";
  std::error_code ec;
  if (!std::filesystem::exists(copy, ec)) std::filesystem::copy_file(log, copy, ec);
  if (!ec) ::chmod(copy.c_str(), 0640);
  return ec ? "no copy of the log could be kept (" + ec.message() + ")" : "a copy of the log is " + copy;
}

Error damaged(const std::filesystem::path& database, const std::string& what) {
  return fail(errc::bad_message, database.string() + ": the database is damaged: " + what);
}

Error damaged_frames(const std::filesystem::path& database, const Walk& found, const Header& header,
                     std::optional<Synced> synced) {
  const std::string log = database.string() + "-wal";
  std::string text = "frame " + std::to_string(found.first_bad) +
                     " of its log queue.db-wal does not fit its checksum, " + std::to_string(found.whole_behind) +
                     " whole frames lie behind it";
  if (synced) text += ", and " + std::to_string(synced->frames) + " were on stable storage";
  text += "; what they hold was acknowledged. " + keep_copy(log) + ". To go on without them: rm " + database.string() +
          "-synced, then truncate -s " +
          std::to_string(log_header_octets + (found.first_bad - 1) * (frame_header_octets + header.page)) + " " + log;
  return damaged(database, text);
}

// Whether the database is the file that this log was begun on: as it was then, or with a page 1 out of the log.
Result<bool> belongs_to(const std::filesystem::path& database, const Walk& log) {
  const auto then = SyncedMark::read_sector(database);
  if (!then) return true;
  const auto octets = first_octets(database, sector_octets);
  if (!octets) return octets.error();
  const auto now = sum_of_sector(octets->data());
  return now == *then || std::find(log.sectors.begin(), log.sectors.end(), now) != log.sectors.end();
}

// SQLite counts this part of the salts up when a log begins anew.
bool is_older(const Synced& log, const Synced& marked) {
  const std::uint32_t behind = marked.salt_1 - log.salt_1;
  return marked.frames > 0 && behind > 0 && behind <= most_logs_behind;
}

Error foreign_pair(const std::filesystem::path& database, const std::string& what) {
  const std::string name = database.string();
  return damaged(database,
                 what +
                     ", so mail that was acknowledged may be missing. Put back the files that belong "
                     "together, or a copy of the store (hoplock restore); to go on with queue.db as it is: rm "
                     "-f " +
                     name + "-wal " + name + "-shm " + name + "-synced");
}

// There is no log, or none with a header. Good: nothing was in it that is not in the database.
Result<> check_without_log(const std::filesystem::path& database, const std::string& what) {
  const auto synced = SyncedMark::read(database);
  const auto then = SyncedMark::read_witness(database);
  if (!synced || synced->frames == 0 || !then || then->inode == 0) return {};
  const auto now = witness_of(database);
  if (!now) return now.error();
  // another program, as SQLite's shell is one, copied the log and removed it
  if (now->counter != then->counter || (now->inode == then->inode && now->changed_ns != then->changed_ns)) return {};
  const std::string log = database.string() + "-wal";
  std::error_code ec;
  std::string text = "its log queue.db-wal " + what + ", though " + std::to_string(synced->frames) +
                     " frames of it were on stable storage; what they hold was acknowledged. ";
  if (std::filesystem::exists(log, ec) && std::filesystem::file_size(log, ec) > 0) text += keep_copy(log) + ". ";
  return damaged(database, text + "To go on without them: rm " + database.string() + "-synced");
}

}  // namespace

Result<> check_log(const std::filesystem::path& database) {
  const std::string path = database.string() + "-wal";
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0 && errno == ENOENT) return check_without_log(database, "is gone");
  if (file.fd < 0) return errno_error("open " + path);
  std::array<char, log_header_octets> head{};
  const auto got = read_at(file.fd, head.data(), head.size(), 0);
  if (!got) return fail(got.error().code, path + ": " + got.error().detail);
  // A header of zeros is one that never was written.
  if (*got < head.size()) return check_without_log(database, "is cut");
  if (head == std::array<char, log_header_octets>{}) return check_without_log(database, "has lost its header");
  const auto header = parse_header(head);
  if (!header) return damaged(database, "the header of its log queue.db-wal");
  const auto found = walk(file.fd, *header);
  if (!found) return fail(found.error().code, path + ": " + found.error().detail);
  const auto synced = SyncedMark::read(database);
  const bool known = synced && synced->shares_log_with(header->log);
  // A mark of another log: nothing was acknowledged out of this one, unless the mark was never synced.
  const bool unsure = !synced || (synced->frames > 0 && !SyncedMark::read_witness(database));
  const bool bad = known ? found->first_bad <= synced->frames : unsure && found->later_transaction;
  if (bad) return damaged_frames(database, *found, *header, known ? synced : std::nullopt);
  if (synced && !known && is_older(header->log, *synced))
    return foreign_pair(database, "its log queue.db-wal is older than the one that was last in use");
  if (!known) return {};
  const auto belongs = belongs_to(database, *found);
  if (!belongs) return belongs.error();
  if (!*belongs) return foreign_pair(database, "it is not the file that its log queue.db-wal was begun on");
  return {};
}

namespace {

sqlite3_file* log_file(Database& db) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db.native(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&file));
  return file && file->pMethods ? file : nullptr;
}

sqlite3_int64 end_of(Database& db, std::uint64_t frames) {
  const auto frame = frame_header_octets + static_cast<std::size_t>(db.integer("PRAGMA page_size"));
  return frames == 0 ? 0 : static_cast<sqlite3_int64>(log_header_octets + frames * frame);
}

// How far it need not be: what a sync covered, by a mark of this very log. No frame is written again once it was committed.
sqlite3_int64 synced_octets(Database& db) {
  const char* const database = sqlite3_db_filename(db.native(), "main");
  const auto log = log_of(db);
  if (!database || !log || !SyncedMark::read_witness(database)) return 0;
  const auto synced = SyncedMark::read(database);
  if (!synced || !synced->shares_log_with(*log)) return 0;
  return end_of(db, synced->frames);
}

int rewrite(sqlite3_file* file, sqlite3_int64 from, sqlite3_int64 size) {
  std::vector<char> octets(copied_octets);
  int rc = SQLITE_OK;
  for (sqlite3_int64 at = from; rc == SQLITE_OK && at < size; at += copied_octets) {
    const int n = static_cast<int>(std::min<sqlite3_int64>(copied_octets, size - at));
    rc = file->pMethods->xRead(file, octets.data(), n, at);
    if (rc == SQLITE_OK) rc = file->pMethods->xWrite(file, octets.data(), n, at);
  }
  if (rc == SQLITE_OK && size > from) rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
  return rc;
}

}  // namespace

Result<> renew_log(Database& db) {
  try {
    db.execute("BEGIN IMMEDIATE");
    sqlite3_file* const file = log_file(db);
    const int rc =
        file ? rewrite(file, synced_octets(db), end_of(db, static_cast<std::uint64_t>(frames_of(db)))) : SQLITE_OK;
    db.execute("ROLLBACK");
    if (rc == SQLITE_OK) return {};
    const auto call = take_failed_call();
    return fail(errc::io_error, call ? call->text : std::string("the log cannot be renewed: ") + sqlite3_errstr(rc));
  } catch (const Failure& failure) {
    return failure.error();
  }
}

namespace {

constexpr std::uint32_t index_header_octets = 136;
constexpr std::uint32_t numbers_in_region = 4096;  // of pages, one for each frame; the header takes the room of some

// The log's index as all who have it open share it (SQLite's WAL file format, section 2.3); nothing where there is none.
const char* index_of(Database& db, std::uint32_t region = 0) {
  constexpr int octets = 32768;
  sqlite3_file* const file = db.file();
  void volatile* index = nullptr;
  if (!file || file->pMethods->xShmMap(file, static_cast<int>(region), octets, 0, &index) != SQLITE_OK) return nullptr;
  return const_cast<const char*>(static_cast<volatile char*>(index));
}

template <class Number>
Number number_at(const char* index, std::size_t at) {
  Number number = 0;
  std::memcpy(&number, index + at, sizeof number);
  return number;
}

}  // namespace

int frames_of(Database& db) {
  const char* const index = index_of(db);
  return index ? static_cast<int>(number_at<std::uint32_t>(index, 16)) : 0;
}

std::optional<Copying> copying_of(Database& db) {
  const char* const index = index_of(db);
  if (!index) return std::nullopt;
  return Copying{number_at<std::uint64_t>(index, 32), number_at<std::uint32_t>(index, 96),
                 number_at<std::uint32_t>(index, 128)};
}

std::optional<std::vector<std::uint32_t>> frames_of_pages(Database& db, std::uint32_t frames, std::size_t last) {
  std::vector<std::uint32_t> found(last);
  const char* numbers = nullptr;
  for (std::uint32_t frame = 1; frame <= frames; ++frame) {
    const std::uint32_t place = frame - 1 + index_header_octets / 4;
    if (frame == 1 || place % numbers_in_region == 0) numbers = index_of(db, place / numbers_in_region);
    if (!numbers) return std::nullopt;
    const auto page = number_at<std::uint32_t>(numbers, std::size_t{4} * (place % numbers_in_region));
    if (page >= 1 && page <= last) found[page - 1] = frame;
  }
  return found;
}

std::optional<std::string> page_in_log(Database& db, std::uint32_t frame, std::size_t octets) {
  sqlite3_file* const file = log_file(db);
  std::string page(octets, '\0');
  const auto at = log_header_octets + (frame - std::uint64_t{1}) * (frame_header_octets + octets) + frame_header_octets;
  if (!file ||
      file->pMethods->xRead(file, page.data(), static_cast<int>(octets), static_cast<sqlite3_int64>(at)) != SQLITE_OK)
    return std::nullopt;
  return page;
}

Result<Synced> log_of(Database& db) {
  const char* const name = sqlite3_db_filename(db.native(), "main");
  const std::string path = std::string(name ? name : "") + "-wal";
  sqlite3_file* const file = log_file(db);
  std::array<char, log_header_octets> head{};
  if (!file) return fail(errc::io_error, path + " is not open");
  const int rc = file->pMethods->xRead(file, head.data(), head.size(), 0);
  if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) return db.last_error(rc);
  const auto header = parse_header(head);
  if (!header) return fail(errc::bad_message, "the header of " + path + " was overwritten while the daemon uses it");
  return header->log;
}

}  // namespace hoplock::disk
